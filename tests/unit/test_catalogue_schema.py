"""A library of schema 1 opens and answers as before: tests/data holds one as that Sosie left it."""

from __future__ import annotations

import json
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sosie
from sosie.catalogue import Catalogue, schema
from sosie.testing.catalogues import add, digest
from tests.data.library_of_schema_1 import ARCHIVE, answers


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
        archive.extractall(tmp_path, **safely)
    return tmp_path


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("read_only", [False, True])
def test_a_library_of_schema_1_answers_as_before(older: Path, read_only: bool) -> None:
    with sosie.open(older / "library", read_only=read_only) as lib:
        now = answers(lib, older / "pictures")
        integrity = lib.catalogue.query("PRAGMA main.integrity_check")
    assert now == told(older) and integrity == [("ok",)]
    with closing(sqlite3.connect(older / "library" / "catalogue.sqlite")) as file:
        assert file.execute("PRAGMA user_version").fetchone()[0] == (1 if read_only else schema.VERSION)


def test_what_came_with_schema_2_is_empty_in_an_older_library(older: Path) -> None:
    for read_only in (True, False):
        with sosie.open(older / "library", read_only=read_only) as lib:
            content = lib.catalogue.content(1)
            assert (content.pixels_version, content.frames, content.repaired) == (1, None, None)
            assert [(place.seen_at, place.gone_at) for place in lib.catalogue.places_of(1)] == [(None, None)]
            assert (lib.catalogue.facts_of([1]), lib.catalogue.log(), lib.catalogue.jobs()) == ({}, [], [])
            assert not lib.catalogue.changes(lib.catalogue.epoch())


def test_the_migration_takes_milliseconds_whatever_the_library_holds(older: Path) -> None:
    path = older / "library" / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO contents"
            " (id, sha256, bytes, format, width, height, pixels, added_at, digest)"
            " SELECT i, randomblob(32), 1, 'JPEG', 1, 1, randomblob(16), 0, randomblob(8) FROM n"
        )
        file.execute(
            "INSERT INTO locations SELECT 'file:///' || id, id, 'file:///', 1, 1, 1 FROM contents WHERE id > 99"
        )
        file.commit()
    size, started = path.stat().st_size, time.perf_counter()
    with closing(Catalogue(path)):
        took = time.perf_counter() - started
    assert took < 1, took  # far below it on an idle machine; a busy one takes longer
    assert path.stat().st_size - size < 200_000  # no row was written anew


def test_a_second_opening_changes_nothing(older: Path) -> None:
    path = older / "library" / "catalogue.sqlite"
    with closing(Catalogue(path)) as store:
        identity = store.query("SELECT value FROM meta WHERE key = 'identity'")
    with closing(Catalogue(path)) as store:
        assert store.query("SELECT value FROM meta WHERE key = 'identity'") == identity
        numbers = [row[0] for row in store.query("SELECT number FROM migrations")]
        assert len(identity[0][0]) == 32 and numbers == list(range(1, schema.VERSION + 1))


def test_changes_that_are_old_are_forgotten_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sosie.catalogue.epochs._MOST", 100)
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as store:
        add(store, 1)
        content_id = store.content_id(digest(1))
        assert content_id is not None
        for n in range(200):
            store.set_labels(content_id, {"n": str(n)})
        assert store.changes(0) is None
        kept = store.query("SELECT count(*) FROM changes")[0][0]
        assert kept < 200
        last = store.changes(store.epoch() - 20)
        assert last is not None and len(last) == 20
