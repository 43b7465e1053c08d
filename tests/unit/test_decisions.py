"""Decisions outweigh everything but equal bytes, wherever a pair is judged; the list shows where both pictures are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from tests.scenes import as_file, scene


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a picture in two formats and again, of which the second was said to be no copy."""
    (tmp_path / "a.png").write_bytes(as_file(scene(1)))
    (tmp_path / "b.bmp").write_bytes(as_file(scene(1), kind="BMP"))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "b.bmp").write_bytes((tmp_path / "b.bmp").read_bytes())
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(tmp_path / "pictures")
        library.copies.prepare()
    yield tmp_path


def decide(place: Path, decision: str) -> None:
    files = [str(place / name) for name in ("a.png", "b.bmp")]
    assert main(["decisions", "set", decision, *files, "-L", str(place / "library"), "--note", "two prints"]) == 0


def verdicts(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return what search, copies and compare say of a file and the picture of the library."""
    capsys.readouterr()
    said = []
    for command in ("search", "copies"):
        main([command, str(place / name), "-L", str(place / "library"), "--json"])
        said.append([hit["verdict"] for hit in json.loads(capsys.readouterr().out)["hits"]])
    main(["compare", str(place / name), str(place / "b.bmp"), "-L", str(place / "library"), "--json"])
    return [*said, [json.loads(capsys.readouterr().out)["verdict"]]]


def test_not_a_copy_outweighs_equal_pixels_and_not_equal_bytes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdicts(place, "a.png", capsys) == [["same_pixels"]] * 3
    decide(place, "not_a_copy")
    assert verdicts(place, "a.png", capsys) == [["similar"], [], ["similar"]]
    assert verdicts(place, "b.bmp", capsys) == [["identical"]] * 3


def test_the_list_shows_places_and_dates(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decide(place, "not_a_copy")
    library = ["-L", str(place / "library")]
    capsys.readouterr()
    assert main(["decisions", "list", *library]) == 0
    said = capsys.readouterr().out
    assert str(place / "pictures" / "b.bmp") in said
    assert "not in the library" in said
    assert "two prints" in said
    assert main(["decisions", "list", *library, "--csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "decision,at,a,b,a_uri,b_uri,note"
    assert row.startswith("not_a_copy,20")
    assert row.endswith("two prints")
    main(["decisions", "list", *library, "--json"])
    (one,) = json.loads(capsys.readouterr().out)
    assert sorted([one["a_uris"], one["b_uris"]]) == [[], [(place / "pictures" / "b.bmp").as_uri()]]
