"""`sosie labels`: count, cross, list, export and edit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import sosie
from sosie.cli import main
from tests.pictures import folder_of


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eight pictures in two folders, with a table that names their colour, year and tags."""
    folder = folder_of(tmp_path / "pictures", 8)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "colour", "year", "tags"])
        for seed in range(8):
            place = f"{'even' if seed % 2 == 0 else 'odd'}/{seed:05d}.jpg"
            writer.writerow([place, "red" if seed < 4 else "blue", 1900 + seed, "a;b" if seed % 3 else "a"])
    argv = ["add", str(folder), "-L", str(tmp_path / "lib"), "--model", "histogram"]
    assert main([*argv, "--label-from-folders", "--labels", "table.csv"]) == 0
    return tmp_path / "lib"


def answer(capsys: pytest.CaptureFixture[str], library: Path, *argv: str, code: int = 0) -> dict:
    capsys.readouterr()
    assert main(["labels", *argv, "-L", str(library), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_count(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, library, "count")
    assert found["colour"] == {"kinds": ["single"], "values": {"blue": 4, "red": 4}}
    assert found["tags"] == {"kinds": ["multi"], "values": {"a": 8, "b": 5}}
    assert found["year"]["kinds"] == ["number"]
    assert answer(capsys, library, "count", "label", "--where", "colour = 'red' and year > 1900") == {
        "label": {"kinds": ["single"], "values": {"odd": 2, "even": 1}}
    }
    assert main(["labels", "count", "color", "-L", str(library)]) == 2
    assert "did you mean 'colour'" in capsys.readouterr().err


def test_cross(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, library, "cross", "colour", "tags")["counts"]
    assert sorted(map(tuple, found)) == [("blue", "a", 4), ("blue", "b", 3), ("red", "a", 4), ("red", "b", 2)]
    assert main(["labels", "cross", "colour", "label", "-L", str(library)]) == 0
    assert "even" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_counts_and_crossings_are_drawn(library: Path, tmp_path: Path, suffix: str) -> None:
    counts, cross = tmp_path / f"counts.{suffix}", tmp_path / f"cross.{suffix}"
    assert main(["labels", "count", "-L", str(library), "--plot", str(counts)]) == 0
    assert main(["labels", "cross", "colour", "tags", "-L", str(library), "--plot", str(cross)]) == 0
    drawn, met = counts.read_text(), cross.read_text()
    if suffix == "svg":
        ElementTree.fromstring(drawn), ElementTree.fromstring(met)
    assert "Labels a picture" in drawn and "blue" in drawn
    assert "<title>red and b: 2</title>" in met and "<title>blue and a: 4</title>" in met
    assert main(["labels", "count", "-L", str(library), "--plot", str(tmp_path / "counts.png")]) == 2


def test_how_many_labels_a_picture_has_can_be_asked_for(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a folder and a colour, and one tag or two; the year is a number, and none."""
    assert answer(capsys, library, "list", "--where", "label_count = 4")["count"] == 5
    assert answer(capsys, library, "list", "--where", "label_count < 4 and colour = 'red'")["count"] == 2


def test_a_filter_by_a_label_that_no_picture_has_is_spoken_of(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", "list", "-L", str(library), "--where", "color = 'red'"]) == 2
    assert "no picture has a label 'color'; did you mean 'colour'" in capsys.readouterr().err


def test_list_and_page(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    where = "colour = 'red' and tags has 'b'"
    found = answer(capsys, library, "list", "--where", where, "--html", str(page))
    assert found["count"] == 2
    assert {picture["labels"]["year"] for picture in found["pictures"]} == {1901, 1902}
    text = page.read_text()
    assert text.count("<img") == 2
    assert "colour = &#x27;red&#x27;" in text or "colour = &#39;red&#39;" in text


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_was_exported_can_be_added_again(library: Path, tmp_path: Path, suffix: str) -> None:
    listed = tmp_path / f"red{suffix}"
    assert main(["labels", "export", str(listed), "-L", str(library), "--where", "colour = 'red'"]) == 0
    from sosie.sources.url_list import UrlListSource

    refs = list(UrlListSource(listed))
    assert len(refs) == 4
    assert {ref.labels["colour"] for ref in refs} == {"red"}
    assert {ref.labels["tags"] for ref in refs} == {("a",), ("a", "b")}
    assert {ref.labels["year"] for ref in refs} == {1900, 1901, 1902, 1903}


@pytest.mark.parametrize("name", ["out.xlsx", "out.parquet", "out"])
def test_an_export_is_never_written_under_a_wrong_ending(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["labels", "export", str(tmp_path / name), "-L", str(library)]) == 2
    assert "out.csv" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_an_export_is_in_the_log(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "export", str(tmp_path / "red.csv"), "-L", str(library), "--where", "colour = 'red'"]) == 0
    capsys.readouterr()
    assert main(["log", "-L", str(library), "--deed", "export", "-n", "1", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["detail"] == {"pictures": 4, "as": "red.csv"}


def test_set_and_take_away(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, library, "set", "style=old", "year=5", "tags=", "many=x;y", "--where", "colour = 'red'") == {
        "changed": 4
    }
    with sosie.open(library) as lib:
        chosen = lib.pictures(where="style = 'old' and year = 5 and many has 'y' and not tags")
        assert len(chosen) == 4
        assert len(lib.pictures(where="tags")) == 4
    assert answer(capsys, library, "set", "x=1", "--id", "1", "--id", "2")["changed"] == 2
    assert answer(capsys, library, "set", "x=1", "--where", "colour = 'green'", code=1)["changed"] == 0


def test_a_label_that_no_picture_has_is_named_with_the_one_that_was_meant(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(next((library.parent).rglob("*.jpg")))
    for argv in (["labels", "list"], ["labels", "count"], ["search", picture], ["labels", "set", "x=1"]):
        assert main([*argv, "-L", str(library), "--where", "color = 'red'"]) == 2
        assert "no picture has a label 'color'; did you mean 'colour'?" in capsys.readouterr().err
    assert main(["labels", "set", "reviewed=yes", "-L", str(library), "--where", "not reviewed"]) == 0


@pytest.mark.parametrize(
    "argv", [["set", "x=1"], ["set", "x", "--id", "1"], ["set", "x=1", "--id", "999"], ["count", "--where", "x ="]]
)
def test_wrong_use(library: Path, argv: list[str]) -> None:
    assert main(["labels", *argv, "-L", str(library)]) == 2
