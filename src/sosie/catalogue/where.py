"""The language of ``--where``: parse it, compile it to SQL with parameters, or evaluate it in Python.

    expression  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" expression ")" | field [ condition ]
    condition   = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | ("has" | "~") text
                | [ "not" ] "in" "(" value { "," value } ")"
    value       = text | number                       a text stands in ' or ", with \\ before a quote or a
    backslash field       = name { "." name } | a quoted text   a quoted one is always a label, never a
    built-in

A bare field asks whether the picture has such a label. A label with several values meets a comparison where
one of them does; ``!=`` and ``not in`` are the negations of ``=`` and ``in``, so they hold for a picture
without that label. A number is compared with numbers only, a text with texts only. ``~`` looks for a part of
a text, a to z in any case. ``tag`` without quotes is what was recognised in the picture, or a label of that name;
``exif.date`` and the other names of `METADATA` are what it says of itself, or labels of those names. Of dates only as
much is compared as is given: ``exif.date <= '2019-07'`` holds for all of that month.

No text of the user ever reaches the SQL: names and values are parameters.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NoReturn, Self, TypeAlias

from sosie.errors import FilterError
from sosie.types import METADATA, TAKEN, LabelValue

__all__ = [
    "FACTS",
    "All",
    "Any_",
    "Compare",
    "Compiled",
    "Expression",
    "Field",
    "Not",
    "Present",
    "compares_dates",
    "compile_sql",
    "labels_needed",
    "matches",
    "parse",
    "quoted",
    "selects",
]

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 20  # parentheses and nots inside each other; the parser of older SQLites has a stack of 100
MAX_TERMS = 200  # comparisons; SQLite allows expressions 1,000 deep
MAX_VALUES = 1_000  # values of one ``in``


@dataclass(frozen=True, slots=True)
class Field:
    """A label's name, or a fact that the catalogue knows of every picture (``BUILT_IN``)."""

    name: str
    built_in: bool = False
    fact: bool = False  # facts of that name count as labels do


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison; ``values`` has one member unless ``op`` is ``in``."""

    field: Field
    op: str
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The picture has a label of that name."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    term: Expression


@dataclass(frozen=True, slots=True)
class All:
    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 - ``Any`` is taken by typing
    terms: tuple[Expression, ...]


Expression: TypeAlias = Compare | Present | Not | All | Any_

# ------------------------------------------------------------------------------------------------ tokens

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<word>[^\W\d][\w-]*(?:\.[\w-]+)*)
    | (?P<op><=|>=|!=|==|<>|[=<>~(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "has"})
_SAME = {"==": "=", "<>": "!="}
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

BUILT_IN: Mapping[str, str] = {
    "width": "number",
    "height": "number",
    "bytes": "number",
    "format": "text",
    "uri": "text",
    "added": "text",
    "label_count": "number",
}
FACTS = frozenset({"tag", *METADATA})
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\dZ?)?)?)?)?)?")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # text, number, word, keyword, op, end
    value: str
    column: int


def _tokens(source: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(source.rstrip())
    while at < end:
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            start = at + len(source[at:]) - len(source[at:].lstrip())
            if source[start] in "'\"":
                _fail(start, "this quoted text has no end; a closing quote is missing")
            _fail(start, f"unexpected {source[start]!r}")
        kind, value = match.lastgroup, match[match.lastgroup]
        if kind == "word" and value.lower() in _KEYWORDS:
            kind, value = "keyword", value.lower()
        tokens.append(_Token(kind, _SAME.get(value, value), match.start(match.lastgroup)))
        at = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


def _fail(column: int, message: str) -> NoReturn:
    raise FilterError(f"filter, column {column + 1}: {message}")


def quoted(text: str) -> str:
    """Return a text as it stands in an expression: a value, or the name of a label that is no built-in field."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# ------------------------------------------------------------------------------------------------ parser


