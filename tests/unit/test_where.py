"""The language of --where: what it means, what it refuses, and that SQL and Python agree."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.catalogue.schema import migrate
from sosie.catalogue.where import Expression, compile_sql, matches, parse
from sosie.errors import FilterError
from sosie.types import LabelValue

Labels = Mapping[str, LabelValue]

CAT: Labels = {"label": "cat", "year": 2019.0, "tags": ("red", "Big eyes"), "predicted.class": "lynx"}
FACTS: Labels = {
    "width": 640.0,
    "height": 480.0,
    "format": "JPEG",
    "uri": ("file:///a/Cat.jpg", "file:///b.jpg"),
    "added": 1795250430.5,  # 2026-11-21T08:40:30Z
}


def database(*pictures: Labels) -> sqlite3.Connection:
    """An empty catalogue, filled by hand with what --where looks at."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    for key, labels in enumerate(pictures):
        connection.execute(
            "INSERT INTO contents (id, sha256, bytes, format, width, height, pixels, added_at, digest)"
            " VALUES (?, ?, 9, 'JPEG', 640, 480, x'', 1795250430.5, x'')",
            (key, str(key).encode()),
        )
        for name, value in labels.items():
            for one in value if isinstance(value, tuple) else (value,):
                row = (one, None, "text") if isinstance(one, str) else (repr(one), one, "number")
                connection.execute(
                    "INSERT INTO labels (content_id, name, text, number, kind) VALUES (?, ?, ?, ?, ?)",
                    (key, name, *row),
                )
    return connection


def found(connection: sqlite3.Connection, expression: Expression) -> list[int]:
    condition, params = compile_sql(expression)
    rows = connection.execute(f"SELECT id FROM contents WHERE {condition} ORDER BY id", params)
    return [key for (key,) in rows]


def both(text: str, labels: Labels) -> bool:
    expression = parse(text)
    in_python = matches(expression, labels)
    assert found(database(labels), expression) == ([0] if in_python else [])
    return in_python


@pytest.mark.parametrize(
    "text",
    [
        "label = 'cat'",
        'label = "cat"',
        "label == 'cat'",
        "LABEL = 'x' or label = 'cat'",
        "label != 'dog'",
        "label <> 'dog'",
        "absent != 'dog'",
        "not absent",
        "label",
        "tags",
        "tags has 'red'",
        "tags = 'red' and tags = 'Big eyes'",
        "tags ~ 'EYES'",
        "predicted.class = 'lynx'",
        "\"predicted.class\" = 'lynx'",
        "year > 2018 AND year <= 2019",
        "year = 2.019e3",
        "year >= -1",
        "label in ('dog', 'cat')",
        "label not in ('dog', 1)",
        "year in (1, 2019)",
        "label in ('x', 7) or not (year < 2019)",
        "label >= 'c' and label < 'd'",
        "not not label",
    ],
)
def test_holds(text: str) -> None:
    assert both(text, CAT)


@pytest.mark.parametrize(
    "text",
    [
        "label = 'Cat'",
        "year = '2019'",
        "label = 2019",
        "label < 5",
        "label ~ 'dog'",
        "absent",
        "absent < 3",
        "tags != 'red'",
        "label = 'dog' and label = 'cat' or year = 1",
        "label = 'x' or year = 1 and label = 'cat'",
        "not label = 'cat'",
        "tags = 'ed'",
    ],
)
def test_does_not_hold(text: str) -> None:
    assert not both(text, CAT)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("width >= 640", True),
        ("height > 480", False),
        ("bytes = 9 and width in (1, 640)", True),
        ("format = 'jpeg'", True),
        ("format in ('PNG', 'Jpeg')", True),
        ("format ~ 'pe'", True),
        ("uri ~ 'cat.JPG'", True),
        ("uri = 'file:///b.jpg'", True),
        ("uri != 'file:///b.jpg'", False),
        ("added >= '2026-11'", True),
        ("added = '2026-11-21'", True),
        ("added <= '2026-11-21' and added < '2026-11-21T09'", True),
        ("added in ('2025', '2026')", True),
        ("added ~ '-11-21'", True),
        ("added < '2026-11-21'", False),
        ("added > '2026-11-21'", False),
        ("added = '2026-11-21T08:40:30Z'", True),
        ('"width" >= 640', False),
    ],
)
def test_built_in_fields(text: str, holds: bool) -> None:
    connection = database({})
    for uri in ("file:///a/Cat.jpg", "file:///b.jpg"):
        connection.execute("INSERT INTO locations (uri, content_id, root) VALUES (?, 0, '')", (uri,))
    expression = parse(text)
    facts = {**FACTS, "bytes": 9.0}
    assert (found(connection, expression) == [0]) is holds
    assert matches(expression, {}, facts) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected the name of a label, found the end"),
        ("label =", "column 8: expected a 'quoted text' or a number, found the end"),
        (
            "label = cat",
            "column 9: expected a 'quoted text' or a number, found 'cat'; a text stands in quotes",
        ),
        ("label = 'cat", "column 9: this quoted text has no end"),
        ("label 'cat'", "column 7: expected a comparison"),
        ("(label = 'a'", r"column 13: expected '\)', found the end"),
        ("label = 'a')", r"column 12: expected 'and', 'or' or the end, found '\)'"),
        ("label = 'a' label = 'b'", "column 13: expected 'and', 'or' or the end"),
        ("label in ()", "column 11: expected a 'quoted text' or a number"),
        ("label in ('a' 'b')", r"column 15: expected ',' or '\)'"),
        ("label not 'a'", "column 11: expected 'in'"),
        ("width = 'big'", "column 9: expected a number, since width is one"),
        ("width", "column 6: expected a comparison"),
        ("format = 3", "column 10: expected a text, since format is one"),
        ("added > 'yesterday'", "column 9: expected a date such as '2026-11-21'"),
        ("tags ~ 3", "column 8: expected a 'quoted text'"),
        ("a = 1; drop", "column 6: unexpected ';'"),
        ("a = 1e999", "column 5: a number too large"),
        ("a = 12abc", "column 5: unexpected '1'"),
        ("a = '\0'", "column 5: a text may hold neither"),
        ("(" * 60 + "a" + ")" * 60, "nested more than 20 deep"),
        ("not " * 60 + "a", "nested more than 20 deep"),
        (" or ".join(["a"] * 201), "more than 200 comparisons"),
        ("a in (" + ",".join(["1"] * 1001) + ")", "more than 1000 values"),
        ("a = '" + "x" * 10_000 + "'", "10006 characters; at most 10000"),
    ],
)
def test_refuses_with_the_place_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        parse(text)


