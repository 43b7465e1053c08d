"""`sosie models` from end to end: add, list, try, use, and `evaluate compare` between models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sosie.cli import main
from tests.networks import colour_blind, coloured_folder, colourful


@pytest.fixture
def library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    pictures = coloured_folder(tmp_path / "pictures")
    described = colour_blind(tmp_path / "a") / "colour-blind.json"
    place = str(tmp_path / "library")
    assert main(["add", str(pictures), "-L", place, "--label-from-folders", "--model", str(described)]) == 0
    assert main(["models", "add", str(colourful(tmp_path / "b")), "-L", place]) == 0
    capsys.readouterr()
    return place


def asked(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    assert main([*argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_model_is_tried_swapped_in_and_back(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    trial = asked(capsys, "models", "try", "colourful", "-L", library)
    assert trial["better"] and trial["candidate"]["value"] > trial["in_use"]["value"]
    first = asked(capsys, "info", "-L", library)["model"]
    assert asked(capsys, "models", "use", "colourful", "-L", library) == {
        "model": "colourful",
        "embedded": 0,
        "away": 0,
    }
    assert asked(capsys, "info", "-L", library)["model"] == "colourful"
    assert asked(capsys, "models", "use", first, "-L", library)["model"] == first


def test_the_list_says_what_was_measured_here(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "try", "colourful", "-L", library])
    capsys.readouterr()
    rows = {row["name"]: row for row in asked(capsys, "models", "-L", library)["models"]}
    assert {"bundled", "histogram", "colourful"} <= rows.keys()
    assert rows["bundled"]["bytes"] > 5_000_000 and rows["bundled"]["measured"] is None
    assert rows["colourful"]["measured"]["measure"] == "mAP"
    assert main(["models", "-L", library]) == 0
    assert "colourful" in capsys.readouterr().out


def test_the_list_needs_no_library_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOSIE_LIBRARY", raising=False)
    rows = {row["name"]: row for row in asked(capsys, "models")["models"]}
    assert rows["bundled"]["here"] and not rows["dinov2-small"]["here"]
    assert list(tmp_path.iterdir()) == []
    assert main(["models", "-L", str(tmp_path / "nowhere")]) == 3


def test_models_are_compared_side_by_side(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "try", "colourful", "-L", library])
    capsys.readouterr()
    first = asked(capsys, "info", "-L", library)["model"]
    found = asked(capsys, "evaluate", "compare", "--model", first, "--model", "colourful", "-L", library)
    rows = [row for row in found["rows"] if row["measure"] == "mAP"]
    assert [row["set-up"] for row in rows] == [first, "colourful"]
    assert rows[1]["clear"] and rows[1]["low"] > 0


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["use", "colourful"], 2, "sosie models try colourful"),
        (["use", "colorful"], 2, "did you mean 'colourful'"),
        (["try", "nothing-like-it"], 2, "no model is called"),
        (["add", "{tmp}/b/tiny.onnx"], 2, "write a description"),
        (["add", "{tmp}/nowhere.json"], 3, "no model description"),
        (["remove", "bundled"], 2, "no model of this library's own"),
    ],
)
def test_wrong_use_is_one_line(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, says: str
) -> None:
    argv = [part.format(tmp=tmp_path) for part in argv]
    assert main(["models", *argv, "-L", library]) == code
    error = capsys.readouterr().err.strip()
    assert says in error and "\n" not in error


def test_adding_with_another_model_than_the_library_uses_is_refused(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", str(tmp_path / "pictures"), "-L", library, "--model", "histogram"]) == 2
    assert "sosie models try histogram" in capsys.readouterr().err
