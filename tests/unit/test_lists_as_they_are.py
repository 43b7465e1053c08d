"""Lists and archives as people's programs write them: no row is lost, no label garbled."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from sosie.sources.archive import ZipSource
from sosie.sources.folder import FolderSource
from sosie.sources.url_list import UrlListSource
from sosie.types import ImageRef
from tests.pictures import jpeg


def listed(path: Path, data: bytes) -> list[tuple[str, dict]]:
    path.write_bytes(data)
    return [(ref.uri.rpartition("/")[2], dict(ref.labels)) for ref in UrlListSource(path)]


def test_a_csv_of_paths_needs_no_header(tmp_path: Path) -> None:
    found = listed(tmp_path / "a.csv", b"0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n")
    assert found == [("0.jpg", {"column2": "cat"}), ("1.jpg", {"column2": "dog"}), ("2.jpg", {"column2": "cat"})]


def test_labels_in_windows_1252_are_read(tmp_path: Path) -> None:
    found = listed(tmp_path / "a.csv", "path,label\n0.jpg,Größe – €\n".encode("cp1252"))
    assert found == [("0.jpg", {"label": "Größe – €"})]


def test_paths_written_on_windows_are_understood(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("path\nsub\\0.jpg\n")
    assert [ref.uri for ref in UrlListSource(source)] == [(tmp_path / "sub/0.jpg").as_uri()]


def test_json_lines_with_mixed_keys_lose_no_row(tmp_path: Path) -> None:
    lines = b'{"url": null}\n{"path": "0.jpg"}\n{"path": "1.jpg", "label": "cat"}\n"2.jpg"\n'
    assert listed(tmp_path / "a.jsonl", lines) == [("0.jpg", {}), ("1.jpg", {"label": "cat"}), ("2.jpg", {})]


class Raw(zipfile.ZipInfo):
    """A member whose name is written in bytes of its own."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits & ~0x800


def zip_of(path: Path, names: Sequence[bytes]) -> list[ImageRef]:
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            member = Raw(str(number))
            member.raw = name
            archive.writestr(member, jpeg(number))
    source = ZipSource(path, label_from_folders=True)
    refs = list(source)
    assert [source.read(ref) for ref in refs] == [jpeg(number) for number in range(len(names))]
    return refs


@pytest.mark.parametrize(
    ("charset", "folder"), [("shift_jis", "写真"), ("shift_jis", "表示"), ("utf-8", "größe"), ("cp437", "Übung")]
)
def test_names_in_a_zip_become_labels_as_they_were_written(tmp_path: Path, charset: str, folder: str) -> None:
    refs = zip_of(tmp_path / "a.zip", [f"{folder}/0.jpg".encode(charset)])
    assert [dict(ref.labels) for ref in refs] == [{"label": folder}]


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", ".Trash-1000", "System Volume Information"])
def test_what_systems_keep_for_themselves_is_left_out(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / name, tmp_path / "mine"):
        folder.mkdir()
        (folder / "0.jpg").write_bytes(jpeg(0))
    assert [ref.uri for ref in FolderSource(tmp_path)] == [(tmp_path / "mine/0.jpg").as_uri()]
