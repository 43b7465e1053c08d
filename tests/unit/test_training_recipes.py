"""Likeness, codes, and the tuning of recipes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sosie
from sosie.cli import main
from sosie.errors import UsageError
from sosie.indexes.binary import BinaryIndex
from sosie.training.codes import bit_report, signs
from sosie.training.examples import gather
from sosie.training.objectives import make_objective
from sosie.training.run import train
from sosie.training.settings import Settings
from sosie.training.spaces import space_of
from sosie.training.triplets import graded_triplets, overlap
from sosie.training.tuning import tune_index, tune_recipe
from tests.painted import paint

QUICK = Settings("metric", unfreeze=0, epochs=2, views=1, batch=12, validation=0.3)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 60 pictures in three classes, embedded with the bundled network."""
    root = tmp_path_factory.mktemp("tones")
    with sosie.open(root / "lib") as lib:
        lib.add(paint(root / "pictures", 20), label_from_folders=True)
    return root / "lib"


@pytest.fixture
def library(tones: Path, tmp_path: Path) -> sosie.Library:
    shutil.copytree(tones, tmp_path / "lib")
    with sosie.open(tmp_path / "lib", create=False) as lib:
        yield lib


# ------------------------------------------------------------------------------------------------ triplets


def vectors_and_classes(n: int = 24, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    vectors = torch.nn.functional.normalize(torch.randn(n, 8), dim=1)
    return vectors, torch.arange(n) % classes


def test_overlap_grades_pictures_with_several_labels() -> None:
    targets = torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert overlap(targets)[0].tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("mining", ["random", "semi-hard", "hard"])
def test_a_positive_shares_more_with_the_anchor_than_the_negative(mining: str) -> None:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(20, 6), dim=1)
    graded = overlap((torch.rand(20, 5) < 0.4).float())
    distance = torch.cdist(vectors, vectors)
    a, p, n = graded_triplets(distance, graded, mining=mining, margin=0.3)
    assert len(a) > 5
    assert (graded[a, p] > graded[a, n]).all()
    assert (a != p).all()
    assert (a != n).all()
    if mining == "semi-hard":
        gap = distance[a, n] - distance[a, p]
        assert ((gap > 0) & (gap < 0.3)).all()


def test_hard_mining_is_that_of_pytorch_metric_learning() -> None:
    from pytorch_metric_learning.miners import BatchHardMiner

    vectors, labels = vectors_and_classes()
    targets = torch.nn.functional.one_hot(labels).float()
    mine = graded_triplets(torch.cdist(vectors, vectors), overlap(targets), mining="hard", margin=0.2)
    theirs = BatchHardMiner()(vectors, labels)
    assert {tuple(t) for t in torch.stack(mine).T.tolist()} == {tuple(t) for t in torch.stack(theirs).T.tolist()}


def test_the_triplet_loss_is_that_of_pytorch_metric_learning(library: sosie.Library) -> None:
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner

    vectors, labels = vectors_and_classes(classes=3)
    settings = replace(QUICK, mining="hard", margin=0.5)
    ours = make_objective(8, gather(library, settings), settings).loss(
        vectors, vectors, torch.nn.functional.one_hot(labels).float()
    )
    theirs = TripletMarginLoss(margin=0.5, distance=LpDistance())(vectors, labels, BatchHardMiner()(vectors, labels))
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("loss", ["triplet", "contrastive", "arcface", "multi-similarity"])
def test_every_loss_falls(library: sosie.Library, loss: str) -> None:
    settings = replace(QUICK, loss=loss)
    objective = make_objective(8, gather(library, settings), settings)
    vectors, labels = vectors_and_classes(classes=3)
    targets = torch.nn.functional.one_hot(labels).float()
    raw = vectors.clone().requires_grad_(True)
    optimiser = torch.optim.SGD([raw, *objective.parameters()], lr=0.5)
    values = []
    for _ in range(30):
        value = objective.loss(raw, raw.detach(), targets)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]


def test_losses_of_single_labels_refuse_several(library: sosie.Library) -> None:
    for content_id in library.catalogue.live_ids().tolist():
        library.set_labels(content_id, {"tags": ("a", "b") if content_id % 2 else ("b", "c")})
    settings = replace(QUICK, loss="arcface", labels=("tags",))
    with pytest.raises(UsageError, match="for several take --loss triplet"):
        make_objective(8, gather(library, settings), settings)


def test_a_metric_run_leaves_a_package_and_triplets_to_look_at(library: sosie.Library, tmp_path: Path) -> None:
    done = train(library, QUICK, tmp_path / "run")
    assert "margin satisfied" in done.history.epochs[-1]
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('class="panel"') >= 8
    assert "anchor" in page
    assert done.gains[0].value("mAP", "after") > 0.3


# ------------------------------------------------------------------------------------------------ codes