def parse(text: str) -> Expression:
    """Parse an expression; raise FilterError with the column and what was expected there."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"--where: {len(text)} characters; at most {MAX_LENGTH} are allowed")
    return _Parser(_tokens(text)).whole()


class _Parser:
    """Recursive descent, one method a rule."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Expression:
        expression = self._expression()
        if self._here.kind != "end":
            self._expected("'and', 'or' or the end")
        return expression

    def _expression(self) -> Expression:
        terms = [self._conjunction()]
        while self._take("keyword", "or"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else Any_(tuple(terms))

    def _conjunction(self) -> Expression:
        terms = [self._negation()]
        while self._take("keyword", "and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def _negation(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _fail(self._here.column, f"nested more than {MAX_DEPTH} deep")
        try:
            if self._take("keyword", "not"):
                return Not(self._negation())
            if self._take("op", "("):
                expression = self._expression()
                self._need("op", ")", "')'")
                return expression
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Expression:
        self._terms += 1
        if self._terms > MAX_TERMS:
            _fail(self._here.column, f"more than {MAX_TERMS} comparisons")
        field = self._field()
        token = self._here
        if token.kind == "op" and token.value in _COMPARISONS:
            self._at += 1
            return self._compare(field, token.value, (self._value(field),))
        if token.value in ("has", "~") and token.kind in ("keyword", "op"):
            self._at += 1
            return self._compare(field, "=" if token.value == "has" else "~", (self._text(field),))
        if self._take("keyword", "in"):
            return Compare(field, "in", self._values(field))
        if token.kind == "keyword" and token.value == "not":
            self._at += 1
            self._need("keyword", "in", "'in'")
            return Not(Compare(field, "in", self._values(field)))
        if field.built_in or token.kind in ("text", "number", "word"):
            self._expected("a comparison (=, !=, <, <=, >, >=, ~, has, in)")
        return Present(field)

    @staticmethod
    def _compare(field: Field, op: str, values: tuple[str | float, ...]) -> Expression:
        return Not(Compare(field, "=", values)) if op == "!=" else Compare(field, op, values)

    def _field(self) -> Field:
        token = self._here
        if token.kind == "word":
            self._at += 1
            return Field(token.value, built_in=token.value in BUILT_IN, fact=token.value in FACTS)
        if token.kind == "text":
            return Field(str(self._literal(token)))
        return self._expected("the name of a label")

    def _values(self, field: Field) -> tuple[str | float, ...]:
        self._need("op", "(", "'('")
        values = [self._value(field)]
        while self._take("op", ","):
            values.append(self._value(field))
            if len(values) > MAX_VALUES:
                _fail(self._here.column, f"more than {MAX_VALUES} values")
        self._need("op", ")", "',' or ')'")
        return tuple(values)

    def _value(self, field: Field) -> str | float:
        token = self._here
        if token.kind not in ("text", "number"):
            self._expected("a 'quoted text' or a number")
        if field.built_in and token.kind != BUILT_IN[field.name]:
            self._expected(f"a {BUILT_IN[field.name]}, since {field.name} is one")
        if field.built_in and field.name == "added" and not _DATE.fullmatch(token.value[1:-1]):
            self._expected("a date such as '2026-11-21' (UTC)")
        if compares_dates(field) and not (token.kind == "text" and _DATE.fullmatch(token.value[1:-1])):
            self._expected("a date in quotes, such as '2019-07-21'")
        return self._literal(token)

    def _text(self, field: Field) -> str | float:
        token = self._here
        if token.kind != "text":
            self._expected("a 'quoted text'")
        if field.built_in and BUILT_IN[field.name] != "text":
            self._expected(f"= or another comparison with a number, since {field.name} is one")
        return self._literal(token)

    def _literal(self, token: _Token) -> str | float:
        self._at += 1
        if token.kind == "number":
            number = float(token.value)
            return number if math.isfinite(number) else _fail(token.column, "a number too large")
        text = _ESCAPED.sub(r"\1", token.value[1:-1])
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            _fail(token.column, "a text may hold neither a NUL nor half a surrogate pair")
        return text

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, kind: str, value: str) -> bool:
        found = self._here.kind == kind and self._here.value == value
        self._at += found
        return found

    def _need(self, kind: str, value: str, name: str) -> None:
        if not self._take(kind, value):
            self._expected(name)

    def _expected(self, what: str) -> NoReturn:
        found = repr(self._here.value) if self._here.kind != "end" else "the end"
        hint = "; a text stands in quotes" if self._here.kind == "word" and "quoted" in what else ""
        _fail(self._here.column, f"expected {what}, found {found}{hint}")


# ------------------------------------------------------------------------------------------------ labels


def labels_needed(expression: Expression, *, negated: bool = False) -> Iterator[str]:
    """Yield the labels that an expression speaks of, but those that pictures are not to have."""
    match expression:
        case All(terms) | Any_(terms):
            for term in terms:
                yield from labels_needed(term, negated=negated)
        case Not(term):
            yield from labels_needed(term, negated=not negated)
        case _:
            if not (negated or expression.field.built_in or expression.field.fact):
                yield expression.field.name


# ------------------------------------------------------------------------------------------------ SQL

_COLUMNS: Mapping[str, str] = {
    "width": "contents.width",
    "height": "contents.height",
    "bytes": "contents.bytes",
    "format": "contents.format",
    "added": "strftime('%Y-%m-%dT%H:%M:%SZ', contents.added_at, 'unixepoch')",
    "uri": "uri",
    # words, of which a label may have several; numbers are no labels
    "label_count": "(SELECT count(*) FROM labels WHERE content_id = contents.id AND number IS NULL)",
}
_NAMED = "SELECT content_id FROM {table} WHERE name = ? AND {condition}"
_LOCATION = "SELECT content_id FROM locations WHERE {condition}"
# Of all pictures a comparison is answered by one read of an index; of a few, by a look at each. The plus keeps SQLite
# from reading the index for each of them all the same: without statistics it takes ``number > ?`` to leave few rows.
_AMONG = ("contents.id IN ({query})", "")
_OF_EACH = ("EXISTS ({query} AND content_id = contents.id)", "+")


class Compiled(tuple[str, Sequence[object]]):
    """An expression as a condition over the table ``contents`` and its parameters."""

    expression: Expression

    def __new__(cls, expression: Expression) -> Self:
        """Compile an expression."""
        made = super().__new__(cls, compile_sql(expression))
        made.expression = expression
        return made

    @cached_property
    def of_each(self) -> tuple[str, list[object]]:
        """The same condition for a few pictures that are named: what it costs is what they cost."""
        return compile_sql(self.expression, _OF_EACH)


def compile_sql(expression: Expression, form: tuple[str, str] = _AMONG) -> tuple[str, list[object]]:
    """Return a condition over the table ``contents`` and its parameters."""
    match expression:
        case Not(term):
            sql, params = compile_sql(term, form)
            return f"NOT ({sql})", params
        case All(terms):
            return _joined(" AND ", terms, form)
        case Any_(terms):
            return _joined(" OR ", terms, form)
        case Compare(field) if field.built_in and field.name != "uri":
            return _built_in(expression)
        case Compare() | Present():
            found = selects(expression, form[1])
            sql = " OR ".join(form[0].format(query=sql) for sql, _ in found)
            return f"({sql})", [param for _, params in found for param in params]


def _joined(by: str, terms: tuple[Expression, ...], form: tuple[str, str]) -> tuple[str, list[object]]:
    compiled = [compile_sql(term, form) for term in terms]
    return by.join(f"({sql})" for sql, _ in compiled), [param for _, params in compiled for param in params]


def selects(term: Compare | Present, mark: str = "") -> list[tuple[str, list[object]]]:
    """Return queries, each with its parameters, for the ids of all pictures that meet a comparison, live or not.

    ``mark`` stands before the columns that are compared.
    """
    field = term.field
    if isinstance(term, Present):
        return _of_tables(field, "1", [])
    if field.name == "uri" and field.built_in:
        sql, params = _either(f"{mark}uri", term.op, term.values)
        return [(_LOCATION.format(condition=sql), params)]
    if field.built_in:
        sql, params = _built_in(term)
        return [(f"SELECT id FROM contents WHERE {sql}", params)]
    return _of_values(term, f"{mark}text", f"{mark}number")


def _of_values(term: Compare, text: str, number: str) -> list[tuple[str, list[object]]]:
    """Return the queries for labels, or facts, whose text or number meets a comparison."""
    texts = [value for value in term.values if isinstance(value, str)]
    numbers = [value for value in term.values if not isinstance(value, str)]
    found: list[tuple[str, list[object]]] = []
    if compares_dates(term.field) and term.op != "~":
        sql, params = _dated(text, term.op, texts)
        return _of_tables(term.field, f"{number} IS NULL AND {sql}", params)
    if texts:
        sql, params = _either(text, term.op, texts)
        # A number is stored as its text, too; it is no text to us.
        found += _of_tables(term.field, f"{number} IS NULL AND {sql}", params)
    if numbers:
        found += _of_tables(term.field, *_either(number, term.op, numbers))
    return found


def _built_in(term: Compare) -> tuple[str, list[object]]:
    return _either(_COLUMNS[term.field.name], term.op, [_wanted(term.field, value) for value in term.values])


def _of_tables(field: Field, condition: str, params: list[object]) -> list[tuple[str, list[object]]]:
    """Return the query for labels of a name that meet a condition and, where the field is a fact, that for facts."""
    tables = ("labels", "facts") if field.fact else ("labels",)
    return [(_NAMED.format(table=table, condition=condition), [field.name, *params]) for table in tables]


def _either(column: str, op: str, values: Sequence[str | float]) -> tuple[str, list[object]]:
    """Compare one column with one value, or with any of several."""
    if op == "~":
        return f"instr(lower({column}), ?) > 0", [_fold(str(values[0]))]
    if column == _COLUMNS["added"]:
        return _dated(column, op, values)
    if column == _COLUMNS["format"]:
        column = f"lower({column})"
    if op == "in":
        return f"{column} IN ({', '.join('?' * len(values))})", list(values)
    return f"{column} {op} ?", list(values)


def _dated(column: str, op: str, values: Sequence[str | float]) -> tuple[str, list[object]]:
    """Compare only as much of a date as is given: '2026-11' stands for the whole month."""
    sql = " OR ".join(f"substr({column}, 1, ?) {'=' if op == 'in' else op} ?" for _ in values)
    return f"({sql})", [part for value in values for part in (len(str(value)), value)]


def compares_dates(field: Field) -> bool:
    """Tell whether a field is when a picture was taken, whose texts are compared as dates."""
    return field.fact and field.name == TAKEN


def _wanted(field: Field, value: str | float) -> str | float:
    return _fold(str(value)) if field.name == "format" else value


# ------------------------------------------------------------------------------------------------ Python

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": lambda value, part: _fold(part) in _fold(value),
}


