"""What a run takes for no picture is counted by ending and reason, named, and kept until the next run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.cli import main
from sosie.ingest import AddReport
from sosie.library import Library
from sosie.sources.folder import FolderSource
from sosie.sources.left_out import Tally, ending_of, merged
from sosie.sources.open import open_source
from sosie.types import LeftOut
from tests.pictures import jpeg
from tests.serving import running


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as made:
        yield made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg(1))
    for name in ("b.DNG", "sub/c.dng", "d.nef", "e.jxl", "f.svg", "README", ".hidden"):
        (folder / name).write_bytes(b"x")
    return folder


def counts(report: AddReport) -> dict[tuple[str, str], int]:
    return {(each.reason, each.ending): each.count for each in report.left_out}


def test_files_of_other_endings_are_counted_and_named(lib: Library, photos: Path) -> None:
    report = lib.add(photos, workers=1)
    assert counts(report) == {
        ("unknown_ending", ".dng"): 2,
        ("unknown_ending", ".jxl"): 1,
        ("unknown_ending", ".nef"): 1,
        ("unknown_ending", ".svg"): 1,
        ("no_ending", ""): 1,
    }
    assert report.left_out[0].some == ((photos / "b.DNG").as_uri(), (photos / "sub/c.dng").as_uri())
    assert report.to_json()["left_out"][0]["count"] == 2 and report.seen == 1


def test_what_patterns_leave_out_is_told_apart(photos: Path) -> None:
    source = FolderSource(photos, exclude=["a*"])
    assert list(source) == []
    assert ("pattern", 1) in {(each.reason, each.count) for each in source.left_out}


def test_members_of_archives_are_counted_too(lib: Library, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.jpg", jpeg(1))
        archive.writestr("raw/b.cr2", b"x")
        archive.writestr("__MACOSX/._a.jpg", b"x")
    (kind,) = lib.add(tmp_path / "p.zip", workers=1).left_out
    assert (kind.reason, kind.ending, kind.count) == ("unknown_ending", ".cr2", 1)
    assert kind.some[0].endswith("p.zip!/raw/b.cr2")


def test_rows_of_a_list_are_named_by_number_and_reason(lib: Library, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    rows = ['{"path": "a.jpg"}', '{"path": ""}', "{broken", '{"path": "gone.jpg"}']
    (tmp_path / "list.jsonl").write_text("\n".join(rows))
    report = lib.add(tmp_path / "list.jsonl", workers=1)
    named = {each.reason: each.some for each in report.left_out}
    root = (tmp_path / "list.jsonl").as_uri()
    assert named["no_place"] == (f"{root}#row=2",) and named["bad_row"] == (f"{root}#row=3",)
    assert named["missing"] == ((tmp_path / "gone.jpg").as_uri(),) and report.missing == 1


def test_the_last_run_is_remembered_by_root(lib: Library, photos: Path) -> None:
    lib.add(photos, workers=1)
    (root,) = lib.sources.left_out()
    assert root == photos.as_uri() + "/" and len(lib.sources.left_out()[root]["left_out"]) == 5
    for name in ("b.DNG", "sub/c.dng", "d.nef", "e.jxl", "f.svg", "README"):
        (photos / name).unlink()
    lib.add(photos, workers=1)
    assert lib.sources.left_out() == {}


def test_a_root_that_is_forgotten_takes_its_list_along(lib: Library, photos: Path) -> None:
    lib.add(photos, workers=1)
    lib.sources.forget(photos.as_uri() + "/")
    assert lib.sources.left_out() == {}


def test_the_command_line_tells_it(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = str(tmp_path / "l")
    assert main(["add", str(photos), "-L", library, "--model", "histogram"]) == 0
    assert "left out: 2 .dng, 1 without an ending, 1 .jxl, 1 .nef, 1 .svg" in capsys.readouterr().out
    assert main(["quarantine", "list", "--left-out", "-L", library]) == 0
    assert str(photos / "sub" / "c.dng") in capsys.readouterr().out
    assert main(["quarantine", "list", "--left-out", "--reason", "no_ending", "--json", "-L", library]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["roots"]
    assert [each["some"] for each in entry["left_out"]] == [[(photos / "README").as_uri()]]


def test_the_page_shows_it(lib: Library, photos: Path) -> None:
    lib.add(photos, workers=1)
    with running(lib) as url:
        page = httpx.get(f"{url}/quarantine", timeout=60).text
    assert "2 .dng" in page and str(photos / "d.nef") in page


def test_names_are_bounded_and_counts_are_not() -> None:
    tally = Tally()
    for n in range(1000):
        tally.add_file(f"message.{n}".encode(), lambda: "file:///x")
        tally.add("no_place", lambda: "file:///y")
    assert tally.total == 2000 and len(tally.result()) <= 202
    assert max(len(each.some) for each in tally.result()) == 100
    both = merged(tally.result(), (LeftOut("no_place", "", 5, ("z",)),))
    assert next(each.count for each in both if each.reason == "no_place") == 1005


@pytest.mark.parametrize(
    ("name", "ending"), [(b"a.NEF", ".nef"), (b"README", ""), (b"a.b c", ""), (b"a." + b"x" * 40, ""), (b"a.", "")]
)
def test_an_ending_is_what_people_call_one(name: bytes, ending: str) -> None:
    assert ending_of(name) == ending


def test_a_source_that_was_opened_tells_what_its_last_iteration_left_out(photos: Path) -> None:
    source = open_source(str(photos))
    for _ in range(2):
        list(source)
    assert isinstance(source, FolderSource) and sum(each.count for each in source.left_out) == 6
