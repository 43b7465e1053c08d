"""Many regions of many pictures become one score a picture: pure functions and the weights that they take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sosie.errors import UsageError
from sosie.registry import nearest
from sosie.types import FloatMatrix, Ids, Region

__all__ = ["DEFAULTS", "Matched", "Weights", "combine", "match_regions", "part_weights", "shares_of", "weights_of"]


@dataclass(frozen=True, slots=True)
class Weights:
    """How regions of one kind count.

    ``share`` is what they make of the whole score, the rest being that of whole pictures. An object of the query counts
    by its area to the power ``area`` times its confidence to the power ``sure``; a region of the library by its
    confidence to the power ``trust``.
    """

    share: float = 0.5
    area: float = 0.25
    sure: float = 0.5
    trust: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 0.95 and min(self.area, self.sure, self.trust) >= 0):
            raise UsageError("a share lies between 0 and 0.95, powers are at least 0")

    def to_json(self) -> dict[str, float]:
        """Return the weights with plain JSON types."""
        return asdict(self)


# squares take less: of one thing on a plain ground half the score would cost 0.013 mAP, a quarter about 0.004
DEFAULTS: Mapping[str, Weights] = {"objects": Weights(), "pooled": Weights(share=0.25), "mask": Weights()}


def weights_of(kind: str, stored: Mapping[str, Any] | None) -> Weights:
    """Return the weights of a kind: those that were fitted on this library, else the ones that Sosie comes with."""
    family = kind.partition(":")[0]
    fitted = (stored or {}).get(kind)
    return Weights(**fitted) if fitted else DEFAULTS[family]


def shares_of(kinds: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    """Return what whole pictures and each kind of regions make of the score, 1 in all, as a person gave it.

    ``mask`` stands for every mask; what is not named counts nothing. Raises UsageError.
    """
    if not kinds:
        raise UsageError("only whole pictures are searched, so there is nothing to share: give --mask or --regions")
    families = [kind.partition(":")[0] for kind in kinds]
    for name in given:
        if name != "whole" and name not in (*kinds, *families):
            raise UsageError(f"no part called {name!r} is searched; {nearest(name, ['whole', *kinds])}")
    shares = {"whole": given.get("whole", 0.0)}
    shares |= {kind: given.get(kind, given.get(family, 0.0)) for kind, family in zip(kinds, families, strict=True)}
    total = sum(shares.values())
    if not (all(0 <= each < math.inf for each in shares.values()) and total > 0):
        raise UsageError("shares are 0 or more, and one of them is above 0: whole=0,mask=1")
    return {name: each / total for name, each in shares.items()}


@dataclass(frozen=True, slots=True)
class Matched:
    """For each of n pictures: its score (n,), which of its regions fits best and which part of the query that fits."""

    contents: Ids
    scores: FloatMatrix
    region: Ids  # rows of the regions
    part: Ids  # rows of the query's parts


def match_regions(
    parts: FloatMatrix,
    vectors: FloatMatrix,
    owners: Ids,
    *,
    asked: Sequence[Region],
    confidence: FloatMatrix,
    weights: Weights,
) -> Matched:
    """Compare the parts of a query (m, dim) with regions (n, dim), whose ``owners`` (n,) ascend, picture by picture.

    Each part takes the region that fits it best; a picture's score is the mean over the parts, weighted by their area
    and confidence. ``asked`` are the parts' regions, or nothing where the parts count alike.
    """
    if not len(owners):
        return Matched(owners, np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    similarity = (parts @ vectors.T) * np.power(confidence, weights.trust)
    contents, starts = np.unique(owners, return_index=True)
    best = np.maximum.reduceat(similarity, starts, axis=1)  # (m, pictures)
    counted = part_weights(asked, len(parts), weights)
    scores = (counted[:, None] * best).sum(axis=0) / counted.sum()
    weighted = np.sqrt(counted)[:, None] * similarity
    part, ends = weighted.argmax(axis=0), [*starts[1:], len(owners)]
    each = weighted.max(axis=0)
    region = np.array([start + each[start:end].argmax() for start, end in zip(starts, ends, strict=True)], np.int64)
    return Matched(contents, scores.astype(np.float32), region, part[region])


def part_weights(asked: Sequence[Region], count: int, weights: Weights) -> FloatMatrix:
    """Return how much each of the parts of a query counts (count,); alike where ``asked`` does not tell them."""
    if len(asked) != count:
        return np.ones(count, np.float32)
    values = [max(r.area, 1e-4) ** weights.area * max(r.confidence, 1e-2) ** weights.sure for r in asked]
    return np.array(values, np.float32)


def combine(whole: FloatMatrix, kinds: Sequence[tuple[FloatMatrix, float]]) -> FloatMatrix:
    """Return the weighted mean of scores (n,) of whole pictures and of each kind of regions, by its share."""
    total, scores = 1.0, whole.astype(np.float64)
    for each, share in kinds:
        odds = share / (1 - share)
        total, scores = total + odds, scores + odds * each
    return np.asarray(scores / total, np.float32)
