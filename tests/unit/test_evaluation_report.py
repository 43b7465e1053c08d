"""Reports are one file that needs no network, and the command line gives what the folder holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.cli import main
from sosie.evaluation import figures
from sosie.evaluation.collection import Collection, from_library
from sosie.evaluation.labels import predict_labels
from sosie.evaluation.report import report
from sosie.evaluation.runs import write_run


def draw(folder: Path, n: int) -> None:
    """Draw pictures of three colours, each in a folder of its name, with shapes that differ."""
    for at in range(n):
        kind = ("red", "green", "blue")[at % 3]
        rng = np.random.default_rng(at)
        pixels = rng.integers(0, 90, (90, 120, 3), dtype=np.uint8)
        pixels[..., at % 3] += 140
        x, y = rng.integers(5, 50, 2)
        pixels[y : y + 30, x : x + 30] = rng.integers(0, 256, 3)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{at:03}.png")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate")
    draw(root / "pictures", 24)
    with sosie.open(root / "library", model="histogram") as lib:
        lib.add(root / "pictures", label_from_folders=True, workers=1)
    return root / "library"


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def assert_self_contained(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "url(" not in page


def test_labels_from_the_command_line(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    document = evaluate(capsys, "labels", "--library", str(library), "--run", str(run))
    assert document["run"] == str(run)
    assert document["config"]["model"]["name"] == "histogram"
    assert {"mAP", "mAP@20", "recall@1", "nDCG@10"} <= set(document["metrics"])
    assert document["metrics"]["recall@1"] > 0.9
    page = (run / "report.html").read_text()
    assert_self_contained(page)
    assert page.count("data:image/jpeg") > 24


def test_an_exact_index_gives_what_exact_search_gives(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = evaluate(capsys, "labels", "--library", str(library), "--run", str(tmp_path / "a"))
    through = evaluate(capsys, "labels", "--library", str(library), "--run", str(tmp_path / "b"), "--through-index")
    assert through["config"]["index"]["kind"] == "exact"
    assert through["metrics"]["mAP"] == pytest.approx(exact["metrics"]["mAP"])


def test_copies_from_the_command_line(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["copies", "--library", str(library), "--run", str(tmp_path / "run"), "--sample", "6"]
    arguments += ["--per-picture", "2", "--negatives", "4", "--alteration", "jpeg", "--alteration", "brightness"]
    document = evaluate(capsys, *arguments, "--method", "pdq-turns", "--method", "semantic")
    assert document["config"]["methods"] == ["pdq-turns", "semantic"]
    assert 0 <= document["metrics"]["micro_ap"] <= 1
    assert_self_contained((tmp_path / "run" / "report.html").read_text())


def test_pictures_outside_the_library_are_negatives(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "others", 27)  # the last three are not in the library
    arguments = ["copies", "--library", str(library), "--run", str(tmp_path / "run"), "--sample", "2"]
    arguments += [
        "--per-picture",
        "1",
        "--alteration",
        "jpeg",
        "--outside",
        str(tmp_path / "others"),
        "--method",
        "pdq",
    ]
    assert evaluate(capsys, *arguments)["config"]["negatives"]["outside"] == 3


def test_the_copy_finder_is_one_of_the_methods(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["copies", "--library", str(library), "--run", str(tmp_path / "run"), "--sample", "2"]
    arguments += ["--per-picture", "1", "--negatives", "0", "--alteration", "jpeg", "--method", "copies"]
    document = evaluate(capsys, *arguments)
    assert document["metrics"]["recall@1"] > 0
    assert 0 <= document["metrics"]["calibration_error"] <= 1


def test_indexes_from_the_command_line(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    document = evaluate(capsys, "index", "--library", str(library), "--run", str(run), "--kind", "exact")
    assert document["metrics"]["recall@10"] == 1
    assert_self_contained((run / "report.html").read_text())


def test_runs_are_compared_and_scored_again(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        evaluate(capsys, "labels", "--library", str(library), "--run", str(tmp_path / name))
    page = tmp_path / "comparison.html"
    document = evaluate(capsys, "compare", str(tmp_path / "a"), str(tmp_path / "b"), "--html", str(page))
    assert {row["difference"] for row in document["rows"]} == {None, 0.0}
    assert_self_contained(page.read_text())
    again = evaluate(capsys, "score", str(tmp_path / "a"))
    assert again["metrics"]["mAP"] == document["rows"][0]["value"]


def test_a_query_folder_is_asked_and_never_counts_itself(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = str(library.parent / "pictures")
    arguments = ["--library", str(library), "--run"]
    of_folder = evaluate(capsys, "labels", *arguments, str(tmp_path / "a"), "--queries", queries)
    of_library = evaluate(capsys, "labels", *arguments, str(tmp_path / "b"))
    assert of_folder["metrics"]["mAP"] == pytest.approx(of_library["metrics"]["mAP"], abs=1e-3)


def test_a_run_of_another_configuration_is_refused(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(capsys, "labels", "--library", str(library), "--run", str(tmp_path / "run"))
    assert main(["evaluate", "labels", "--library", str(library), "--run", str(tmp_path / "run"), "--seed", "5"]) == 2
    assert "seed: 0 there, 5 asked for" in capsys.readouterr().err


def test_a_library_without_vectors_of_its_model_says_what_to_do(
    library: Path,
) -> None:
    with sosie.open(library, read_only=True) as lib, pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(lib), "vectors", lambda *_: (np.empty(0, np.int64), np.empty((0, 320), np.float32)))
        with pytest.raises(sosie.SosieError, match="sosie add"):
            from_library(lib)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    vectors = np.eye(4, dtype=np.float32)
    pictures = Collection(
        keys=tuple("abcd"), uris=(f"file:///{hostile}.jpg",) * 4, labels=({"label": hostile},) * 4, vectors=vectors
    )
    page = report(predict_labels(tmp_path / "run", pictures, keys=["label"]))
    assert hostile not in page


def test_an_empty_heat_table_is_nothing() -> None:
    assert figures.heat_table([], "nothing") == ""


def test_a_run_of_an_unknown_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sosie.SosieError, match="reports labels, copies, index"):
        report(write_run(tmp_path / "run", {"protocol": "magic"}, arrays={}, tables={}))
