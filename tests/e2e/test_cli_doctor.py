"""`sosie doctor` on planted damage: each kind is found, mended, and a second run has nothing to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from tests.pictures import folder_of, jpeg

MODEL = ("--model", "histogram")


class Damaged:
    """A healthy library of twelve pictures, for planting damage in."""

    def __init__(self, path: Path) -> None:
        self.folder = folder_of(path / "pictures", 12)
        (self.folder / "bad.jpg").write_bytes(b"no picture")
        self.library = path / "lib"
        assert main(["add", str(self.folder), "-L", str(self.library), *MODEL, "--label-from-folders"]) == 0
        with sosie.open(self.library) as lib:
            lib.indexes.build("exact")
            for content_id in (1, 2):
                lib.thumbnail(content_id)

    def sql(self, *statements: str) -> None:
        with sqlite3.connect(self.library / "catalogue.sqlite") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    @property
    def picture(self) -> Path:
        return self.folder / "even" / "00000.jpg"


@pytest.fixture
def damaged(tmp_path: Path) -> Damaged:
    return Damaged(tmp_path)


def doctor(library: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = main(["doctor", "-L", str(library), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def missing_file(d: Damaged) -> None:
    d.picture.unlink()


def changed_file(d: Damaged) -> None:
    d.picture.write_bytes(jpeg(99))


def damaged_vector(d: Damaged) -> None:
    d.sql("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE content_id = 3")


def lacking_vector(d: Damaged) -> None:
    d.sql("DELETE FROM vectors WHERE content_id = 4")


def damaged_row(d: Damaged) -> None:
    d.sql("UPDATE contents SET width = width + 1 WHERE id = 5")


def damaged_features(d: Damaged) -> None:
    d.sql("INSERT INTO features (content_id, version, data, digest) VALUES (1, 'x', x'00', x'00')")


def orphaned_rows(d: Damaged) -> None:
    d.sql("PRAGMA foreign_keys = OFF", "INSERT INTO labels VALUES (999, 'a', 'single', 'b', NULL, NULL)")


def stale_quarantine(d: Damaged) -> None:
    (d.folder / "bad.jpg").unlink()


def damaged_index(d: Damaged) -> None:
    (manifest,) = (d.library / "indexes").glob("*/0*/manifest.json")
    big = max((file for file in manifest.parent.iterdir() if file != manifest), key=lambda file: file.stat().st_size)
    big.chmod(0o644)
    data = bytearray(big.read_bytes())
    data[len(data) // 2] ^= 0xFF
    big.write_bytes(data)


def orphaned_index(d: Damaged) -> None:
    (d.library / "indexes" / "77-gone" / "000001").mkdir(parents=True)


def orphaned_thumbnail(d: Damaged) -> None:
    path = d.library / "thumbnails" / "ab" / ("ab" * 32 + ".jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(1))


def damaged_thumbnail(d: Damaged) -> None:
    path = next((d.library / "thumbnails").glob("*/*.jpg"))
    path.write_bytes(path.read_bytes()[:50])


def leftover(d: Damaged) -> None:
    (d.library / "uploads").mkdir(exist_ok=True)
    (d.library / "uploads" / "x.part").write_bytes(b"x")


def lost_watch(d: Damaged) -> None:
    assert main(["watch", "add", str(d.picture), "-L", str(d.library)]) == 0
    next((d.library / "watch").iterdir()).unlink()


KINDS: list[Callable[[Damaged], None]] = [
    missing_file, changed_file, damaged_vector, lacking_vector, damaged_row, damaged_features, orphaned_rows,
    stale_quarantine, damaged_index, orphaned_index, orphaned_thumbnail, damaged_thumbnail, leftover, lost_watch,
]  # fmt: skip


def test_a_healthy_library_has_nothing_to_mend(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(damaged.library, capsys) == (0, {"found": 0, "mended": 0, "findings": []})


def test_every_kind_is_found_and_mended_once(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    for plant in KINDS[1:]:
        plant(damaged)
    (damaged.folder / "odd" / "00001.jpg").unlink()
    originals = {path: path.read_bytes() for path in damaged.folder.rglob("*.jpg")}
    code, found = doctor(damaged.library, capsys)
    assert code == 1
    assert {finding["kind"] for finding in found["findings"]} == {plant.__name__ for plant in KINDS}
    code, mended = doctor(damaged.library, capsys, "--fix")
    assert (code, mended["found"]) == (0, mended["mended"])
    assert doctor(damaged.library, capsys) == (0, {"found": 0, "mended": 0, "findings": []})
    assert doctor(damaged.library, capsys, "--fix", "--deep")[1]["found"] == 0
    assert {path: path.read_bytes() for path in damaged.folder.rglob("*.jpg")} == originals
    with sosie.open(damaged.library) as lib:
        assert lib.catalogue.counts()["pictures"] == 11
        assert len(lib.vectors()[0]) == 11
        assert sum(lib.labels()["label"].values()) == 11


def test_without_fix_nothing_changes(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    for plant in (missing_file, leftover, orphaned_thumbnail):
        plant(damaged)
    before = sorted(path for path in damaged.library.rglob("*") if path.suffix not in (".sqlite-wal", ".sqlite-shm"))
    first = doctor(damaged.library, capsys)
    assert doctor(damaged.library, capsys) == first
    after = sorted(path for path in damaged.library.rglob("*") if path.suffix not in (".sqlite-wal", ".sqlite-shm"))
    assert after == before


def test_an_unmounted_source_is_not_forgotten(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    damaged.folder.rename(damaged.folder.with_name("unmounted"))
    code, found = doctor(damaged.library, capsys, "--fix")
    assert code == 1
    assert {finding["kind"] for finding in found["findings"]} <= {"source_away", "stale_quarantine"}
    with sosie.open(damaged.library) as lib:
        assert lib.catalogue.counts()["pictures"] == 12


def test_damage_that_needs_the_file_waits_for_it(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    damaged_vector(damaged)
    damaged.folder.rename(damaged.folder.with_name("unmounted"))
    code, found = doctor(damaged.library, capsys, "--fix")
    assert code == 1
    assert [f for f in found["findings"] if f["kind"] == "damaged_vector" and not f["mended"]]


def test_a_change_that_left_no_trace_is_found_by_reading(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    status = damaged.picture.stat()
    data = bytearray(damaged.picture.read_bytes())
    data[-20] ^= 0x01
    with damaged.picture.open("r+b") as file:
        file.write(data)
    os.utime(damaged.picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert doctor(damaged.library, capsys)[1]["found"] == 0
    assert [f["kind"] for f in doctor(damaged.library, capsys, "--deep")[1]["findings"]] == ["changed_file"]


def test_a_damaged_catalogue_is_said_and_left_alone(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    path = damaged.library / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    for at in range(4096 * 3, len(data), 4096 * 4):
        data[at : at + 200] = b"\xa5" * 200
    path.write_bytes(data)
    before = path.read_bytes()
    capsys.readouterr()
    code = main(["doctor", "-L", str(damaged.library), "--fix"])
    assert code in (1, 3)
    said = capsys.readouterr()
    assert "backup" in said.out + said.err
    assert path.read_bytes() == before
