"""Fuse, group, order: pure functions from candidates to answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.types import FloatMatrix, Ids

__all__ = ["merge", "put_first"]


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
