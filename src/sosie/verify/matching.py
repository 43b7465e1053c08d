"""Which local features of two pictures are the same point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sosie.verify.blas import one_thread
from sosie.verify.features import Features

__all__ = ["MAX_RATIO", "Pairs", "match"]

Pairs = npt.NDArray[np.int64]  # (m, 2): position in the query, position in the reference

MAX_RATIO = 0.85


def match(query: Features, reference: Features, *, ratio: float = MAX_RATIO) -> Pairs:
    """Pair features that are each other's nearest and clearly nearer than the second (Lowe, 2004).

    The surest pairs stand first.
    """
    if len(query) < 2 or len(reference) < 2:
        return np.empty((0, 2), np.int64)
    with one_thread():
        likeness = _unit(query) @ _unit(reference).T
    rows = np.arange(len(query))
    nearest, back = likeness.argmax(axis=1), likeness.argmax(axis=0)
    best = likeness[rows, nearest]
    likeness[rows, nearest] = -1
    second = likeness.max(axis=1)
    quotient = (1 - best) / np.maximum(1 - second, 1e-6)  # of squared distances
    kept = np.flatnonzero((back[nearest] == rows) & (quotient <= ratio**2))
    kept = kept[np.argsort(quotient[kept], kind="stable")]
    return np.stack([kept, nearest[kept]], axis=1)


def _unit(features: Features) -> npt.NDArray[np.float32]:
    rows = features.descriptors.astype(np.float32)
    unit: npt.NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit
