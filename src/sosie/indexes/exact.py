"""Exact search: every vector is looked at. The yardstick, and the fastest for small libraries."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex
from sosie.indexes.flat import METRICS, Metric, Rows, top_k, top_k_of
from sosie.indexes.growing import Room
from sosie.types import FloatMatrix, Ids

__all__ = ["ExactIndex", "exact_over", "with_more"]


class ExactIndex(RowIndex):
    """All scores: BLAS for a few queries, FAISS's blocked kernel for many (Johnson et al. 2019).

    ``metric`` is what a score is: the inner product, or minus the Manhattan or Hamming distance.
    """

    kind: ClassVar[str] = "exact"

    def __init__(self, *, metric: Metric = "dot") -> None:
        if metric not in METRICS:
            raise UsageError(f"exact knows {', '.join(METRICS)}, not {metric!r}")
        super().__init__({"metric": metric})
        self._room = Room(self._ids, self._vectors)

    @property
    def metric(self) -> Metric:
        """What a score is."""
        chosen: Metric = self._params["metric"]
        return chosen

    def _build(self, vectors: FloatMatrix) -> None:
        """Nothing to build: the vectors are the index."""

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        return top_k(self._vectors, queries, k, self.metric)

    def _search_among(self, queries: FloatMatrix, k: int, allowed: Allowed) -> tuple[Rows, FloatMatrix]:
        return top_k_of(self._vectors, queries, k, allowed.rows, self.metric)

    def _save(self, folder: Path) -> None:
        """Ids and vectors are saved already."""

    def _load(self, folder: Path) -> None:
        """Ids and vectors are loaded already."""


def exact_over(ids: Ids, vectors: FloatMatrix, *, metric: Metric = "dot", room: Room | None = None) -> ExactIndex:
    """Search ``vectors`` (n, dim), float32, under ``ids`` (n,), which ascend: nothing is checked or copied."""
    index = ExactIndex(metric=metric)
    index._ids, index._vectors, index._room = ids, vectors, room or Room(ids, vectors)
    return index


def with_more(index: ExactIndex, ids: Ids, vectors: FloatMatrix) -> ExactIndex:
    """Return an index with ``vectors`` (m, dim) under ``ids`` (m,), which ascend; the one given stays as it is.

    Those under ids that it has take their place. What is above all of these costs only its own size.
    """
    if not len(ids):
        return index
    if not len(index):
        return exact_over(ids, vectors, metric=index.metric)
    if ids[0] > index._ids[-1]:
        ids, vectors, room = index._room.after(len(index), ids, vectors)
        return exact_over(ids, vectors, metric=index.metric, room=room)
    kept = ~np.isin(index._ids, ids, assume_unique=True)
    together = np.concatenate([index._ids[kept], ids])
    order = np.argsort(together)
    return exact_over(together[order], np.concatenate([index._vectors[kept], vectors])[order], metric=index.metric)
