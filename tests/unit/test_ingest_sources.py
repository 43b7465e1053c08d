"""What ingest makes of sources other than folders."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.errors import UsageError
from sosie.sources.archive import TarSource
from tests.pictures import folder_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = folder_of(tmp_path / "pictures", 6)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder, ".")
    return path


def test_an_archive_is_added_once_and_its_members_can_be_read_again(archive: Path, tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        assert lib.add(archive, label_from_folders=True).indexed == 6
        again = lib.add(archive)
        assert (again.unchanged, again.indexed) == (6, 0)
        record = lib.pictures()[0]
        assert record.labels["label"] in ("even", "odd")
        assert len(lib.read(record.id)) == record.bytes
        assert lib.thumbnail(record.id)[:3] == b"\xff\xd8\xff"


def test_sync_drops_nothing_of_an_archive_that_breaks_off(archive: Path, tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        lib.add(archive)
        data = archive.read_bytes()
        archive.write_bytes(data[: len(data) // 2] + b"\xff" * 512)
        report = lib.add(TarSource(archive), sync=True)
        assert report.dropped == 0
        assert lib.catalogue.counts()["pictures"] == 6


def test_sync_of_a_website_is_refused(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib, pytest.raises(UsageError, match="never seen whole"):
        lib.add("https://a.example/", sync=True)


def test_a_list_and_its_columns_in_application_yaml(tmp_path: Path) -> None:
    folder_of(tmp_path / "pictures", 2)
    (tmp_path / "pictures" / "list.csv").write_text("file,kind,x\neven/00000.jpg,a,1\nodd/00001.jpg,b,2\n")
    (tmp_path / "application.yaml").write_text(
        "library: lib\nmodel: histogram\nsources:\n  - path: pictures/list.csv\n    url_column: file\n"
        "    label_columns: [kind]\n"
    )
    assert main(["run", str(tmp_path / "application.yaml")]) == 0
    with sosie.open(tmp_path / "lib") as lib:
        assert lib.labels() == {"kind": {"a": 1, "b": 1}}
