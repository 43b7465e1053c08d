"""Fit the heads on features of a still backbone.

python -m recipes.bundled.heads --packs PACKS --run RUN --snapshot RUN/average-090.0.pt --out RUN/final.pt

The features of each picture are computed once, then the heads are trained on them for many passes: a minute of work for
what costs an hour with the backbone. Run it after `train`, to make the most of the averaged weights. The heads of the
run and those that are fitted err differently, so what is written gives the mean of both.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.bundled import losses
from recipes.bundled.augment import edit, vary
from recipes.bundled.export import load_snapshot
from recipes.bundled.network import Heads, Student
from recipes.bundled.pool import Pool
from recipes.bundled.train import mean_average_precision

__all__ = ["Features", "blend", "extract", "fit"]

_CHUNK, _EDITED = 64, 16
# Length of a blended vector before it is made 1; not small, since training on moves weights by steps of one size.
_LONG = 100.0


@dataclass(frozen=True, slots=True)
class Features:
    """Pooled features of mild views, of altered views, and what the teacher saw; half precision."""

    mild: Tensor  # (n, width)
    targets: Tensor  # (n, dim)
    taught: Tensor  # (n,)
    probabilities: Tensor  # (n, classes)
    edited: Tensor  # (m, width)
    original: Tensor  # (m,) the row of `mild` that each altered view comes from


@torch.no_grad()
def _features(student: Student, pictures: Tensor) -> Tensor:
    with torch.autocast(pictures.device.type, torch.bfloat16):
        x = pictures.contiguous(memory_format=torch.channels_last)
        return student.features(x)[0].half()


def extract(student: Student, pool: Pool, *, pictures: int, side: int) -> Features:
    """Compute the features of views of pictures drawn from the pool."""
    student = student.eval().to(memory_format=torch.channels_last)
    mild, targets, taught, probs, edited, original = [], [], [], [], [], []
    for start in range(0, pictures, _CHUNK):
        batch = pool.batch(_CHUNK)
        mild.append(_features(student, torch.cat([vary(p, side, least=0.75) for p in batch.pictures])))
        altered = torch.cat([edit(p, side) for p in batch.pictures[:2]])[:_EDITED]
        edited.append(_features(student, altered))
        original.append(torch.arange(len(altered)) + start)
        targets.append(batch.targets.half())
        taught.append(batch.taught)
        probs.append(batch.probabilities.half())
    columns = (mild, targets, taught, probs, edited, original)
    return Features(*(torch.cat(column).cpu() for column in columns))


@torch.no_grad()
def held_out_features(student: Student, pool: Pool, *, side: int) -> Tensor:
    """Compute the features (n, width) of the held-out pictures."""
    rows = []
    for pictures in pool.held.pictures:
        for part in pictures.split(_CHUNK):
            x = F.interpolate(part.float(), size=(side, side), mode="bicubic", align_corners=False, antialias=True)
            rows.append(_features(student, x.clamp(0, 255)))
    return torch.cat(rows).float()


def fit(heads: Heads, found: Features, *, passes: float = 8, batch: int = 512, rate: float = 2e-3) -> None:
    """Train the heads on features: distillation for the semantic vector, contrast and entropy for the copy vector."""
    x = found.mild.float()
    heads.mean.copy_(x.mean(0))
    heads.scale.copy_(1 / (x.std(0) + 1e-4))
    optimiser = torch.optim.AdamW(heads.parameters(), lr=rate, weight_decay=0.05)
    steps = max(1, int(passes * len(x) / batch))
    noise = 0.1 / heads.scale
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * (1 - step / steps)
        rows = torch.randint(0, len(x), (batch,))
        pairs = torch.randint(0, len(found.edited), (batch // 4,))
        views = torch.cat([x[rows], x[found.original[pairs]], found.edited[pairs].float()])
        semantic, copy, classes = heads(views + noise * torch.randn_like(views))
        loss = _loss(found, rows, semantic[:batch], classes[:batch])
        originals, copies = copy[batch:].chunk(2)
        negatives = torch.cat([originals, copy[:batch]])
        loss = loss + losses.contrast(copies, negatives) + 0.3 * losses.entropy(negatives)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def blend(ours: Heads, theirs: Heads, features: Tensor) -> Heads:
    """Return heads that give the mean of what two give; their hidden layers, equally wide, stand side by side.

    Each is weighed by the mean length of its vectors for ``features`` (n, width), which stands in for making those of
    unit length one by one.
    """
    n, classes = ours.hidden.out_features, ours.classes.out_features
    both = Heads(features.shape[1], classes=classes, hidden=2 * n).eval()
    both.mean.copy_(theirs.mean)
    both.scale.copy_(theirs.scale)
    a, b = (_alike(each, theirs, features) for each in (ours, theirs))
    both.hidden.weight.copy_(torch.cat([a.hidden.weight, b.hidden.weight]))
    both.hidden.bias.copy_(torch.cat([a.hidden.bias, b.hidden.bias]))
    direct = a.semantic.weight[:, n:] + b.semantic.weight[:, n:]
    both.semantic.weight.copy_(torch.cat([a.semantic.weight[:, :n], b.semantic.weight[:, :n], direct], 1))
    both.semantic.bias.copy_(a.semantic.bias + b.semantic.bias)
    both.copy.weight.copy_(a.copy.weight + b.copy.weight)
    both.copy.bias.copy_(a.copy.bias + b.copy.bias)
    both.classes.weight.copy_(torch.cat([a.classes.weight, b.classes.weight], 1) / 2)
    both.classes.bias.copy_((a.classes.bias + b.classes.bias) / 2)
    return both


def _alike(heads: Heads, like: Heads, features: Tensor) -> Heads:
    """Return heads that scale features as others do, and give vectors of length `_LONG` on average."""
    alike = copy.deepcopy(heads).eval()
    for layer, first in ((alike.hidden, 0), (alike.semantic, heads.hidden.out_features), (alike.copy, 0)):
        columns = layer.weight[:, first:] * heads.scale
        layer.bias += columns @ (like.mean - heads.mean)
        layer.weight[:, first:] = columns / like.scale
    alike.mean.copy_(like.mean)
    alike.scale.copy_(like.scale)
    x = (features - like.mean) * like.scale
    for layer, given in ((alike.semantic, torch.cat([F.gelu(alike.hidden(x)), x], 1)), (alike.copy, x)):
        factor = _LONG / layer(given).norm(dim=1).mean()
        layer.weight *= factor
        layer.bias *= factor
    return alike


def _loss(found: Features, rows: Tensor, semantic: Tensor, classes: Tensor) -> Tensor:
    taught, targets = found.taught[rows], found.targets[rows].float()
    ours, theirs = semantic[taught], targets[taught]
    distilled = 2 * losses.cosine(ours, theirs) + losses.relational(ours, theirs)
    return distilled + 0.3 * losses.class_distillation(classes, found.probabilities[rows].float())


@torch.no_grad()
def measure(heads: Heads, features: Tensor, labels: Tensor, found: Features) -> dict[str, float]:
    """Return the held-out mAP of the semantic vector, and how often a copy's original is nearest among all."""
    copies, pool = heads(found.edited[:1000].float())[1], heads(found.mild.float())[1]
    nearest = (copies @ pool.T).argmax(1) == found.original[:1000]
    semantic = heads(features)[0]
    return {"held_out_map": mean_average_precision(semantic, labels), "copies_first": float(nearest.float().mean())}


