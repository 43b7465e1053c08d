"""A short run of the recipe on 500 drawn pictures: the loss falls, the export agrees with torch, a stop is survived."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("torch", reason="the recipe needs the train extra: uv sync --extra train")
pytest.importorskip("timm", reason="the recipe needs the train extra: uv sync --extra train")

import torch
from recipes.bundled import losses
from recipes.bundled.data import Source, list_blobs, load_shards, pack
from recipes.bundled.evaluate import mean_average_precision as by_hand
from recipes.bundled.export import TOLERANCE, describe, disagreement, export, keep, load_snapshot
from recipes.bundled.heads import Features, blend, extract, fit
from recipes.bundled.leaks import near_duplicates
from recipes.bundled.network import Exported, Heads, Student
from recipes.bundled.pool import Pool
from recipes.bundled.run import Clock, Options, Run
from recipes.bundled.train import mean_average_precision, rate_at, side_at, train
from recipes.bundled.widen import widen

SHAPES, COLOURS, SIDE = 5, 4, 40


def draw(shape: int, colour: int, random: np.random.Generator) -> np.ndarray:
    """Draw one of five shapes in one of four colours at a random place."""
    ground = tuple(int(v) for v in random.integers(200, 255, 3))
    ink = [(200, 30, 30), (30, 160, 40), (40, 60, 200), (20, 20, 20)][colour]
    image = Image.new("RGB", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(image)
    x, y, r = (int(v) for v in random.integers((10, 10, 7), (30, 30, 10)))
    box = (x - r, y - r, x + r, y + r)
    if shape == 0:
        pen.ellipse(box, fill=ink)
    elif shape == 1:
        pen.rectangle(box, fill=ink)
    elif shape < 4:
        pen.regular_polygon((x, y, r), shape + 1, fill=ink)
    else:
        pen.ellipse(box, outline=ink, width=3)
    return np.asarray(image)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 drawn pictures, with a made-up teacher that tells shape and colour apart."""
    random = np.random.default_rng(0)
    shapes, colours = random.integers(0, SHAPES, 500), random.integers(0, COLOURS, 500)
    axes = random.normal(size=(SHAPES + COLOURS, 300))
    known = np.concatenate([np.eye(SHAPES)[shapes], 3 * np.eye(COLOURS)[colours]], 1)
    folder = tmp_path_factory.mktemp("packs") / "drawn"
    folder.mkdir()
    pictures = [draw(int(s), int(c), random) for s, c in zip(shapes, colours, strict=True)]
    np.save(folder / "pictures.npy", np.stack(pictures))
    np.save(folder / "embedding.npy", (known @ axes + 0.3 * random.normal(size=(500, 300))).astype(np.float16))
    np.save(folder / "probs.npy", np.eye(SHAPES)[shapes].astype(np.float16))
    np.save(folder / "label.npy", shapes.astype(np.int32))
    (folder / "labels.json").write_text(json.dumps({"labels": [str(i) for i in range(SHAPES)]}))
    return folder.parent


