"""Thumbnails are kept in a folder or an object store, under names that lead nowhere else."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import pytest

from sosie.analysis.thumbnails import FolderThumbnails, StoredThumbnails, Thumbnails
from sosie.errors import MissingExtra, UsageError
from sosie.library import Library
from tests.pictures import folder_of, jpeg

NAME = "ab" * 32
PICTURE = jpeg(1)


@pytest.fixture(params=["folder", "file", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Thumbnails:
    if request.param == "folder":
        return FolderThumbnails(tmp_path / "t")
    return StoredThumbnails({"file": (tmp_path / "t").as_uri(), "memory": f"memory://{uuid.uuid4()}/t/"}[request.param])


def test_a_thumbnail_is_kept_and_dropped(kept: Thumbnails) -> None:
    assert kept.get(NAME) is None
    for _ in range(2):
        kept.put(NAME, PICTURE)
        assert kept.get(NAME) == PICTURE
    for _ in range(2):
        kept.drop(NAME)
        assert kept.get(NAME) is None


@pytest.mark.parametrize("name", ["../../secret", "ab" * 31, "AB" * 32, NAME + "\n", "a/" * 32, ""])
def test_a_name_that_is_no_digest_leads_nowhere(kept: Thumbnails, name: str) -> None:
    for call in (lambda: kept.get(name), lambda: kept.put(name, PICTURE), lambda: kept.drop(name)):
        with pytest.raises(ValueError, match="no SHA-256"):
            call()


@pytest.mark.parametrize("found", [b"", b"<html>", PICTURE[:-1], PICTURE[:-2] + bytes(1 << 20) + PICTURE[-2:]])
def test_what_is_no_whole_thumbnail_is_not_shown(tmp_path: Path, found: bytes) -> None:
    kept = StoredThumbnails(tmp_path.as_uri())
    kept.put(NAME, PICTURE)
    next(tmp_path.rglob("*.jpg")).write_bytes(found)
    assert kept.get(NAME) is None


def test_a_store_that_is_away_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a file where a folder should be")
    kept = StoredThumbnails((tmp_path / "t").as_uri())
    with pytest.warns(UserWarning, match="thumbnails at file://"):
        kept.put(NAME, PICTURE)
    with pytest.warns(UserWarning, match="thumbnails at file://"):
        assert kept.get(NAME) is None


def test_what_is_no_place_for_thumbnails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        StoredThumbnails("/mnt/thumbnails")
    with pytest.raises(UsageError, match="nowhere://x"):
        StoredThumbnails("nowhere://x").get(NAME)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[gcs\]"):
        StoredThumbnails("gs://bucket/x").get(NAME)


def test_a_picture_that_is_removed_takes_its_thumbnail_along(tmp_path: Path) -> None:
    with Library(tmp_path / "library", model="histogram") as lib:
        lib.add(folder_of(tmp_path / "p", 2), workers=1)
        first, second = lib.pictures()
        for each in (first, second):
            lib.thumbnail(each.id)
        lib.remove([first.id])
        assert [path.stem for path in (tmp_path / "library/thumbnails").rglob("*.jpg")] == [second.sha256]
