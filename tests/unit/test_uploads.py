"""What a library keeps of uploads: once, as long as the picture is there, and nothing of what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import sosie
from sosie.catalogue import check
from sosie.errors import BadPicture, LibraryReadOnly
from sosie.library import Library
from sosie.maintenance.checkup import examine
from sosie.models.engine import Engine
from tests.pictures import jpeg


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as made:
        yield made


def uploads(library: Library) -> list[Path]:
    return sorted((library.path / "uploads").glob("*"))


def strays(library: Library) -> list[str]:
    return [finding.what for finding in examine(library) if finding.kind == "stray_upload"]


def test_an_upload_goes_with_its_picture(library: Library) -> None:
    first, second = (library.add_bytes(jpeg(seed))[0] for seed in (1, 2))
    library.thumbnail(first)
    assert library.remove([first]) == 1
    assert len(uploads(library)) == 1
    assert library.read(second) == jpeg(2)


def test_a_picture_that_is_there_is_not_kept_twice(library: Library, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_bytes(jpeg(1))
    library.add(tmp_path / "mine", workers=1)
    assert library.add_bytes(jpeg(1), labels={"a": "b"}) == (1, "known")
    assert uploads(library) == [] and library.picture(1).labels == {"a": "b"}


def test_a_picture_whose_file_is_gone_is_kept(library: Library, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_bytes(jpeg(1))
    library.add(tmp_path / "mine", workers=1)
    (tmp_path / "mine" / "a.jpg").unlink()
    assert library.add_bytes(jpeg(1))[1] == "known"
    assert library.read(1) == jpeg(1)


def test_a_refused_upload_leaves_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadPicture):
        library.add_bytes(b"no picture")
    monkeypatch.setattr("sosie.models.uploads.ingest", lambda *_args, **_more: None)  # as when the disk fills up in it
    with pytest.raises(BadPicture, match="not_embedded"):
        library.add_bytes(jpeg(1))
    assert uploads(library) == []


def test_the_same_upload_at_once_is_one_picture(library: Library) -> None:
    with ThreadPoolExecutor(8) as threads:
        told = [each.result() for each in [threads.submit(library.add_bytes, jpeg(1)) for _ in range(16)]]
    assert {content_id for content_id, _ in told} == {1}
    assert [status for _, status in told].count("indexed") == 1
    assert [path.read_bytes() for path in uploads(library)] == [jpeg(1)]


def test_uploading_beside_removing_never_loses_what_is_known(library: Library) -> None:
    def both(_: int) -> None:
        content_id, _status = library.add_bytes(jpeg(1))
        library.remove([content_id])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(both, range(12)))
    assert library.stats()["pictures"] == len(uploads(library)) == 0


def test_a_stray_upload_is_found_and_removed(library: Library) -> None:
    content_id, _ = library.add_bytes(jpeg(1))
    assert strays(library) == []
    library.catalogue.remove([content_id])  # as when the power fails before the file is removed
    (found,) = [finding for finding in examine(library) if finding.kind == "stray_upload"]
    assert found.mend is not None
    found.mend()
    assert uploads(library) == [] and strays(library) == []


def test_a_library_that_is_read_only_keeps_nothing(library: Library) -> None:
    with sosie.open(library.path, read_only=True) as opened, pytest.raises(LibraryReadOnly):
        opened.add_bytes(jpeg(1))
    assert not (library.path / "uploads").exists()


def test_uploads_are_embedded_anew_by_one_set_of_workers(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 2, 3):
        library.add_bytes(jpeg(seed))
    started: list[str] = []
    start = Engine.start_pool

    def counted(engine: Engine, analyse: str, workers: int, wanted: Mapping[str, Any]) -> object:
        started.append(analyse)
        return start(engine, analyse, workers, wanted)

    monkeypatch.setattr(Engine, "start_pool", counted)
    for content_id in (1, 2, 3):
        check.drop_vectors(library.catalogue, content_id)
    assert (library.models.catch_up(workers=1).indexed, library.models.lacking(), len(started)) == (3, 0, 1)
