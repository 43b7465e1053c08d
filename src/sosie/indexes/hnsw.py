"""HNSW: a graph in layers, searched greedily; the field's usual choice."""

from __future__ import annotations

from typing import ClassVar, Literal

from sosie.errors import UsageError
from sosie.indexes.base import Space
from sosie.indexes.faiss_files import FaissIndex
from sosie.indexes.flat import Rows, rerank
from sosie.types import FloatMatrix

__all__ = ["HnswIndex"]


class HnswIndex(FaissIndex):
    """Hierarchical navigable small worlds (Malkov and Yashunin 2018) from FAISS.

    ``links`` is M; ``codes`` keeps full vectors in the graph (``flat``) or one byte a number (``sq8``, re-
    ranked from the mapped vectors); ``ef`` is the width of the search.
    """

    kind: ClassVar[str] = "hnsw"
    least: ClassVar[int] = 256
    build_space: ClassVar[Space] = {"links": (16, 32), "codes": ("flat", "sq8"), "ef_construction": (100,)}
    search_space: ClassVar[Space] = {"ef": (12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)}

    def __init__(
        self,
        *,
        links: int = 32,
        codes: Literal["flat", "sq8"] = "flat",
        ef_construction: int = 100,
        ef: int = 64,
    ) -> None:
        if links < 2 or codes not in ("flat", "sq8"):
            raise UsageError("hnsw takes at least 2 links and flat or sq8 codes")
        if ef < 1 or ef_construction < 1:
            raise UsageError("hnsw takes ef and ef_construction from 1 up")
        super().__init__({"links": links, "codes": codes, "ef_construction": ef_construction, "ef": ef})

    def _build(self, vectors: FloatMatrix) -> None:
        import faiss

        dim, links = vectors.shape[1], self._params["links"]
        if self._params["codes"] == "flat":
            index = faiss.IndexHNSWFlat(dim, links, faiss.METRIC_INNER_PRODUCT)
        else:
            codes = faiss.ScalarQuantizer.QT_8bit
            index = faiss.IndexHNSWSQ(dim, codes, links, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
        index.hnsw.efConstruction = self._params["ef_construction"]
        index.add(vectors)
        self._index = index

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        import faiss

        coded = self._params["codes"] != "flat"
        fetch = min(len(self), 2 * k) if coded else k
        # The last of what a search holds are its least sure, so it is wider than what is taken from it.
        ef = self._params["ef"] if fetch <= self._params["ef"] else fetch + fetch // 2
        settings = faiss.SearchParametersHNSW(efSearch=ef)
        scores, rows = self._index.search(queries, fetch, params=settings)
        return rerank(self._vectors, queries, rows, k) if coded else (rows, scores)
