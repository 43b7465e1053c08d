"""SymphonyQG: a graph whose edges carry quantised neighbours, so that a step estimates 32 distances at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sosie.arrays import load_array
from sosie.errors import UsageError
from sosie.indexes.base import RowIndex, Space, threads
from sosie.indexes.flat import Row, Rows, rerank, top_k
from sosie.types import FloatMatrix

__all__ = ["SymqgIndex"]

_FILE = "symqg.bin"
_NORMS = "norms.npy"
_NARROWEST = 64  # the library's rotation needs so many dimensions; zeros behind change no inner product
_UNIT = 2e-6  # squared lengths this near to 1 are 1
_FEW_QUERIES = 8  # below this, starting threads costs more than it saves


class SymqgIndex(RowIndex):
    """A quantised graph (Gou et al., SymphonyQG, SIGMOD 2025) from rabitqlib.

    ``degree`` is a multiple of 32; ``bits`` 0 keeps the vectors in the graph, 4 or 8 keeps codes and re-
    ranks from the mapped vectors; ``ef`` is the width of the search.
    """

    kind: ClassVar[str] = "symqg"
    least: ClassVar[int] = 256
    build_space: ClassVar[Space] = {"degree": (32, 64), "bits": (0, 8), "ef_construction": (200,)}
    search_space: ClassVar[Space] = {"ef": (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)}

    def __init__(self, *, degree: int = 32, bits: int = 0, ef_construction: int = 200, ef: int = 64) -> None:
        if degree < 32 or degree % 32 or bits not in (0, 4, 8):
            raise UsageError("symqg takes a degree that is a multiple of 32 and 0, 4 or 8 bits")
        if ef < 1 or ef_construction < 1:
            raise UsageError("symqg takes ef and ef_construction from 1 up")
        super().__init__({"degree": degree, "bits": bits, "ef_construction": ef_construction, "ef": ef})
        self._graph: Any = None
        self._norms: Row = np.empty(0, np.float32)
        self._unit = True

    @property
    def fills_up(self) -> bool:
        """Nothing to fill up: the graph always gives k."""
        return False

    def _build(self, vectors: FloatMatrix) -> None:
        import rabitqlib

        wide = _widen(vectors)
        degree = int(self._params["degree"])
        graph = rabitqlib.SymqgIndex(wide.shape[1], degree, "l2", self._params["bits"])
        graph.build(wide, self._params["ef_construction"], threads())
        self._graph = graph
        self._take_norms(_squares(vectors))

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        bits = self._params["bits"]
        fetch = min(len(self), 2 * k) if bits else k
        # The last of what a search holds are its least sure, so it is wider than what is taken from it.
        ef = max(self._params["ef"], fetch + fetch // 2)
        several = threads() if len(queries) >= _FEW_QUERIES else 1
        # |q - x|² = |q|² + |x|² - 2 q·x. What does not depend on x now, while the check of the queries has them in the
        # cache; after the graph was walked the cache is cold and every further array operation shows.
        offsets = 0.5 * (_squares(queries)[:, None] + float(self._unit))
        try:
            near, distances = self._graph.search(_widen(queries), fetch, ef, several)
        except RuntimeError:  # from one query, the search did not reach enough of the graph
            return self._search_singly(queries, k)
        if bits:
            return rerank(self._vectors, queries, near.astype(np.int64), k)
        distances *= -0.5
        distances += offsets if self._unit else offsets + 0.5 * self._norms[near]
        return _in_order(near, distances)

    def _search_singly(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        if len(queries) == 1:
            return top_k(self._vectors, queries, k)
        answers = [self._search(queries[at : at + 1], k) for at in range(len(queries))]
        return np.concatenate([rows for rows, _ in answers]), np.concatenate([each for _, each in answers])

    def _save(self, folder: Path) -> None:
        self._graph.save(str(folder / _FILE))
        np.save(folder / _NORMS, self._norms, allow_pickle=False)

    def _load(self, folder: Path) -> None:
        import rabitqlib

        self._graph = rabitqlib.SymqgIndex.load(str(folder / _FILE))
        self._take_norms(load_array(folder / _NORMS))

    def _take_norms(self, norms: Row) -> None:
        self._norms = norms
        self._unit = bool(np.abs(norms - 1).max() < _UNIT)


def _in_order(near: Rows, scores: FloatMatrix) -> tuple[Rows, FloatMatrix]:
    """Sort what came out of order: a wide search ends with candidates that the graph has not sorted."""
    if not (scores[:, 1:] > scores[:, :-1]).any():
        return near, scores
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(near, order, 1), np.take_along_axis(scores, order, 1)


def _widen(vectors: FloatMatrix) -> FloatMatrix:
    missing = _NARROWEST - vectors.shape[1]
    return vectors if missing <= 0 else np.pad(vectors, ((0, 0), (0, missing)))


def _squares(vectors: FloatMatrix) -> Row:
    squares: Row = np.einsum("nd,nd->n", vectors, vectors)
    return squares
