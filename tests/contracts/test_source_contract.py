"""Every kind of source keeps the contract that is shipped in sosie.testing."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from sosie.contracts import Source
from sosie.sources.archive import TarSource, ZipSource
from sosie.sources.dataset import Dataset
from sosie.sources.folder import FolderSource
from sosie.sources.sqlite_dataset import SqliteDatasetSource
from sosie.sources.url_list import UrlListSource
from sosie.sources.web.addresses import Internet
from sosie.sources.web.download import Download
from sosie.testing.servers import PictureServer
from sosie.testing.sources import SOURCE_CHECKS, Make

Pictures = Mapping[str, bytes]


def folder(tmp_path: Path, pictures: Pictures) -> FolderSource:
    root = tmp_path / "folder-source"
    root.mkdir(exist_ok=True)
    for name, data in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return FolderSource(root)


def zipped(tmp_path: Path, pictures: Pictures) -> ZipSource:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pictures.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return ZipSource(path)


def tarred(tmp_path: Path, pictures: Pictures, *, mode: str = "w:gz") -> TarSource:
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in pictures.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return TarSource(path)


def plain_tar(tmp_path: Path, pictures: Pictures) -> TarSource:
    return tarred(tmp_path, pictures, mode="w")


def path_list(tmp_path: Path, pictures: Pictures) -> UrlListSource:
    folder(tmp_path, pictures)
    path = tmp_path / "folder-source" / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "n"], *([name, n] for n, name in enumerate(pictures))])
    return UrlListSource(path)


def json_list(tmp_path: Path, pictures: Pictures, url: str) -> UrlListSource:
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps({"url": f"{url}/{quote(name)}"}) + "\n" for name in pictures))
    return UrlListSource(path, download=Download(internet=Internet(allow_private=True)))


def database(tmp_path: Path, pictures: Pictures, url: str) -> SqliteDatasetSource:
    path = tmp_path / "d.sqlite"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE modules (mid INTEGER PRIMARY KEY, src TEXT)")
        rows = [(f"{url}/{quote(name)}",) for name in pictures]
        connection.executemany("INSERT INTO modules (src) VALUES (?)", rows)
    connection.close()
    return SqliteDatasetSource(
        path, Dataset("modules", "src"), download=Download(internet=Internet(allow_private=True))
    )


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", [folder, zipped, tarred, plain_tar, path_list])
def test_on_disk(kind: Callable[[Path, Pictures], Source], check: Callable[[Make], None], tmp_path: Path) -> None:
    check(lambda pictures: kind(tmp_path, pictures))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", [json_list, database])
def test_in_the_web(
    kind: Callable[[Path, Pictures, str], Source], check: Callable[[Make], None], tmp_path: Path, server: PictureServer
) -> None:
    def make(pictures: Pictures) -> Source:
        server.pages.update({f"/{quote(name)}": data for name, data in pictures.items()})
        return kind(tmp_path, pictures, server.url)

    check(make)
