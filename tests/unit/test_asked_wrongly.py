"""What people give by mistake is answered with what to give in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.present.table import print_results
from sosie.types import SearchResult


@pytest.mark.parametrize(
    ("name", "says"), [("net.h5", "tf2onnx"), ("net.pt", "torch.onnx.export"), ("net.onnx", "write a description")]
)
def test_a_model_file_without_a_description_says_how_to_use_it(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\xff\xfe")
    sosie.open(tmp_path / "lib", model="histogram").close()
    assert main(["models", "add", str(tmp_path / name), "-L", str(tmp_path / "lib")]) != 0
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_a_folder_as_a_query_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sosie.open(tmp_path / "lib", model="histogram").close()
    assert main(["search", str(tmp_path), "-L", str(tmp_path / "lib")]) == 2
    assert f"{tmp_path}/*.jpg" in capsys.readouterr().err


def test_objects_are_listed_by_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"label": "dog", "confidence": 0.9, "box": [0, 0, 1, 1]}, {"label": "cat", "confidence": 0.5, "box": []}]
    print_results([SearchResult("a.jpg", (), 1.0, {}, {"objects": found})])
    assert "objects: 1 dog 0.90, 2 cat 0.50" in capsys.readouterr().out
