"""Fit what ships as ``sosie/verify/things.json``: photographs of one thing against things that look like it.

    python recipes/calibration/things.py GROUPS/ --out src/sosie/verify/things.json --held-out packages books

``GROUPS`` holds a folder for each kind, and in it one for each thing with its photographs (a book, a product, a
building). Two pictures of a group show the same thing. Strangers of a picture are those of other groups that the
bundled network finds likest. Groups named ``NAME~1``, ``NAME~2`` are designs of one make (two flavours): these are
strangers of each other alone. Kinds that are ``--held-out`` are never fitted on; what they get is printed. The cut-off
lies above every stranger of the fitted kinds but designs of one make, some of which share a whole side.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from sosie.analysis.features import extractor
from sosie.embedders.bundled import BundledEmbedder
from sosie.query.judge import with_pixels
from sosie.types import FloatMatrix, Picture, Pixels
from sosie.verify.calibration import shipped_calibration
from sosie.verify.evidence import examine
from sosie.verify.features import Features
from sosie.verify.pixels import luminance
from sosie.verify.things import LEAST_INLIERS, THING_TERMS, ThingModel, measure_thing, thing_terms

SIDE, SMALL = 1024, 320
COPY = 0.75  # the probability from which a pair is a copy, and no question
CERTAIN = 0.95  # what the cut-off is called
STRANGERS, MOST = 4, 60  # for each picture; pairs of each group


@dataclass(frozen=True)
class Shot:
    """A photograph of a thing (``group``) of a kind."""

    kind: str
    group: str
    path: str


@dataclass(frozen=True)
class Pair:
    """Two photographs, of the same thing or not; ``kin`` are designs of one make."""

    kind: str
    first: str
    second: str
    same: bool
    kin: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shots = [
        Shot(kind.name, group.name, str(path))
        for kind in sorted(options.groups.iterdir())
        for group in sorted(kind.iterdir())
        for path in sorted(group.iterdir())
    ]
    drawn = list(pairs(shots, embedded(shots), random.Random(options.seed)))
    with ProcessPoolExecutor(options.workers) as pool:
        found = list(pool.map(measured, drawn, chunksize=16))
    told = np.array([one is not None for one in found])
    terms = thing_terms([one or (0, 6.0) for one in found])
    same, kin = np.array([pair.same for pair in drawn]), np.array([pair.kin for pair in drawn])
    held = np.array([pair.kind in options.held_out for pair in drawn])
    fitted = told & ~held
    model = LogisticRegression().fit(terms[fitted], same[fitted], np.where(same[fitted], 1.0, 3.0))
    if (model.coef_ < 0).any():
        raise SystemExit(f"agreement never speaks against a thing, but the weights are {model.coef_.tolist()}")
    weights = model.coef_[0]
    scores = np.where(told, terms @ weights, -np.inf)
    cut = float(scores[~held & ~same & ~kin].max())
    about = {"same": int((fitted & same).sum()), "strangers": int((~held & ~same).sum()), "seed": options.seed}
    about["kinds"] = sorted({pair.kind for pair in drawn} - set(options.held_out))
    shipped = ThingModel(tuple(weights.tolist()), float(np.log(CERTAIN / (1 - CERTAIN)) - cut), CERTAIN, about)
    options.out.write_text(json.dumps(shipped.to_json(), indent=1) + "\n", encoding="utf-8")
    worst = [at for at in np.argsort(-scores).tolist() if not (held[at] or same[at] or kin[at])][:8]
    for at in worst:
        print(round(float(scores[at]), 2), drawn[at].first, drawn[at].second)
    print(dict(zip(THING_TERMS, weights.round(3).tolist(), strict=True)), "cut", round(cut, 3), about)
    for kind in sorted({pair.kind for pair in drawn}):
        of = np.array([pair.kind == kind for pair in drawn])
        above = scores > cut
        right, all_, wrong, others = (
            int(each.sum()) for each in (above & of & same, of & same, above & of & ~same, of & ~same)
        )
        note = "held out" if kind in options.held_out else "fitted"
        print(f"{kind} ({note}): {right} of {all_} pairs of one thing; {wrong} of {others} likest strangers")


def embedded(shots: list[Shot]) -> FloatMatrix:
    """Return the vectors (n, dim) of the bundled network, of unit length."""
    network = BundledEmbedder()
    rows = []
    for at in range(0, len(shots), 16):
        small = [load(shot.path, SMALL) for shot in shots[at : at + 16]]
        rows.append(network.embed([Picture(each, each.shape[1], each.shape[0]) for each in small])[:, :256])
    vectors = np.concatenate(rows)
    unit: FloatMatrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def pairs(shots: list[Shot], vectors: FloatMatrix, rng: random.Random) -> Iterator[Pair]:
    """Draw pairs of the same thing, and the likest strangers of each picture."""
    drawn: set[tuple[int, int]] = set()
    groups: dict[str, list[int]] = {}
    for at, shot in enumerate(shots):
        groups.setdefault(f"{shot.kind}/{shot.group}", []).append(at)
    for members in groups.values():
        every = [(a, b) for place, a in enumerate(members) for b in members[place + 1 :]]
        for a, b in rng.sample(every, min(MOST, len(every))):
            drawn.add((a, b))
            yield Pair(shots[a].kind, shots[a].path, shots[b].path, True, False)
    likeness = vectors @ vectors.T
    for a, shot in enumerate(shots):
        likest = (b for b in np.argsort(-likeness[a], kind="stable").tolist() if _strangers(shot, shots[b]))
        for b in islice(likest, STRANGERS):
            if (min(a, b), max(a, b)) not in drawn:
                drawn.add((min(a, b), max(a, b)))
                yield Pair(shot.kind, shot.path, shots[b].path, False, "~" in shot.group)


def _strangers(one: Shot, other: Shot) -> bool:
    if (one.kind, one.group) == (other.kind, other.group):
        return False
    kin = one.kind == other.kind and one.group.split("~")[0] == other.group.split("~")[0]
    return kin if "~" in one.group else "~" not in other.group


def measured(pair: Pair) -> tuple[int, float] | None:
    """Return inliers and shift of a pair; None where nothing can be said."""
    evidence = examine(features(pair.first), features(pair.second))
    if evidence.inliers < LEAST_INLIERS:
        return None
    first, second = luminance(load(pair.first, SIDE)), luminance(load(pair.second, SIDE))
    if shipped_calibration().probability(with_pixels(evidence, first, second)) >= COPY:
        return None  # the judge asks about what is no copy alone
    shift = measure_thing(first, second, evidence)
    return None if shift is None else (evidence.inliers, shift)


@lru_cache(maxsize=2_048)
def features(path: str) -> Features:
    """Return the local features of a picture."""
    pixels = load(path, SIDE)
    return extractor().extract(Picture(pixels, pixels.shape[1], pixels.shape[0]))


def load(path: str, side: int) -> Pixels:
    """Return a picture (h, w, 3) of at most so many pixels a side."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(image)


if __name__ == "__main__":
    main()
