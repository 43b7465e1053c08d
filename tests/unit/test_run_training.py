"""`sosie run` with training and tuning in its file: one command from pictures to a model that was adopted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import sosie
from sosie.cli import main
from tests.painted import paint, painted

TRAINING = "training: {recipe: classifier, epochs: 3, views: 2, batch: 8, unfreeze: 3, adopt: ADOPT}\n"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def write(folder: Path, text: str, *, label: bool = True) -> str:
    paint(folder / "pictures", 10)
    (folder / "query.png").write_bytes(painted("red", 50))
    labels = "label_from_folders: true" if label else "label_from_folders: false"
    (folder / "application.yaml").write_text(
        f"library: lib\nsources:\n  - path: pictures\n    {labels}\nsearch:\n"
        "  images: [query.png]\n  class_first: true\n"
        f"evaluation: {{labels: label}}\n{text}"
    )
    return str(folder / "application.yaml")


def test_one_command_trains_adopts_indexes_asks_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, TRAINING.replace("ADOPT", "always"))
    assert main(["run", file]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said if line[0] != " "] == [
        "library", "added", "trained", "index", "searched", "evaluated",
    ]  # fmt: skip
    assert str(tmp_path / "lib") in said[0] and "answers with classifier" in said[0]
    assert any("label=red" in line and line.split()[0] == "1" for line in said)
    assert main(["run", file, "--json"]) == 0  # the run is done, the model is in use: nothing is trained again
    done = json.loads(capsys.readouterr().out)
    assert done["train"]["reason"] == "in use already" and done["train"]["accuracy"]["by the classifier"] > 0.5
    assert done["search"][0]["asked"]["class"]["searched"] == ["red"]
    assert len(list((tmp_path / "runs").glob("classifier-*"))) == 1


def test_a_model_that_is_not_clearly_better_is_kept_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TRAINING.replace("ADOPT", "if-better").replace("epochs: 3", "epochs: 1, rate: 1e-6")
    assert main(["run", write(tmp_path, text), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert not done["train"]["adopted"] and "held-out mAP" in done["train"]["reason"]
    with sosie.open(tmp_path / "lib", create=False) as lib:
        assert lib.model == "bundled" and lib.classify(painted("blue", 3)).model == "classifier"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("training: {recipe: classifer}", "training.recipe"),
        ("training: {epochs: 3}", "training.recipe"),
        ("training: {recipe: hash, epohcs: 3}", "did you mean 'epochs'"),
        ("training: {recipe: hash, bits: 7}", "bits"),
        ("tuning: {trials: 3}", "there is none"),
        ("tuning: {index: true}\nindex: {kind: hnsw}", "index.kind"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_added(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "application.yaml").write_text(f"library: lib\n{text}\n")
    assert main(["run", str(tmp_path / "application.yaml")]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and not (tmp_path / "lib").exists()


def test_training_on_a_library_without_labels_says_what_is_lacking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, TRAINING.replace("ADOPT", "never"), label=False)
    assert main(["run", file]) == 2
    assert "label" in capsys.readouterr().err.splitlines()[-1]