@pytest.mark.parametrize("text", [r"a = 'it\'s'", '''a = "it's"''', r'''a = "it\'s"'''])
def test_quotes_inside_texts(text: str) -> None:
    assert both(text, {"a": "it's"})


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE contents; --", "' OR 1=1 --", "%", "_", "?", ":x", "\\", "{}", "a\nb"]
)
def test_values_and_names_never_reach_the_sql(value: str) -> None:
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    for text in (f"a = {quoted}", f"a ~ {quoted}", f"a in ({quoted})", f"{quoted} = 'x'", f"{quoted}"):
        sql, params = compile_sql(parse(text))
        assert sql == compile_sql(parse(text.replace(quoted, "'plain'")))[0]
        assert any(str(param).lower() == value.lower() for param in params)
    assert both(f"a = {quoted}", {"a": value})
    assert not both(f"a = {quoted}", {"a": "b"})


def test_the_largest_expressions_run() -> None:
    texts = [
        " or ".join(f"l{n} = 'x'" for n in range(199)) + " or label = 'cat'",
        "(" * 19 + "label = 'cat'" + ")" * 19,
        "not " * 18 + "label = 'cat'",
        "(not " * 8 + "(absent or (label in ('cat')))" + ")" * 8,
        "label in (" + ",".join(f"'v{n}'" for n in range(999)) + ",'cat')",
    ]
    assert all(both(text, CAT) for text in texts)


# ------------------------------------------------------------------------------------------------ properties

NAMES = st.sampled_from(["a", "b", "c.d", "ä-1"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3) | st.sampled_from(["x", "X", "É"])
NUMBERS = st.integers(-3, 3).map(float) | st.floats(allow_nan=False, allow_infinity=False)
PICTURES = st.lists(
    st.dictionaries(NAMES, TEXTS | NUMBERS | st.lists(TEXTS, unique=True, max_size=3).map(tuple), max_size=4),
    max_size=4,
)


def quote(value: str | float) -> str:
    if isinstance(value, float):
        return repr(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


VALUES = (TEXTS | NUMBERS).map(quote)
COMPARISONS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), VALUES).map(" ".join),
    st.tuples(NAMES, st.sampled_from(["~", "has"]), TEXTS.map(quote)).map(" ".join),
    st.tuples(NAMES, st.sampled_from(["in", "not in"]), st.lists(VALUES, min_size=1, max_size=3)).map(
        lambda parts: f"{parts[0]} {parts[1]} ({', '.join(parts[2])})"
    ),
    NAMES,
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("not ({})".format),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(PICTURES, EXPRESSIONS)
def test_sql_and_python_agree(pictures: list[Labels], text: str) -> None:
    expression = parse(text)
    expected = [key for key, labels in enumerate(pictures) if matches(expression, labels)]
    assert found(database(*pictures), expression) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("ab='\"()<>!~,. \\1notridha", max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        expression = parse(text)
    except FilterError:
        return
    found(database(CAT), expression)
