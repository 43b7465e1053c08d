"""Totals are counted by triggers: after whatever commits they are what counting the rows gives."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sosie.catalogue import AddLocation, Catalogue
from sosie.catalogue.copying import move_places
from sosie.catalogue.totals import recount
from sosie.embedders.histogram import HistogramEmbedder
from sosie.testing.catalogues import ROOT, add, digest
from sosie.types import ImageRef

NUMBERS = st.integers(1, 6)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "place", "move", "lose", "remove", "embed", "drop"]), NUMBERS, NUMBERS),
    max_size=25,
)


def step(store: Catalogue, what: str, first: int, second: int) -> None:
    known = store.content_id(digest(first))
    ref = ImageRef(f"{ROOT}{second}.jpg")
    if what == "add":
        add(store, first)
    elif what == "place" and known:
        store.apply([AddLocation(digest(first), ref)], root=ROOT)
    elif what == "move" and known:
        store.apply([AddLocation(digest(first), ref, gone=(f"{ROOT}{first}.jpg",))], root=ROOT)
    elif what == "lose":
        store.drop_locations([f"{ROOT}{first}.jpg"])
    elif what == "remove" and known:
        store.remove([known])
    elif what == "embed":
        store.ensure_spaces(HistogramEmbedder.spec, regions="objects")
    elif what == "drop" and len(store.spaces()) > 1:
        store.drop_space(store.spaces()[0])


def told(store: Catalogue) -> dict[str, int]:
    return dict(store.query("SELECT name, value FROM totals"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_totals_are_what_counting_gives(tmp_path: Path, steps: list[tuple[str, int, int]]) -> None:
    path = tmp_path / "catalogue.sqlite"
    for each in tmp_path.iterdir():
        each.unlink()
    with closing(Catalogue(path)) as store:
        for each in steps:
            step(store, *each)
            assert told(store) == recount(store), each
        assert store.counts()["pictures"] == len(store.live_ids())


@pytest.mark.parametrize("read_only", [False, True])
def test_a_library_that_was_never_counted_is_counted_once(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path)) as store:
        add(store, 1, 2, 3)
        counted = store.counts()
        with store.transaction() as connection:
            connection.execute("UPDATE totals SET value = NULL")
        add(store, 4)
        assert set(told(store).values()) == {None}
    with closing(Catalogue(path, read_only=read_only)) as store:
        assert store.counts()["pictures"] == counted["pictures"] + 1 == 4
        assert store.count_embedded(store.spaces()[0]) == 4
        assert (told(store) == recount(store)) is not read_only


def test_places_that_are_moved_onto_others_are_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path)) as store:
        add(store, 1, 2)
        store.apply([AddLocation(digest(1), ImageRef("file:///other/2.jpg"))], root="file:///other/")
    assert move_places(path, "file:///other/", ROOT) == 1  # where the place of another picture is
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(Catalogue(path)) as store:
        assert store.counts()["pictures"] == 1 == len(store.live_ids()) and store.counts()["locations"] == 2