def main() -> None:
    """Extract features, fit the heads, measure, and write a snapshot with the new heads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--snapshot", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--passes", type=float, default=8)
    parser.add_argument("--backbone", default="regnetx_002")
    options = parser.parse_args()
    torch.manual_seed(0)
    pool = Pool(options.packs, projection=options.run / "target_space.npz", device=torch.device("cpu"), seed=7)
    student = load_snapshot(options.snapshot, backbone=options.backbone, classes=pool.classes)
    cache = options.out.with_suffix(f".{options.side}.features")
    if cache.exists():
        found = Features(**torch.load(cache, weights_only=True))
    else:
        found = extract(student, pool, pictures=options.pictures, side=options.side)
        torch.save({name: getattr(found, name) for name in Features.__slots__}, cache)
    own = copy.deepcopy(student.heads)
    fit(student.heads, found, passes=options.passes)
    seen = held_out_features(student, pool, side=options.side)
    blended = blend(own, student.heads, found.mild[:4096].float())
    for name, heads in {"own": own, "fitted": student.heads, "both": blended}.items():
        print(name, measure(heads, seen, pool.held.labels, found), flush=True)
    student.heads = blended
    half = {k: v.half() if v.is_floating_point() else v for k, v in student.state_dict().items()}
    torch.save(half, options.out)
    print(f"wrote {options.out} at {time.strftime('%H:%M:%S')}")


if __name__ == "__main__":
    main()
