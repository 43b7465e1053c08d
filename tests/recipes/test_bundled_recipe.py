"""The recipe on few pictures: packed from git, seen by the real backbone, heads fitted, exported, described."""

from __future__ import annotations

import hashlib
import json
import subprocess
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("torch", reason="the recipe needs the train extra: uv sync --extra train --group recipe")
pytest.importorskip("onnx", reason="the recipe needs the train extra: uv sync --extra train --group recipe")

import torch
from recipes.bundled import losses, network, wordnet
from recipes.bundled.data import SIDE, Source, list_blobs, load_shards, pack
from recipes.bundled.evaluate import mean_average_precision as by_hand
from recipes.bundled.export import TOLERANCE, Shipped, describe, disagreement, export, rounded
from recipes.bundled.features import jobs_of, run
from recipes.bundled.heads import Linear, fit_copy, joined, ridge, unit
from recipes.bundled.leaks import near_duplicates
from recipes.bundled.network import Backbone, checkpoint, load_package
from recipes.bundled.sets import held_labels, mean_average_precision, micro_ap, read_rows
from recipes.bundled.words import describe as describe_words
from recipes.bundled.words import explained, fit_things, write_table

from sosie.embedders.vocabulary import WordTable, read_vocabulary

SOURCE = Source("owner/pictures", "HEAD", "drawn", "none", label="folder", held_every=3)
SHAPES = ("circle", "square", "triangle")


def draw(shape: str, seed: int) -> Image.Image:
    """Draw a shape in some colour at some place."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (120, 90), tuple(int(v) for v in random.integers(180, 255, 3)))
    pen, ink = ImageDraw.Draw(image), tuple(int(v) for v in random.integers(0, 160, 3))
    x, y, r = (int(v) for v in random.integers((30, 30, 15), (90, 60, 28)))
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    else:
        pen.regular_polygon((x, y, r), 4 if shape == "square" else 3, fill=ink)
    return image


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of drawn pictures in three folders, one picture twice, and one file that is no picture."""
    root = tmp_path_factory.mktemp("pictures")
    for at, shape in enumerate(SHAPES):
        (root / shape).mkdir()
        for seed in range(6):
            draw(shape, 10 * at + seed).save(root / shape / f"{seed}.png")
    draw("circle", 0).save(root / "circle" / "again.png")
    (root / "circle" / "broken.jpg").write_bytes(b"not a picture")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "pictures"]):
        subprocess.run(["git", *command], cwd=root, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(root)})
    return root / ".git"


