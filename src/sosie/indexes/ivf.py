"""Inverted lists with one bit a dimension, re-ranked with the vectors: little memory, quick to build."""

from __future__ import annotations

import mmap
from typing import ClassVar

import numpy as np

from sosie.errors import UsageError
from sosie.indexes.base import Space
from sosie.indexes.faiss_files import FaissIndex
from sosie.indexes.flat import Rows, rerank
from sosie.types import FloatMatrix

__all__ = ["IvfIndex"]

_POINTS_PER_LIST = 39  # FAISS's k-means wants so many to place a centroid
_HELD = 4  # the probed lists hold so many times the rows that are asked for
_LET_GO = 1_000  # rows; the system maps up to 16 pages around each
_SAMPLE = 64  # vectors a list that training looks at; more moves the centroids hardly


class IvfIndex(FaissIndex):
    """Inverted lists of RaBitQ codes (Gao and Long, SIGMOD 2024) from FAISS, about 60 bytes a vector at 256 dimensions.

    ``low_memory`` lets go of the pages that re-ranking read, again and again, at some cost of speed.
    ``lists`` 0 means four times the root of n; ``probes`` lists are looked at, ``rerank`` × k candidates
    are scored exactly.
    """

    kind: ClassVar[str] = "ivf"
    least: ClassVar[int] = 1_000
    build_space: ClassVar[Space] = {"lists": (0,)}
    search_space: ClassVar[Space] = {
        "probes": (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256),
        "rerank": (3, 6, 12),
    }

    def __init__(self, *, lists: int = 0, probes: int = 32, rerank: int = 6, low_memory: bool = False) -> None:
        if lists < 0 or probes < 1 or rerank < 1:
            raise UsageError("ivf takes lists >= 0, probes >= 1 and rerank >= 1")
        super().__init__({"lists": lists, "probes": probes, "rerank": rerank, "low_memory": low_memory})
        self._touched = 0  # rows read since pages were last let go; a race between threads only shifts when

    def _build(self, vectors: FloatMatrix) -> None:
        import faiss

        lists = self._params["lists"] or round(4 * len(vectors) ** 0.5)
        lists = max(1, min(lists, len(vectors) // _POINTS_PER_LIST))
        index = faiss.index_factory(vectors.shape[1], f"IVF{lists},RaBitQ", faiss.METRIC_INNER_PRODUCT)
        index.train(self._sample(vectors, _SAMPLE * lists))
        index.add(vectors)
        self._index = index

    def _sample(self, vectors: FloatMatrix, size: int) -> FloatMatrix:
        if size >= len(vectors):
            return vectors
        chosen = np.random.default_rng(0).choice(len(vectors), size, replace=False)
        sample: FloatMatrix = vectors[np.sort(chosen)]
        return sample

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        import faiss

        fetch = min(len(self), self._params["rerank"] * k)
        settings = faiss.IVFRaBitQSearchParameters()
        # Deep answers, which filters ask for, want lists that hold several times as many.
        deep = -(-_HELD * k * self._index.nlist // len(self))
        settings.nprobe = max(self._params["probes"], deep)
        rows = self._index.search(queries, fetch, params=settings)[1]
        answer = rerank(self._vectors, queries, rows, k)
        if self._params["low_memory"]:
            self._let_go(rows.size)
        return answer

    def _let_go(self, touched: int) -> None:
        """Give mapped pages back once enough rows were read; the system keeps them for whoever asks next."""
        self._touched += touched
        if self._touched > _LET_GO and self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            self._mapping.madvise(mmap.MADV_DONTNEED)