def test_the_report_tells_balanced_bits_from_others() -> None:
    rng = np.random.default_rng(0)
    even = bit_report(rng.standard_normal((2000, 32)))
    assert even.balanced
    assert even.decorrelated
    assert "NOT" not in even.words()
    one = rng.standard_normal((2000, 1))
    alike = bit_report(np.repeat(one, 32, axis=1) + 2)
    assert not alike.balanced
    assert not alike.decorrelated
    assert alike.words().count("NOT") == 2


@pytest.mark.parametrize("codes", ["auto-encoder", "supervised"])
def test_a_hash_run_is_compared_with_float_itq_and_lsh(library: sosie.Library, tmp_path: Path, codes: str) -> None:
    settings = Settings("hash", codes=codes, bits=32, unfreeze=0, epochs=2, views=1, validation=0.3)
    done = train(library, settings, tmp_path / "run")
    assert {row["set-up"] for row in done.gains[0].rows} == {"float", "itq", "lsh", "learned"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "balanced" in page
    assert {"imbalance", "correlation"} <= done.history.epochs[-1].keys()


def test_codes_are_learned_without_labels(library: sosie.Library, tmp_path: Path) -> None:
    for content_id in library.catalogue.live_ids().tolist():
        library.set_labels(content_id, {"label": None})
    settings = Settings("hash", bits=32, unfreeze=0, epochs=2, views=1)
    done = train(library, settings, tmp_path / "run")
    assert done.gains == ()
    assert done.history.epochs[done.history.best]["mAP"] > 0
    with pytest.raises(UsageError, match="take --codes auto-encoder"):
        train(library, replace(settings, codes="supervised"), tmp_path / "other")


def test_a_head_that_does_not_fit_the_code_is_refused() -> None:
    with pytest.raises(UsageError, match=r"ends in .* units and the code has 64 bits: end it with 64"):
        Settings("hash", bits=64, head=(128, 32))


def test_an_index_of_signs_is_as_long_as_the_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors = signs(rng.standard_normal((1500, 64)).astype(np.float32))
    index = BinaryIndex(codes="sign")
    index.build(np.arange(1500), vectors)
    assert index.params["bits"] == 64
    assert index.structure_size() < 1500 * 8 + 64 * 64 * 4 + 2000
    found, _ = index.search(vectors[:20], 1)
    assert found[:, 0].tolist() == list(range(20))
    with pytest.raises(UsageError, match="whole bytes"):
        BinaryIndex(codes="sign").build(np.arange(1500), np.ones((1500, 30), np.float32))


# ------------------------------------------------------------------------------------------------ tuning


def test_a_study_is_pruned_resumed_and_seen_by_tensorboard(library: sosie.Library, tmp_path: Path) -> None:
    settings = replace(QUICK, recipe="classifier", epochs=3)
    first = tune_recipe(library, settings, tmp_path / "study", trials=2)
    second = tune_recipe(library, settings, tmp_path / "study", trials=4)
    assert [t.number for t in second.trials] == [0, 1, 2, 3]
    assert [t.drawn for t in second.trials[:2]] == [t.drawn for t in first.trials]
    assert set(second.best.drawn) == set(space_of(settings))
    whole = tune_recipe(library, settings, tmp_path / "whole", trials=4)
    assert [t.drawn for t in whole.trials] == [t.drawn for t in second.trials]
    assert hparams(tmp_path / "study" / "logs") == {
        f"trial-{n:03d}" for n in range(4) if second.trials[n].state == "complete"
    }
    with pytest.raises(UsageError, match="epochs: 3 there, 2 asked for"):
        tune_recipe(library, replace(settings, epochs=2), tmp_path / "study", trials=5)


def hparams(logs: Path) -> set[str]:
    """Return the runs that TensorBoard's HParams page lists."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = set()
    for folder in logs.iterdir():
        events = EventAccumulator(str(folder))
        events.Reload()
        if "_hparams_/session_start_info" in events.PluginTagToContent("hparams"):
            found.add(folder.name)
    return found


def test_index_parameters_are_tuned_for_speed_at_a_recall(library: sosie.Library, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _, vectors = library.vectors()
    with pytest.raises(UsageError, match="too few"):
        tune_index(library, "lsh", tmp_path / "few", trials=2, recall=0.5)
    many = np.concatenate([vectors + 0.05 * rng.standard_normal(vectors.shape) for _ in range(6)]).astype(np.float32)
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    library.vectors = lambda: (np.arange(len(many)), many)  # type: ignore[method-assign]
    tuned = tune_index(library, "lsh", tmp_path / "study", trials=4, recall=0.5)
    assert {"bits", "tables", "probes"} == set(tuned.best.drawn)
    with pytest.raises(UsageError, match="choose one of lsh"):
        tune_index(library, "exact", tmp_path / "none", trials=1, recall=0.5)


def test_the_table_is_printed_best_first(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "study")]
    argv = ["tune", "metric", "-L", str(tones), *out, "--trials", "2", "--epochs", "1", "--views", "1"]
    assert main(argv) == 0
    assert "mining" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["trials"]) == 2
    assert main(["tune", "poetry", "-L", str(tones)]) == 2
