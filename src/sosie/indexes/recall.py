"""How many of the true neighbours an answer holds, by exact scores, ties allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.indexes.flat import tolerance
from sosie.types import FloatMatrix

__all__ = ["count_found", "count_true", "interval_of", "wilson"]

Counts = npt.NDArray[np.int64]


def count_found(scores: FloatMatrix, truth: FloatMatrix, slack: npt.NDArray[Any] | None = None) -> Counts:
    """Return how many of its true neighbours each answer holds (q,).

    ``scores`` (q, any) are the exact scores of what was found, each once, -inf where nothing was; ``truth`` (q, k)
    those of exact search, best first, -inf behind the last. What is nearer than the k-th neighbour has to be found
    itself; of those that tie with it, within ``slack`` (q,), any will do for the places that are left.
    """
    there = count_true(truth)
    kth = np.take_along_axis(truth, np.maximum(there - 1, 0)[:, None], axis=1)[:, 0]
    kth = np.where(there > 0, kth, np.inf)
    slack = tolerance(np.where(there > 0, kth, 0.0)) if slack is None else slack
    above, least = (kth + slack)[:, None], (kth - slack)[:, None]
    nearer = (truth > above).sum(axis=1)
    sure = np.minimum((scores > above).sum(axis=1), nearer)
    tied = ((scores >= least) & (scores <= above)).sum(axis=1)
    found: Counts = sure + np.minimum(tied, there - nearer)
    return found


def wilson(share: float, count: int, *, z: float = 1.96) -> tuple[float, float]:
    """Return the interval of a share of ``count`` trials (Wilson, 1927), which is right at 0 and 1, too."""
    spread = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    middle, scale = share + z * z / (2 * count), 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def interval_of(shares: npt.NDArray[Any], k: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean recall at ``k`` over queries (q,): the wider of the two that are known.

    That of the mean over queries has no width where each query found all, and Wilson's then has.
    """
    mean = float(shares.mean())
    half = 1.96 * float(shares.std()) / len(shares) ** 0.5
    low, high = wilson(mean, len(shares) * k)
    return min(low, max(0.0, mean - half)), max(high, min(1.0, mean + half))


def count_true(truth: FloatMatrix) -> Counts:
    """Return how many neighbours each query has (q,): k, or all where there are fewer."""
    counts: Counts = (truth > -np.inf).sum(axis=1)
    return counts
