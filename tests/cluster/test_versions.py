"""Versions of the index: built beside the one that answers, swapped under load, and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sosie.cli import main
from sosie.errors import LibraryBusy, UnknownName, UsageError
from sosie.library import Library
from tests.cluster.conftest import Open
from tests.pictures import folder_of


@contextmanager
def load(lib: Library, asked: list[int]) -> Iterator[dict[str, object]]:
    """Search all the time, from two threads, and keep what goes wrong and which models answered."""
    seen: dict[str, object] = {"answers": 0, "wrong": [], "models": set()}
    stop = threading.Event()

    def search() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            try:
                found = lib.search(asked[at % len(asked)], k=5)
                assert len(found) == 5
                seen["answers"] += 1
                seen["models"].add(lib.model)
            except Exception as error:
                seen["wrong"].append(repr(error))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def wait_for(seen: dict[str, object], more: int) -> None:
    enough, moment = seen["answers"] + more, threading.Event()
    while seen["answers"] < enough and not seen["wrong"]:
        moment.wait(0.02)


def test_a_swap_to_a_second_model_under_load_and_back(opened: Open, tmp_path: Path) -> None:
    lib, asking = opened(), opened(model=None)
    lib.add(folder_of(tmp_path / "p", 40), workers=1)
    asked = [picture.id for picture in lib.pictures()]
    with load(asking, asked) as seen:
        wait_for(seen, 10)
        asking.models.use("bundled", force=True)  # embeds with it first
        asking.catalogue.rebuild("hnsw")
        wait_for(seen, 30)
        asking.view().forget()
        assert asking.view().description["kind"] == "hnsw"
        asking.catalogue.use(1)
        asking.models.use("histogram", force=True)
        wait_for(seen, 30)
    assert seen["wrong"] == []
    assert seen["models"] == {"histogram", "bundled"}
    assert [(v.number, v.kind, v.pictures, v.current) for v in lib.catalogue.versions()] == [
        (1, "int8_hnsw", 40, True),
        (2, "hnsw", 40, False),
    ]


@pytest.mark.parametrize("kind", ["flat", "bbq_hnsw"])
def test_a_kind_is_built_measured_and_said(
    opened: Open, address: str, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lib = opened()
    lib.add(folder_of(tmp_path / "p", 30), workers=1)
    before = [hit.id for hit in lib.search(lib.pictures()[0].id, k=5)]
    assert main(["index", "build", "--kind", kind, "--library", address]) == 0
    assert "recall@10 1.000" in capsys.readouterr().out
    again = opened()
    assert again.view().description["kind"] == kind and again.view().description["recall"] == 1.0
    assert [hit.id for hit in again.search(lib.pictures()[0].id, k=5)] == before
    assert again.add(folder_of(tmp_path / "p", 5, first=30), workers=1).indexed == 5
    assert len(again.search(lib.pictures()[0].id, k=40)) == 34


def test_a_version_that_lacks_what_was_written_since_is_not_used(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    lib.add(folder_of(tmp_path / "p", 5), workers=1)
    lib.catalogue.rebuild("flat")
    lib.catalogue.use(1)
    lib.catalogue.use(2)
    lib.add(folder_of(tmp_path / "p", 1, first=5), workers=1)
    with pytest.raises(UsageError, match="written since version 1 answered"):
        lib.catalogue.use(1)
    assert lib.add(folder_of(tmp_path / "p", 1, first=6), workers=1).indexed == 1  # and writers may go on
    with pytest.raises(UsageError, match="version 2 answers"):
        lib.catalogue.drop(2)
    lib.catalogue.drop(1)
    assert [version.number for version in lib.catalogue.versions()] == [2]
    with pytest.raises(UnknownName, match="known: 2"):
        lib.catalogue.use(1)


def test_writers_are_told_while_a_version_is_built_and_a_broken_build_changes_nothing(
    opened: Open, tmp_path: Path
) -> None:
    lib, other = opened(), opened()
    lib.add(folder_of(tmp_path / "p", 5), workers=1)
    told = []

    def meddle(done: int) -> None:
        try:
            other.set_labels(other.pictures()[0].id, {"mood": "calm"})
        except LibraryBusy as error:
            told.append(str(error))
            raise

    own = lib.catalogue
    with pytest.raises(LibraryBusy):
        own.rebuild("flat", progress=meddle)
    assert len(told) == 1 and "built anew" in told[0]
    assert [version.number for version in own.versions()] == [1]
    other.set_labels(other.pictures()[0].id, {"mood": "calm"})
    assert len(lib.pictures(where="mood")) == 1


def test_what_a_cluster_does_not_do_is_said(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    with pytest.raises(UsageError, match="no kind of vector index"):
        lib.indexes.build("annoy")
    with pytest.raises(UsageError, match="too few to tune"):
        lib.indexes.tune()
    with pytest.raises(UsageError, match="by --version"):
        lib.indexes.drop()
