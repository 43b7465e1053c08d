"""What the kinds that FAISS supplies share: its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sosie.indexes.base import RowIndex

__all__ = ["FaissIndex"]

_FILE = "index.faiss"


class FaissIndex(RowIndex):
    """A kind whose structure is one FAISS index (Douze et al., The Faiss library, 2024)."""

    _index: Any = None

    def _save(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self._index, str(folder / _FILE))

    def _load(self, folder: Path) -> None:
        import faiss

        # Mapped, so that several processes share one copy; Windows could not replace a mapped file.
        flags = 0 if os.name == "nt" else faiss.IO_FLAG_MMAP_IFC
        self._index = faiss.read_index(str(folder / _FILE), flags)
