"""A map of the collection: every picture a point on a plane, alike pictures near each other."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from sosie.types import FloatMatrix, Ids

__all__ = ["MapCache", "Points", "project"]

MOST_POINTS = 20_000
_FIT_ON = 10_000


@dataclass(frozen=True, slots=True)
class Points:
    """Pictures on the plane: ids (n,), positions (n, 2) in -1..1, and the share of variance that two axes hold."""

    ids: Ids
    positions: FloatMatrix
    explained: float
    total: int


def project(ids: Ids, vectors: FloatMatrix, *, most: int = MOST_POINTS, seed: int = 0) -> Points:
    """Project vectors (n, dim) on their two main axes (principal component analysis, Pearson 1901).

    At most ``most`` points are kept, drawn evenly by ``seed``; each axis points to where its largest component is
    positive, so that the same library gives the same map.
    """
    total = len(ids)
    generator = np.random.default_rng(seed)
    if total > most:
        chosen = np.sort(generator.choice(total, most, replace=False))
        ids, vectors = ids[chosen], vectors[chosen]
    if len(ids) == 0:
        return Points(ids, np.zeros((0, 2), np.float32), 0.0, total)
    sample = vectors[:: max(1, len(vectors) // _FIT_ON)].astype(np.float64)
    mean = sample.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(sample - mean, rowvar=False, bias=True).reshape(2 * (len(mean),)))
    main = axes[:, ::-1][:, :2]
    main = main * np.where(main[np.abs(main).argmax(axis=0), range(main.shape[1])] < 0, -1.0, 1.0)
    flat = (vectors - mean) @ main
    if flat.shape[1] < 2:
        flat = np.hstack([flat, np.zeros((len(flat), 1))])
    variance = float(values.clip(0).sum())
    explained = float(values[::-1][:2].clip(0).sum() / variance) if variance > 0 else 0.0
    return Points(ids, _scaled(flat), explained, total)


def _scaled(flat: npt.NDArray[np.float64]) -> FloatMatrix:
    # One scale for both axes: distances on the map stay comparable.
    centred = flat - (flat.min(axis=0) + flat.max(axis=0)) / 2
    reach = float(np.abs(centred).max())
    return np.asarray(centred / reach if reach > 0 else centred, dtype=np.float32)


class MapCache:
    """The map of one state of the library, computed once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: object = None
        self._points: Points | None = None

    def get(self, key: object, ids: Ids, vectors: FloatMatrix) -> Points:
        """Return the map for ``key``, which changes when the library does."""
        with self._lock:
            if self._points is None or self._key != key:
                self._points, self._key = project(ids, vectors), key
            return self._points

    def peek(self, key: object) -> Points | None:
        """Return the map for ``key`` if it is there."""
        with self._lock:
            return self._points if self._key == key else None
