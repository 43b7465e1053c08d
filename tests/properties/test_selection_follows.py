"""Bitmaps of conditions that follow another process's commits hold what SQL finds, whatever the order of questions."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.arrays import Bits
from sosie.catalogue import Catalogue
from sosie.catalogue.where import _OF_EACH, compile_sql
from sosie.testing.catalogues import ROOT, add, digest

WHERES = (
    "colour = 'red'",
    "colour != 'red'",
    "colour = 'red' and n > 4",
    "colour in ('red', 'blue') or not n <= 7",
    "not (colour = 'red' or n >= 3) and uri ~ '1'",
    "n > 2 and width < 36",
    "tag = 'zebra' or colour",
    "label_count > 0 and format = 'jpeg'",
    "colour has 're' or colour ~ 'E'",
)
PICTURES = st.lists(st.integers(1, 14), min_size=1, max_size=5, unique=True)
DEEDS = ["add", "red", "blue", "number", "unlabel", "fact", "lose", "remove", "move", "forget"]
STEPS = st.lists(st.tuples(st.sampled_from(DEEDS), PICTURES, st.sampled_from(WHERES)), min_size=1, max_size=14)


def do(store: Catalogue, deed: str, numbers: list[int]) -> None:
    known = {n: i for n in numbers if (i := store.content_id(digest(n))) is not None}
    match deed:
        case "add":
            add(store, *numbers)
        case "red" | "blue":
            store.edit_labels([*known.values()], {"colour": deed})
        case "number":
            store.set_labels_of_each({i: {"n": float(n), "colour": ("red", "blue")} for n, i in known.items()})
        case "unlabel":
            store.edit_labels([*known.values()], {"colour": None, "n": None})
        case "fact":
            store.put_facts({i: {"tag": ("zebra",) if n % 2 else ()} for n, i in known.items()})
        case "lose":
            store.drop_locations([f"{ROOT}{n}.jpg" for n in numbers])
        case "remove":
            store.remove([*known.values()])
        case "move":
            add(store, *known)  # back at their places
        case "forget":
            with store.transaction("a test") as connection:
                connection.execute("DELETE FROM changes")
                (epoch,) = connection.execute("SELECT value + 1 FROM meta WHERE key = 'epoch'").fetchone()
                connection.execute("UPDATE meta SET value = ? WHERE key = 'changes_since'", (epoch,))


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, few=st.sampled_from([0, 3, 4096]))
def test_bitmaps_hold_what_sql_finds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int], str]], few: int
) -> None:
    path = tmp_path_factory.mktemp("follows") / "catalogue.sqlite"
    with closing(Catalogue(path)) as other, closing(Catalogue(path)) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sosie.catalogue.selection._FEW", few)
        add(other, *range(1, 9), labels={"n": 5.0})
        for deed, numbers, where in steps:
            do(other, deed, numbers)
            condition = store.condition(where)
            assert condition is not None
            expected = other.live_ids(condition).tolist()
            assert store.selection.of(condition).ids.tolist() == expected, (deed, numbers, where)
            assert sorted(store.meeting(range(20), condition)) == expected
            again = [store.condition(each) for each in WHERES[:3]]
            assert [store.selection.of(each).ids.tolist() for each in again if each] == [
                other.live_ids(each).tolist() for each in again
            ]


@pytest.mark.parametrize(
    "where", [*WHERES, "n = 5", "n in (1, 2)", "colour < 'red'", "uri > 'a'", "tag < 'z'", "exif.date > '2020'"]
)
def test_a_look_at_a_few_pictures_reads_no_index_of_all(tmp_path: Path, where: str) -> None:
    """The guard: without the mark before its column, ``n > 4`` reads every number above 4 for each picture."""
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as store:
        condition = store.condition(where)
        assert condition is not None

        def plan(form: tuple[str, list[object]]) -> str:
            sql = f"SELECT id FROM contents WHERE id IN (1, 2) AND ({form[0]})"
            return " ".join(str(row[3]) for row in store.query(f"EXPLAIN QUERY PLAN {sql}", form[1]))

        wrong = ("_by_number", "_by_text", "locations USING PRIMARY KEY", "SCAN")
        assert not [each for each in wrong if each in plan(condition.of_each)], plan(condition.of_each)
        unmarked = compile_sql(condition.expression, (_OF_EACH[0], ""))
        if where in ("n > 2 and width < 36", "colour < 'red'"):
            assert any(each in plan(unmarked) for each in wrong)


def test_facts_are_followed_by_their_trigger(tmp_path: Path) -> None:
    """The guard: without it what was told of a picture later is not noticed."""

    def found(path: Path, *, listed: bool) -> list[int]:
        path.mkdir()
        with closing(Catalogue(path / "catalogue.sqlite")) as store:
            add(store, 1, 2)
            condition = store.condition("tag = 'zebra'")
            assert condition is not None and len(store.selection.of(condition)) == 0
            if not listed:
                store.query("DROP TRIGGER facts_insert")
            store.put_facts({2: {"tag": ("zebra",)}})
            return store.selection.of(condition).ids.tolist()

    assert found(tmp_path / "listed", listed=True) == [2]
    assert found(tmp_path / "not", listed=False) == []


def test_bitmaps_that_are_not_asked_for_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sosie.catalogue.selection._ROOM", 4)
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as store:
        add(store, *range(1, 9), labels={"n": 5.0})
        for number in range(20):
            condition = store.condition(f"n > {number}")
            assert condition is not None and len(store.selection.of(condition)) == (8 if number < 5 else 0)
        assert sum(bits.packed.nbytes for _, bits in store.selection._kept.values()) <= 4


_sets = st.lists(st.integers(0, 70), max_size=12, unique=True).map(lambda ids: np.array(sorted(ids), np.int64))


@given(first=_sets, second=_sets, low=st.integers(0, 60), width=st.integers(0, 40))
def test_bits_are_sets(first: np.ndarray, second: np.ndarray, low: int, width: int) -> None:
    one, two = Bits.of(first), Bits.of(second)
    a, b = set(first.tolist()), set(second.tolist())
    assert (one.ids.tolist(), len(one)) == (sorted(a), len(a))
    assert [(each).ids.tolist() for each in (one & two, one | two, one - two)] == [
        sorted(each) for each in (a & b, a | b, a - b)
    ]
    assert one.mask(low, low + width).tolist() == [i in a for i in range(low, low + width + 1)]
    assert one.has(second).tolist() == [i in a for i in second.tolist()]
    assert one.changed(second, second[::2]).ids.tolist() == sorted((a - b) | set(second[::2].tolist()))