def matches(
    expression: Expression,
    labels: Mapping[str, LabelValue],
    facts: Mapping[str, LabelValue] | None = None,
) -> bool:
    """Say whether a picture with these labels meets the expression, as ``compile_sql`` would.

    ``facts`` gives ``tag`` and the built-in fields (``width``, ``added`` in seconds since 1970 …); one that is absent
    meets no comparison.
    """
    match expression:
        case Not(term):
            return not matches(term, labels, facts)
        case All(terms):
            return all(matches(term, labels, facts) for term in terms)
        case Any_(terms):
            return any(matches(term, labels, facts) for term in terms)
        case Present(field):
            return any(each.get(field.name, ()) != () for each in _kept(field, labels, facts))
        case Compare(field, op, wanted):
            kept = (facts or {},) if field.built_in else _kept(field, labels, facts)
            found = [value for each in kept for value in _values_of(each.get(field.name))]
            if field == _COUNT:
                found = [float(sum(_is_word(value) for value in _all_values(labels)))]
            return any(_meets(field, op, value, other) for value in found for other in wanted)


def _kept(
    field: Field, labels: Mapping[str, LabelValue], facts: Mapping[str, LabelValue] | None
) -> tuple[Mapping[str, LabelValue], ...]:
    """Return where values of a field are: among labels, where it is a fact among facts, too."""
    return (labels, facts or {}) if field.fact else (labels,)


_COUNT = Field("label_count", built_in=True)


def _all_values(labels: Mapping[str, LabelValue]) -> list[str | float]:
    return [value for each in labels.values() for value in _values_of(each)]


def _is_word(value: str | float) -> bool:
    return isinstance(value, str)


def _values_of(value: LabelValue | None) -> tuple[str | float, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _meets(field: Field, op: str, value: str | float, wanted: str | float) -> bool:
    if field.built_in and field.name == "added":
        value = datetime.fromtimestamp(float(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        value = value if op == "~" else value[: len(str(wanted))]
    if isinstance(value, str) != isinstance(wanted, str):
        return False
    if compares_dates(field) and op != "~":
        value = str(value)[: len(str(wanted))]
    if field.built_in and field.name == "format":
        value, wanted = _fold(str(value)), _fold(str(wanted))
    return _OPERATORS["=" if op == "in" else op](value, wanted)


def _fold(text: str) -> str:
    """Lower A to Z alone, as SQLite does."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)
