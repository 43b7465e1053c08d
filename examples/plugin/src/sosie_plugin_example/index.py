"""Look through the half of the vectors that lie on the query's side of a plane, then through as much more as asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sosie.indexes.checks import check_build, check_k, check_queries
from sosie.indexes.flat import pad, top_k
from sosie.types import FloatMatrix, Ids

__all__ = ["HalvesIndex"]


class HalvesIndex:
    """Two halves by the sign of the first principal direction; ``share`` of all vectors are looked at (0.5 to 1)."""

    kind = "halves"
    knobs: Mapping[str, tuple[Any, ...]] = {"share": (0.5, 0.75, 1.0)}  # from cheap to thorough

    def __init__(self, *, share: float = 0.75) -> None:
        if not 0.5 <= share <= 1:
            raise ValueError(f"share is between 0.5 and 1, not {share}")
        self.params: Mapping[str, Any] = {"share": share}
        self.ids, self._vectors = np.empty(0, np.int64), np.empty((0, 0), np.float32)
        self._sides = self._direction = np.empty(0, np.float32)

    def tuned(self, changes: Mapping[str, Any]) -> HalvesIndex:
        """Return this index with another share; the vectors are shared."""
        other = HalvesIndex(**{**self.params, **changes})
        other._set(self.ids, self._vectors, self._direction)
        return other

    def build(self, ids: Ids, vectors: FloatMatrix) -> None:
        """Index vectors (n, dim) under ids (n,)."""
        ids, vectors = check_build(ids, vectors)
        order = np.argsort(ids)
        vectors = vectors[order]
        direction = np.zeros(vectors.shape[1], np.float32)
        if len(vectors) > 1:
            direction = np.linalg.svd(vectors[:2_000] - vectors.mean(axis=0), full_matrices=False)[2][0]
        self._set(ids[order], vectors, direction)

    def search(self, queries: FloatMatrix, k: int, allow: Ids | None = None) -> tuple[Ids, FloatMatrix]:
        """Return ids and scores, both (q, k), best first; where too few are near or allowed, all are looked at."""
        queries, k = check_queries(queries, self._vectors.shape[1] or None), check_k(k)
        rows = np.arange(len(self.ids)) if allow is None else np.flatnonzero(np.isin(self.ids, allow))
        found = [self._search_one(query, k, rows) for query in queries]
        ids = np.concatenate([each[0] for each in found]) if found else np.empty((0, k), np.int64)
        scores = np.concatenate([each[1] for each in found]) if found else np.empty((0, k), np.float32)
        return ids, scores

    def save(self, folder: str) -> None:
        """Write three files."""
        for name, array in (("ids", self.ids), ("vectors", self._vectors), ("direction", self._direction)):
            np.save(f"{folder}/{name}.npy", array, allow_pickle=False)

    def load(self, folder: str) -> None:
        """Read what `save` wrote."""
        self._set(*(np.load(f"{folder}/{name}.npy", allow_pickle=False) for name in ("ids", "vectors", "direction")))

    def _set(self, ids: Ids, vectors: FloatMatrix, direction: FloatMatrix) -> None:
        self.ids, self._vectors, self._direction = ids, vectors, direction
        self._sides = vectors @ direction if len(ids) else np.empty(0, np.float32)

    def _search_one(self, query: FloatMatrix, k: int, rows: Ids) -> tuple[Ids, FloatMatrix]:
        share = float(self.params["share"])
        if share < 1 and len(rows) == len(self.ids) and len(rows) > 4 * k:
            near = np.argsort(-self._sides * np.sign(query @ self._direction))
            rows = np.sort(near[: max(4 * k, round(share * len(near)))])
        if not len(rows):
            return pad(np.empty((1, 0), np.int64), np.empty((1, 0), np.float32), k)
        best, scores = top_k(self._vectors[rows], query[None], min(k, len(rows)))
        return pad(self.ids[rows[best]], scores, k)
