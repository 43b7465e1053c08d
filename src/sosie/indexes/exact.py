"""Exact search: every vector is looked at. The yardstick, and the fastest for small libraries."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex
from sosie.indexes.flat import METRICS, Metric, Rows, top_k, top_k_of
from sosie.types import FloatMatrix

__all__ = ["ExactIndex"]


class ExactIndex(RowIndex):
    """All scores: BLAS for a few queries, FAISS's blocked kernel for many (Johnson et al. 2019).

    ``metric`` is what a score is: the inner product, or minus the Manhattan or Hamming distance.
    """

    kind: ClassVar[str] = "exact"

    def __init__(self, *, metric: Metric = "dot") -> None:
        if metric not in METRICS:
            raise UsageError(f"exact knows {', '.join(METRICS)}, not {metric!r}")
        super().__init__({"metric": metric})

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
