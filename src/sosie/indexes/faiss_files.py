"""What the kinds that FAISS supplies share: its files, and its selectors for filters."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex
from sosie.indexes.flat import Rows
from sosie.types import FloatMatrix

__all__ = ["FaissIndex"]

_FILE = "index.faiss"


class FaissIndex(RowIndex):
    """A kind whose structure is one FAISS index (Douze et al., The Faiss library, 2024)."""

    _index: Any = None

    @abstractmethod
    def _select(
        self, queries: FloatMatrix, k: int, selector: Any = None, share: float = 1.0
    ) -> tuple[Rows, FloatMatrix]:
        """Search the rows that ``selector`` lets through, a ``share`` of all; None lets all of them through."""

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        return self._select(queries, k)

    def _search_among(self, queries: FloatMatrix, k: int, allowed: Allowed) -> tuple[Rows, FloatMatrix]:
        import faiss

        # FAISS keeps a pointer to the bits, which ``allowed`` keeps alive.
        selector = faiss.IDSelectorBitmap(allowed.bits)
        found, scores = self._select(queries, k, selector, allowed.share)
        short = np.flatnonzero(found[:, k - 1] < 0)
        if len(short):
            found[short], scores[short] = super()._search_among(queries[short], k, allowed)
        return found, scores

    def _save(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self._index, str(folder / _FILE))

    def _load(self, folder: Path) -> None:
        import faiss

        # Mapped, so that several processes share one copy; Windows could not replace a mapped file.
        flags = 0 if os.name == "nt" else faiss.IO_FLAG_MMAP_IFC
        self._index = faiss.read_index(str(folder / _FILE), flags)
