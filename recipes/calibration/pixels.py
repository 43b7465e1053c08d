"""Fit the model of pixels that ships as ``sosie/verify/pixels.json``: copies against strangers that look alike.

    python recipes/calibration/pixels.py GROUPS/ --out src/sosie/verify/pixels.json

``GROUPS`` holds a folder for each kind, and in it one for each group of pictures of the same thing (a product on
several shelves, an object on a turntable, a room from two sides). Two pictures of a group are strangers, a picture and
an alteration of it are a copy. Only pairs that stored features would call a copy are asked about, as in a search. A
third of the kinds (``--held-out``) is never fitted on; what those get is printed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.alterations import alter, names
from sosie.analysis.features import extractor
from sosie.analysis.fingerprints import fingerprint, hamming, variants
from sosie.types import Picture, Pixels
from sosie.verify.calibration import fit_pixels, pixel_terms, shipped_calibration
from sosie.verify.evidence import PairEvidence, believable, examine
from sosie.verify.features import Features
from sosie.verify.pixels import agreement, luminance

SIDE = 720
PROPOSED = -1.0  # log-odds of stored features from which a pair is asked about


@dataclass(frozen=True)
class Pair:
    """Two files of one kind; the first is altered in a way by a seed, or as it is."""

    kind: str
    first: str
    second: str
    way: str | None
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=1_500, help="half of them strangers")
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = list(pairs(options.groups, options.pairs, random.Random(options.seed)))
    with ProcessPoolExecutor(options.workers) as pool:
        found = list(zip(drawn, pool.map(measured, drawn, chunksize=8), strict=True))
    asked = [(pair, evidence) for pair, evidence in found if evidence is not None and evidence.pixels is not None]
    truth = np.array([pair.way is not None for pair, _ in asked])
    held = np.array([pair.kind in options.held_out for pair, _ in asked])
    matrix = pixel_terms([evidence for _, evidence in asked])
    about = {"copies": int(truth[~held].sum()), "strangers": int((~truth[~held]).sum()), "seed": options.seed}
    about["kinds"] = sorted({pair.kind for pair, _ in asked} - set(options.held_out))
    model = fit_pixels(matrix[~held], truth[~held], about=about)
    options.out.write_text(json.dumps(model.to_json(), indent=1) + "\n", encoding="utf-8")
    odds = matrix @ np.array(model.weights) + model.bias
    for kind in sorted({pair.kind for pair, _ in asked}):
        of = np.array([pair.kind == kind for pair, _ in asked])
        strangers, copies = odds[of & ~truth], odds[of & truth]
        note = "held out" if kind in options.held_out else "fitted"
        print(f"{kind} ({note}): {len(strangers)} strangers, {int((strangers > 0).sum())} above .5,", end=" ")
        print(f"{int((strangers > 2.94).sum())} above .95; {len(copies)} copies, {int((copies > 0).sum())} above .5")
    print("weights", dict(zip(model.to_json()["weights"], model.weights, strict=True)), "bias", model.bias)


def pairs(folder: Path, count: int, rng: random.Random) -> Iterator[Pair]:
    """Draw pairs, half strangers and half copies, as many of each kind."""
    kinds = {
        kind.name: [sorted(group.iterdir()) for group in sorted(kind.iterdir())] for kind in sorted(folder.iterdir())
    }
    ways = list(names())
    for at in range(count // 2):
        kind = rng.choice(sorted(kinds))
        group = rng.choice([each for each in kinds[kind] if len(each) > 1])
        place = rng.randrange(len(group))
        others = [at for at in range(max(0, place - 3), min(len(group), place + 4)) if at != place]  # likest by name
        first, second = group[place], group[rng.choice(others)]
        yield Pair(kind, str(first), str(second), None, 0)
        yield Pair(kind, str(first), str(first), ways[at % len(ways)], rng.randrange(2**31))


def measured(pair: Pair) -> PairEvidence | None:
    """Return the evidence of a pair, its pixels included; None where stored features do not propose it."""
    first, second = _load(pair.first), _load(pair.second)
    if pair.way is not None:
        first = alter(first, pair.way, pair.seed, others=[second, second, second]).pixels
    evidence = _stored(first, second)
    if evidence.matrix is None or shipped_calibration().odds(evidence) < PROPOSED:
        return None
    seen = agreement(luminance(first), luminance(second), np.array(evidence.matrix))
    return replace(evidence, pixels=seen)


def _stored(first: Pixels, second: Pixels) -> PairEvidence:
    one, other = (Picture(pixels, pixels.shape[1], pixels.shape[0]) for pixels in (first, second))
    quality = min(fingerprint(one).quality, fingerprint(other).quality)
    distances = hamming(variants(one), variants(other)[:1])[:, 0]
    near = int(distances.min()) if quality >= 20 else None
    turn = int(distances.argmin()) if quality >= 20 else None
    return believable(examine(_features(one), _features(other), variant=turn, pdq_distance=near), quality)


def _features(picture: Picture) -> Features:
    return extractor().extract(picture)


def _load(path: str) -> Pixels:
    image = Image.open(path).convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image)


if __name__ == "__main__":
    main()