@pytest.fixture(scope="module")
def options(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Options:
    run = tmp_path_factory.mktemp("run")
    return Options(packs=packs, run=run, steps=60, batch=40, rate=3e-3, sides="48:1", log_every=5, warmup=5, workers=1)


@pytest.fixture(scope="module")
def snapshot(options: Options) -> Path:
    train(options, size=1)
    return max(options.run.glob("average-*.pt"), key=lambda p: p.stat().st_mtime)


def read_log(run: Path, key: str) -> list[float]:
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [entry[key] for entry in entries if key in entry]


def test_the_losses_fall(snapshot: Path, options: Options) -> None:
    found = read_log(options.run, "cosine")
    assert np.mean(found[-3:]) < 0.9 * np.mean(found[:3]), found


def test_the_export_agrees_with_torch(snapshot: Path, tmp_path: Path) -> None:
    student = load_snapshot(snapshot, backbone="regnetx_002")
    export(student, tmp_path / "bundled.onnx")
    assert disagreement(student, tmp_path / "bundled.onnx", sides=(64, 96)) < TOLERANCE
    assert (tmp_path / "bundled.onnx").stat().st_size < 12 * 2**20


def test_a_backbone_that_is_kept_is_that_of_the_run(snapshot: Path, tmp_path: Path) -> None:
    student = load_snapshot(snapshot, backbone="regnetx_002")
    keep(student, tmp_path / "kept.safetensors")
    again = load_snapshot(tmp_path / "kept.safetensors", backbone="regnetx_002")
    pairs = zip(student.backbone.state_dict().values(), again.backbone.state_dict().values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_wider_network_gives_what_the_narrow_one_gave_and_learns_with_all_of_it() -> None:
    torch.manual_seed(0)
    narrow, wide = (Student(classes=5, group=group).eval() for group in (8, 16))
    with torch.no_grad():
        for each in narrow.parameters():
            each.add_(0.02 * torch.randn_like(each))  # the last normalisation of each block is none at first
    widen(narrow, wide)
    pictures = torch.rand(2, 3, 64, 64) * 255
    for ours, theirs in zip(wide(pictures), narrow(pictures), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    (wide.train()(pictures).semantic * torch.randn(2, 256)).sum().backward()
    assert wide.backbone.get_submodule("s3.b2.conv1.conv").weight.grad[:, -8:].abs().sum((0, 2, 3)).min() > 0


def test_a_narrower_network_is_refused() -> None:
    narrow, wide = (Student(classes=5, group=group) for group in (8, 16))
    with pytest.raises(ValueError, match="is not wider"):
        widen(wide, narrow)
    with pytest.raises(ValueError, match="average of a run"):
        widen(Student(classes=5, group=8, hidden=32), wide)


def test_blended_heads_give_the_mean_of_both() -> None:
    torch.manual_seed(0)
    features = torch.rand(64, 24)
    ours, theirs = (Heads(24, classes=5, hidden=16).eval() for _ in range(2))
    theirs.mean.copy_(features.mean(0))
    theirs.scale.copy_(1 / features.std(0))
    both = blend(ours, theirs, features)
    for mine, yours, mean in zip(ours(features)[:2], theirs(features)[:2], both(features)[:2], strict=True):
        expected = torch.nn.functional.normalize(mine + yours, dim=1)
        assert float((expected * mean).sum(1).mean()) > 0.99


def test_a_picture_and_its_mirror_image_have_the_same_vectors(snapshot: Path) -> None:
    network = Exported(load_snapshot(snapshot, backbone="regnetx_002")).eval()
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        (semantic, copy, _), (again, copied, _) = network(picture), network(picture.flip(3))
    assert torch.allclose(semantic, again, atol=1e-4)
    assert torch.allclose(copy, copied, atol=1e-4)


def test_the_export_is_described_with_its_digest(snapshot: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    export(load_snapshot(snapshot, backbone="regnetx_002"), tmp_path / "bundled.onnx")
    said = json.loads(describe(tmp_path / "bundled.onnx", version="1", side=128).read_text())
    model = onnx.load(tmp_path / "bundled.onnx")
    assert [o.name for o in model.graph.output] == [h["output"] for h in said["heads"]] + [said["featuremap"]]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert len(said["sha256"]) == 64


def test_a_longer_run_goes_on_from_the_checkpoint(snapshot: Path, options: Options) -> None:
    run = train(replace(options, steps=63), size=1)
    assert run.step == 63
    assert read_log(options.run, "step").count(0) == 1


def test_frozen_parts_stay_as_they_were(options: Options, tmp_path: Path) -> None:
    options = replace(options, run=tmp_path, steps=4, frozen="stem,s1")
    run = train(options, size=1)
    fresh = Run(options, classes=SHAPES, device=torch.device("cpu")).student.backbone
    now = run.student.backbone
    for name, same in (("stem", True), ("s1", True), ("s4", False)):
        before, after = fresh.get_submodule(name).state_dict(), now.get_submodule(name).state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before) is same, name


def test_a_pause_counts_as_one_ordinary_step(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 2.0, 602.0, 603.0])
    monkeypatch.setattr("recipes.bundled.run.time.monotonic", lambda: next(times))
    clock = Clock()
    counted = [clock.tick() for _ in range(4)]
    assert counted == [1.0, 1.0, 1.0, 1.0]


def test_the_rate_warms_up_holds_and_falls_to_nothing(options: Options) -> None:
    rates = [rate_at(p, 10_000, options) for p in (0.0, 0.49, 0.75, 1.0)]
    assert rates[0] == rates[1] == options.rate
    assert rates[1] > rates[2] > rates[3] == 0.0
    assert rate_at(0.0, 0, options) == options.rate / options.warmup


def test_the_side_grows_with_progress() -> None:
    assert [side_at(p, "64:0.2,96:1") for p in (0.0, 0.2, 0.9, 1.0)] == [64, 96, 96, 96]


def test_both_measures_of_map_agree() -> None:
    random = np.random.default_rng(1)
    unit = random.normal(size=(40, 8)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    labels = random.integers(0, 4, 40)
    ours = mean_average_precision(torch.from_numpy(unit), torch.from_numpy(labels))
    assert ours == pytest.approx(by_hand(unit, [str(v) for v in labels]), abs=1e-5)


def test_contrast_is_least_where_copies_meet_their_originals() -> None:
    originals = torch.nn.functional.normalize(torch.eye(6) + 0.01, dim=1)
    assert losses.contrast(originals[:3], originals) < losses.contrast(originals[[1, 2, 0]], originals)


def test_entropy_rewards_spreading_out() -> None:
    spread = torch.eye(8)
    close = torch.nn.functional.normalize(torch.ones(8, 8) + 0.05 * torch.eye(8), dim=1)
    assert losses.entropy(spread) < losses.entropy(close)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of three pictures in two folders, one of them twice, and one file that is no picture."""
    root = tmp_path / "pictures"
    for name, tone in (("cats/a.png", 10), ("cats/again.png", 10), ("dogs/b.png", 90), ("dogs/broken.jpg", None)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if tone is None:
            path.write_bytes(b"not a picture")
        else:
            Image.new("RGB", (20, 30), (tone, tone, tone)).save(path)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "pictures"]):
        subprocess.run(["git", *command], cwd=root, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    return root / ".git"


SOURCE = Source("owner/pictures", "HEAD", "three", "none", side=16, look=0, label="folder")


def test_a_source_is_packed_once_without_doubles_and_broken_files(repository: Path, tmp_path: Path) -> None:
    assert pack(SOURCE, git=repository, teacher=None, out=tmp_path / "out", allowed=None, workers=1) == 2
    assert pack(SOURCE, git=repository, teacher=None, out=tmp_path / "out", allowed=None, workers=1) == -1
    (shard,) = load_shards(tmp_path / "out")
    assert shard.pictures.shape == (2, 16, 16, 3)
    said = {shard.labels[n]: int(p.mean()) for n, p in zip(shard.label, shard.pictures, strict=True)}
    assert said == {"cats": 10, "dogs": 90}


def test_a_picture_that_may_not_be_trained_on_is_left_out(repository: Path) -> None:
    blobs = dict(list_blobs(repository, SOURCE, None))
    forbidden = next(blob for blob, label in blobs.items() if label == "cats")
    left = list_blobs(repository, SOURCE, {forbidden: False})
    assert forbidden in blobs
    assert forbidden not in dict(left)


def test_a_smaller_mirrored_copy_of_an_evaluation_picture_is_found(packs: Path) -> None:
    pictures = load_shards(packs)[0].pictures
    shown = torch.from_numpy(np.array(pictures[7])).permute(2, 0, 1)[None].float()
    evaluation = torch.nn.functional.interpolate(shown.flip(3), size=16, mode="area")
    assert 7 in near_duplicates(pictures, evaluation)
    assert len(near_duplicates(pictures, evaluation)) < 25


def test_near_duplicates_are_not_trained_on(packs: Path, tmp_path: Path) -> None:
    shutil.copytree(packs, tmp_path / "packs")
    before = Pool(tmp_path / "packs", projection=tmp_path / "a.npz", device=torch.device("cpu")).size
    np.save(tmp_path / "packs" / "drawn" / "near_duplicates.npy", np.array([3, 8]))
    assert Pool(tmp_path / "packs", projection=tmp_path / "b.npz", device=torch.device("cpu")).size == before - 2


def test_fitting_the_heads_brings_copies_to_their_originals(packs: Path, tmp_path: Path) -> None:
    pool = Pool(packs, projection=tmp_path / "space.npz", device=torch.device("cpu"))
    student = Student(classes=SHAPES).eval()
    found = extract(student, pool, pictures=256, side=64)
    assert torch.equal(found.original[:4], torch.arange(4))
    before = copies_first(student, found)
    fit(student.heads, found, passes=20, batch=64)
    assert copies_first(student, found) > before


def copies_first(student: Student, found: Features) -> float:
    """Return how often a copy's original is the nearest of all."""
    with torch.no_grad():
        copies, originals = student.heads(found.edited.float())[1], student.heads(found.mild.float())[1]
    return float(((copies @ originals.T).argmax(1) == found.original).float().mean())
