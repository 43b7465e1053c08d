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

import pyarrow
import pytest
from pyarrow import parquet

from sosie.contracts import Source
from sosie.registry import SOURCES, plugged_in
from sosie.sources.archive import TarSource, ZipSource
from sosie.sources.dataset import Dataset
from sosie.sources.folder import FolderSource
from sosie.sources.image_table import ImageTableSource
from sosie.sources.sqlite_dataset import SqliteDatasetSource
from sosie.sources.url_list import UrlListSource
from sosie.sources.web.addresses import Internet
from sosie.sources.web.download import Download
from sosie.testing.servers import PictureServer
from sosie.testing.sources import SOURCE_CHECKS, Make, planted_sources

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


def image_table(tmp_path: Path, pictures: Pictures) -> ImageTableSource:
    path = tmp_path / "table.parquet"
    rows = [{"bytes": data, "path": name} for name, data in pictures.items()]
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    parquet.write_table(pyarrow.table({"image": pyarrow.array(rows, picture)}), path)
    return ImageTableSource(path)


KINDS = {
    "folder": folder,
    "zip": zipped,
    "tar.gz": tarred,
    "tar": plain_tar,
    "list": path_list,
    "parquet": image_table,
    **planted_sources(),
}
# The kinds of the table, by what plants pictures for them; those of web and cloud have tests of their own.
TABLE = {
    "folder": [folder],
    "archive": [zipped, tarred, plain_tar],
    "url-list": [path_list],
    "image-table": [image_table],
    "sqlite-dataset": [],
}
ELSEWHERE = {
    "sqlite-dataset": "test_in_the_web",
    "web": "tests/unit/test_sources_crawl.py",
    "sitemap": "tests/unit/test_sources_crawl.py",
    "objects": "tests/unit/test_sources_objects.py",
}


def test_a_source_of_the_table_is_put_through_its_contract() -> None:
    assert set(SOURCES) == {name for name, plants in TABLE.items() if plants} | set(ELSEWHERE), (
        "a new source needs a function here that plants pictures for it"
    )
    assert {plant for plants in TABLE.values() for plant in plants} <= set(KINDS.values())
    assert set(planted_sources()) == set(plugged_in("sources")), "a plug-in names what plants, see examples/plugin"


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_on_disk(kind: str, check: Callable[[Make], None], tmp_path: Path) -> None:
    check(lambda pictures: KINDS[kind](tmp_path, pictures))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", [json_list, database])
def test_in_the_web(
    kind: Callable[[Path, Pictures, str], Source], check: Callable[[Make], None], tmp_path: Path, server: PictureServer
) -> None:
    def make(pictures: Pictures) -> Source:
        server.pages.update({f"/{quote(name)}": data for name, data in pictures.items()})
        return kind(tmp_path, pictures, server.url)

    check(make)
