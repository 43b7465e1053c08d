"""Fuse, group, order: pure functions from candidates to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sosie.types import FloatMatrix, Hit, Ids, Verdict

__all__ = ["by_meaning", "merge", "put_first"]


def merge(parts: Sequence[tuple[Ids, FloatMatrix]], k: int) -> tuple[Ids, FloatMatrix]:
    """Merge several answers to the same queries into the k best.

    Each part holds ids and scores, both (q, any), padded with -1 and -inf; so is the result, (q, k). Equal scores
    are ordered by id, so that the same question has the same answer twice.
    """
    ids = np.concatenate([part[0] for part in parts], axis=1)
    scores = np.concatenate([part[1] for part in parts], axis=1)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
    missing = k - ids.shape[1]
    if missing > 0:
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    return ids, scores


def put_first(
    ids: Sequence[int], scores: Sequence[float], first: Sequence[int], k: int, *, same: float = 1.0
) -> list[tuple[int, float]]:
    """Put the pictures of ``first`` (known to be the same) before the others, each once, k in all.

    ``same`` is the score of a picture with itself: 1 for a cosine, 0 for minus a distance.
    """
    known = dict(zip(ids, scores, strict=True))
    ordered = [*first, *(i for i in ids if i not in set(first))]
    return [(i, known.get(i, same)) for i in ordered[:k]]


_MEANING = {Verdict.IDENTICAL: 0, Verdict.SAME_PIXELS: 1, Verdict.SAME_OBJECT: 3, Verdict.SIMILAR: 4}
_COPY = 2  # of whatever kind: the surest first


def by_meaning(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """Put what was made of the same picture before another picture of the same thing, and that before lookalikes.

    Copies are ordered by probability, all others as they were.
    """

    def key(hit: Hit) -> tuple[int, float]:
        meaning = _MEANING.get(hit.verdict, _COPY)
        return meaning, -(hit.probability or 0.0) if meaning == _COPY else 0.0

    return tuple(replace(hit, rank=at) for at, hit in enumerate(sorted(hits, key=key), 1))
