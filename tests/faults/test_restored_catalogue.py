"""A catalogue that is put back, copied or emptied beside what was built from another one: never a wrong answer."""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from pathlib import Path

import pytest

import sosie
from sosie.catalogue import Catalogue
from sosie.catalogue.ids import mark_path, read_mark
from sosie.cli import main
from sosie.errors import EmptyCatalogue
from sosie.library import Library
from sosie.maintenance.checkup import examine
from sosie.testing.catalogues import add
from tests.pictures import folder_of, jpeg


def opened(folder: Path, **options: bool) -> Library:
    return sosie.open(folder, **({"model": "histogram"} | options))


def put_back(backup: Path, library: Path) -> None:
    """Do what people do: the old file in place of the new one, nothing of SQLite's beside it."""
    for path in library.glob("catalogue.sqlite*"):
        path.unlink()
    shutil.copy(backup, library / "catalogue.sqlite")


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    """A library with pictures 0 to 7, the index of one with 0 to 15 beside it, and an older catalogue in its place."""
    library = tmp_path / "library"
    with opened(library) as lib:
        lib.add(folder_of(tmp_path / "a", 8), workers=1)
        lib.copies.prepare()
    shutil.copy(library / "catalogue.sqlite", tmp_path / "backup.sqlite")
    with opened(library) as lib:
        lib.add(folder_of(tmp_path / "b", 8, first=8), workers=1)
        lib.copies.prepare()
        list(lib.copies.find_many([("q", jpeg(9))]))  # writes segments
        lib.indexes.build("exact")
        assert lib.view().description["kind"] == "exact" and lib.indexes.generation
    put_back(tmp_path / "backup.sqlite", library)
    return library


def test_what_an_older_catalogue_does_not_vouch_for_is_not_read(restored: Path, tmp_path: Path) -> None:
    with opened(restored) as lib:
        lib.add(folder_of(tmp_path / "c", 8, first=16), workers=1)
        lib.copies.prepare()
        with pytest.warns(UserWarning, match="not of this catalogue"):
            first = [lib.search(jpeg(seed, quality=70), k=1, verify=False).hits[0] for seed in range(16, 24)]
        assert [Path(hit.uri).name for hit in first] == [f"{seed:05d}.jpg" for seed in range(16, 24)]
        assert max(lib.search(jpeg(seed), k=1).hits[0].score for seed in range(8, 16)) < 0.995
        words = lib.copies.finder._words
        list(lib.copies.find_many([("q", jpeg(17))]))
        assert set(words.ids.tolist()) <= set(lib.catalogue.live_ids().tolist())
        assert [finding.kind for finding in examine(lib)] == ["damaged_index"]
    assert main(["doctor", "--fix", "--library", str(restored)]) == 0
    with opened(restored) as lib, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lib.search(jpeg(17), k=1).hits[0].score > 0.99 and lib.indexes.generation


def test_ids_go_on_above_the_mark_and_a_branch_begins(restored: Path, tmp_path: Path) -> None:
    with opened(restored) as lib:
        before = json.loads(lib.catalogue.query("SELECT value FROM meta WHERE key = 'epochs'")[0][0])
        lib.add(folder_of(tmp_path / "c", 2, first=16), workers=1)
        assert lib.catalogue.live_ids().tolist() == [*range(1, 9), 17, 18]
        after = json.loads(lib.catalogue.query("SELECT value FROM meta WHERE key = 'epochs'")[0][0])
        assert len(after) == len(before) + 1 and after[: len(before)] == before
        assert lib.catalogue.changes(before[-1][0]) is None  # of another branch


def test_a_catalogue_without_its_mark_takes_an_identity_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "one" / "catalogue.sqlite"
    path.parent.mkdir()
    store = Catalogue(path)
    add(store, 1)
    mine = store.query("SELECT value FROM meta WHERE key = 'identity'")
    store.close()
    other = tmp_path / "catalogue.sqlite"
    shutil.copy(path, other)
    for place in (path, other):
        store = Catalogue(place)
        add(store, 2)
        assert (store.query("SELECT value FROM meta WHERE key = 'identity'") == mine) is (place == path)
        assert mark_path(place).exists()
        store.close()


def test_the_mark_is_written_before_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Catalogue(tmp_path / "catalogue.sqlite")
    monkeypatch.setattr("sosie.catalogue.database.move_epoch", lambda _: 1 / 0)  # the power goes before the commit
    with pytest.raises(ZeroDivisionError):
        add(store, 1)
    monkeypatch.undo()
    mark = read_mark(store.path)
    assert store.spaces() == [] and mark is not None and mark.ids["spaces"] == 1
    store.close()
    store = Catalogue(tmp_path / "catalogue.sqlite")
    assert add(store, 1).id == 2  # 1 may have been seen
    store.close()


def test_an_empty_catalogue_is_damaged_and_nothing_of_before_is_mixed_in(tmp_path: Path) -> None:
    library = tmp_path / "library"
    with opened(library) as lib:
        lib.add(folder_of(tmp_path / "a", 6), workers=1)
        lib.indexes.build("exact")
    (library / "catalogue.sqlite").write_bytes(b"")
    with pytest.raises(EmptyCatalogue, match="sosie restore"):
        opened(library)
    picture = str(tmp_path / "a" / "even" / "00000.jpg")
    assert main(["search", picture, "--library", str(library)]) == 3
    assert main(["doctor", "--library", str(library)]) == 3
    more = folder_of(tmp_path / "b", 6, first=6)
    assert main(["add", str(more), "--library", str(library), "--model", "histogram"]) == 0
    assert [path.stat().st_size for path in library.glob("catalogue.sqlite.damaged-*")] == [0]
    with opened(library) as lib:
        assert lib.catalogue.live_ids().min() > 6
        assert max(lib.search(jpeg(seed), k=1, verify=False).hits[0].score for seed in range(6)) < 0.995
        assert [finding.kind for finding in examine(lib)] == ["orphaned_index"]


def test_a_catalogue_that_is_being_made_is_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def make(at: int) -> None:
        try:
            Catalogue(tmp_path / f"{at // 4}.sqlite").close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=make, args=(at,)) for at in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and not list(tmp_path.glob(".catalogue-*"))