@pytest.fixture(scope="module")
def packs(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs")
    assert pack(SOURCE, git=repository, out=out, allowed=None, workers=1) == 18
    return out


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(load_package(0)).eval()


@pytest.fixture(scope="module")
def heads(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Heads of random weights, of the shapes that are shipped."""
    random = torch.Generator().manual_seed(0)
    width = 2 * sum(backbone.widths)
    made = {name: torch.randn(dim, width, generator=random) / width for name, dim in (("semantic", 256), ("copy", 128))}
    return {f"{name}.weight": w for name, w in made.items()} | {
        f"{n}.bias": torch.zeros(len(w)) for n, w in made.items()
    }


def test_a_source_is_packed_once_without_doubles_and_broken_files(repository: Path, packs: Path) -> None:
    assert pack(SOURCE, git=repository, out=packs, allowed=None, workers=1) == -1
    (shard,) = load_shards(packs)
    assert shard.pictures.shape == shard.altered.shape == (18, SIDE, SIDE, 3)
    assert [shard.labels[i] for i in sorted(set(shard.label))] == list(SHAPES)
    assert np.abs(shard.pictures.astype(int) - shard.altered).mean(axis=(1, 2, 3)).min() > 0


def test_a_picture_that_may_not_be_trained_on_is_left_out(repository: Path) -> None:
    blobs = dict(list_blobs(repository, SOURCE, None))
    forbidden = next(blob for blob, label in blobs.items() if label == "circle")
    assert forbidden not in dict(list_blobs(repository, SOURCE, {forbidden: False}))


def test_a_checkpoint_of_another_digest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(network.CHECKPOINTS, 0, (network.CHECKPOINTS[0][0], "0" * 64))
    with pytest.raises(ValueError, match="not the file that was published"):
        checkpoint(0)


def test_batch_norms_are_folded_without_a_change(backbone: Backbone) -> None:
    """Against the same network of timm, which keeps its batch norms apart."""
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    stored = torch.load(checkpoint(0), weights_only=True)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), stored.values(), strict=True)))
    pictures = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = theirs.forward_features((pictures - 127) / 128)
        assert torch.allclose(backbone(pictures)[1], expected, atol=1e-3)


def test_features_are_computed_once_and_the_held_out_class_is_not_fitted(packs: Path, tmp_path: Path) -> None:
    options = Namespace(packs=packs, out=tmp_path, sizes=[0], students=[0], edgetpu=None)
    assert len(list(run(jobs_of(options), workers=1))) == 2
    assert jobs_of(options) == []
    (shard,) = load_shards(packs)
    rows = read_rows(packs, tmp_path, ["lite0", "lite0.altered"])
    assert held_labels(shard).tolist() == [1]
    assert len(rows.fitted["lite0"]) == 12
    (validation,) = rows.validation
    assert len(rows.held["lite0.altered"]) == len(validation.rows) == 6


def test_the_export_agrees_with_torch_and_is_described(
    backbone: Backbone, heads: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    shipped = Shipped(backbone, heads)
    export(shipped, tmp_path / "bundled.onnx")
    assert disagreement(rounded(shipped), tmp_path / "bundled.onnx", sides=(96, 160)) < TOLERANCE
    graph = onnx.load(tmp_path / "bundled.onnx").graph
    said = json.loads(describe(tmp_path / "bundled.onnx", shipped, version="1", side=128).read_text())
    assert [o.name for o in graph.output] == [h["output"] for h in said["heads"]] + [said["featuremap"]]
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}
    assert not [node for node in graph.node if node.op_type == "Pad"]


def test_what_copies_have_in_common_is_learned() -> None:
    """Copies differ by noise in all directions but eight; before, the noise decides which is nearest."""
    random = np.random.default_rng(0)
    own, noise = random.normal(size=(256, 8)), lambda: random.normal(size=(256, 12))
    pictures, copies = (np.concatenate([own, noise()], 1).astype(np.float32) for _ in range(2))
    head = fit_copy(pictures, copies, passes=200, batch=64, dim=8)
    before, after = (first_right(*pair) for pair in ((unit(pictures), unit(copies)), (head(pictures), head(copies))))
    assert after > before + 0.2


def first_right(pictures: np.ndarray, copies: np.ndarray) -> float:
    return float(((copies @ pictures.T).argmax(1) == np.arange(len(copies))).mean())


def test_a_ridge_regression_finds_a_linear_map() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 6)).astype(np.float32)
    truth = random.normal(size=(4, 6)).astype(np.float32)
    found = ridge(x, x @ truth.T, strength=1e-6)
    assert np.abs(found.weight - truth).max() < 0.02


def test_heads_that_are_joined_see_as_both() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 12)).astype(np.float32)
    ours, theirs = (Linear(random.normal(size=(4, 12)), random.normal(size=4)) for _ in range(2))
    rows = [x @ each.weight.T + each.bias for each in (ours, theirs)]
    scaled = np.concatenate([each / np.linalg.norm(each, axis=1).mean() for each in rows], 1)
    expected = unit(scaled - scaled.mean(0))
    found = joined(x, [(1.0, ours), (1.0, theirs)])(x)
    assert np.abs(found @ found.T - expected @ expected.T).max() < 1e-3


def test_both_measures_of_map_agree() -> None:
    random = np.random.default_rng(1)
    rows = unit(random.normal(size=(40, 8)))
    labels = random.integers(0, 4, 40)
    assert mean_average_precision(rows, labels) == pytest.approx(by_hand(rows, [str(v) for v in labels]), abs=1e-5)


def test_micro_ap_counts_queries_without_an_original_against_it() -> None:
    references = np.eye(12, dtype=np.float32)
    assert micro_ap(references[:4], references, np.arange(4)) == pytest.approx(1.0)
    assert micro_ap(references[:4], references, np.array([0, 1, 2, -1])) < 1.0


def test_contrast_is_least_where_copies_meet_their_originals() -> None:
    originals = torch.nn.functional.normalize(torch.eye(6) + 0.01, dim=1)
    assert losses.contrast(originals[:3], originals) < losses.contrast(originals[[1, 2, 0]], originals)


def test_entropy_rewards_spreading_out() -> None:
    close = torch.nn.functional.normalize(torch.ones(8, 8) + 0.05 * torch.eye(8), dim=1)
    assert losses.entropy(torch.eye(8)) < losses.entropy(close)


def test_a_smaller_mirrored_copy_of_an_evaluation_picture_is_found(packs: Path) -> None:
    pictures = load_shards(packs)[0].pictures
    shown = torch.from_numpy(np.array(pictures[7])).permute(2, 0, 1)[None].float()
    evaluation = torch.nn.functional.interpolate(shown.flip(3), size=16, mode="area")
    assert near_duplicates(pictures, evaluation).tolist().count(7) == 1
    assert len(near_duplicates(pictures, evaluation)) < 9


def test_near_duplicates_are_not_fitted(packs: Path, tmp_path: Path) -> None:
    (shard,) = load_shards(packs)
    np.save(tmp_path / f"{shard.name}.lite0.npy", np.zeros((18, 4), np.float16))
    before = len(read_rows(packs, tmp_path, ["lite0"]).fitted["lite0"])
    free = np.flatnonzero(~np.isin(shard.label, held_labels(shard)))[:2]
    np.save(packs / shard.name / "near_duplicates.npy", free)
    try:
        assert len(read_rows(packs, tmp_path, ["lite0"]).fitted["lite0"]) == before - 2
    finally:
        (packs / shard.name / "near_duplicates.npy").unlink()


# ------------------------------------------------------------------------------------------------ words


def noun(offset: int, words: str, kind: int | None) -> str:
    """Return a line of WordNet's data.noun."""
    names = words.split()
    pointers = "000" if kind is None else f"001 @ {kind:08d} n 0000"
    return f"{offset:08d} 03 n {len(names):02x} {' '.join(f'{name} 0' for name in names)} {pointers} | a gloss @ 1\n"


@pytest.fixture
def small_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two dogs and a crane, its machine, all of them things."""
    senses = [noun(1, "thing", None), noun(2, "dog domestic_dog", 1), noun(3, "poodle head", 2), noun(4, "pug-dog", 2)]
    senses += [noun(5, "crane", 1), noun(6, "crane", 1)]
    index = ["thing 1 00000001", "dog 1 00000002", "domestic_dog 1 00000002", "poodle 1 00000003", "pug-dog 1 00000004"]
    index += ["crane 2 00000005 00000006", "head 7 00000011 00000012 00000013 00000014 00000015 00000016 00000003"]
    files = {"data.noun": "".join(senses), "noun.exc": "pugs-dog pug-dog\n"}
    files["index.noun"] = "".join(f"{line.split()[0]} n {line.partition(' ')[2]}\n" for line in index)
    for name, text in files.items():
        (tmp_path / name).write_text("  1 licence\n" + text if name != "noun.exc" else text)
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("data.noun", "index.noun")}
    monkeypatch.setattr(wordnet, "_DIGESTS", digests)
    return tmp_path


def test_each_word_means_its_classes_or_what_they_are_kinds_of(small_wordnet: Path) -> None:
    classes = ["00000003", "00000004", "00000005", "00000006"]
    found = wordnet.words_of(small_wordnet, classes)
    assert found["poodle"] == ((0,),) and found["pugs dog"] == found["pug dog"] == ((1,),)
    assert found["dog"] == found["domestic dog"] == ((0, 1),)
    assert found["crane"] == ((2,), (3,))
    assert "head" not in found  # a seldom word for poodles here
    assert found["thing"] == ((0, 1, 2, 3),)


def test_another_wordnet_is_refused(small_wordnet: Path) -> None:
    with (small_wordnet / "index.noun").open("a") as file:
        file.write("cat n 1 00000009\n")
    with pytest.raises(ValueError, match=r"WordNet 3\.0"):
        wordnet.words_of(small_wordnet, ["00000003"])


def test_directions_tell_what_the_classifier_says(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    seen = unit(random.normal(size=(400, 8)))
    outputs = 3 * seen @ random.normal(size=(8, 4)) + 0.01 * random.normal(size=(400, 4))
    things = fit_things(seen[:300], outputs[:300], [(0,), (1,), (0, 1)])
    assert explained(things, seen[300:], outputs[300:]) > 0.8
    (tmp_path / "n.json").write_text(json.dumps({"tasks": ["image"]}))
    words = {"a": [(0,)], "b": [(1,)], "both": [(0, 1)], "each": [(0,), (1,)]}
    write_table(things, words, {"a": [0], "either": [0, 1]}, tmp_path / "w.npz")
    describe_words(tmp_path / "n.json", tmp_path / "w.npz")
    raw = json.loads((tmp_path / "n.json").read_text())
    assert raw["tasks"] == ["image", "text"]
    table = WordTable(tmp_path / "w.npz", raw["words"]["sha256"])
    read = read_vocabulary(table, name="n", dim=8)
    for word, said in (("a", outputs[:, 0]), ("both", np.logaddexp(outputs[:, 0], outputs[:, 1]))):
        assert np.corrcoef(seen @ read.vector(word), said)[0, 1] > (0.95 if word == "a" else 0.75)
