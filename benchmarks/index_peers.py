"""The libraries that the index benchmark measures, each as it is used bare, and Sosie's kinds beside them.

Where Sosie stands on a library, both search the very same built file: what differs is Sosie alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Searcher = Callable[[np.ndarray, int, int], np.ndarray]  # queries, k, setting → ids (q, k)


@dataclass(frozen=True)
class Peer:
    """``files`` names the peer whose built folder is searched; ``settings`` go from fast to thorough."""

    name: str
    files: str
    open: Callable[[Path, np.ndarray], Searcher]
    settings: tuple[int, ...]
    build: Callable[[Path, np.ndarray, int], None] | None = None


def _sosie(kind: str, parameter: str, **build: Any) -> tuple[Callable[..., None], Callable[..., Searcher]]:
    from sosie.registry import resolve

    def make(folder: Path, vectors: np.ndarray, _: int) -> None:
        index = resolve("indexes", kind)(**build)
        index.build(np.arange(len(vectors)), vectors)
        index.save(str(folder))

    def load(folder: Path, _: np.ndarray) -> Searcher:
        index = resolve("indexes", kind)(**build)
        index.load(str(folder))
        tuned = functools.cache(lambda setting: index.tuned({parameter: setting}))
        return lambda queries, k, setting: tuned(setting).search(queries, k)[0]

    return make, load


def _open_rabitqlib(folder: Path, _: np.ndarray) -> Searcher:
    import rabitqlib

    graph = rabitqlib.SymqgIndex.load(str(folder / "symqg.bin"))
    return lambda queries, k, setting: graph.search(queries, k, setting, 1)[0]


def _open_faiss_hnsw(folder: Path, _: np.ndarray) -> Searcher:
    import faiss

    index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC)

    def search(queries: np.ndarray, k: int, setting: int) -> np.ndarray:
        return index.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=setting))[1]

    return search


def _open_faiss_ivf(folder: Path, vectors: np.ndarray) -> Searcher:
    import faiss

    base = faiss.read_index(str(folder / "index.faiss"))
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    index = faiss.IndexRefine(base, flat)

    def search(queries: np.ndarray, k: int, setting: int) -> np.ndarray:
        inner = faiss.IVFRaBitQSearchParameters()
        inner.nprobe = setting
        settings = faiss.IndexRefineSearchParameters(k_factor=6, base_index_params=inner)
        return index.search(queries, k, params=settings)[1]

    return search


def _build_hnswlib(folder: Path, vectors: np.ndarray, threads: int) -> None:
    import hnswlib

    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200, random_seed=0)
    index.add_items(vectors, num_threads=threads)
    index.save_index(str(folder / "hnswlib.bin"))


def _open_hnswlib(folder: Path, vectors: np.ndarray) -> Searcher:
    import hnswlib

    index = hnswlib.Index("ip", vectors.shape[1])
    index.load_index(str(folder / "hnswlib.bin"))

    def search(queries: np.ndarray, k: int, setting: int) -> np.ndarray:
        index.set_ef(setting)
        return index.knn_query(queries, k, num_threads=1)[0].astype(np.int64)

    return search


def _build_usearch(folder: Path, vectors: np.ndarray, threads: int) -> None:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=128)
    index.add(np.arange(len(vectors)), vectors, threads=threads)
    index.save(str(folder / "index.usearch"))


def _open_usearch(folder: Path, _: np.ndarray) -> Searcher:
    from usearch.index import Index

    index = Index.restore(str(folder / "index.usearch"))

    def search(queries: np.ndarray, k: int, setting: int) -> np.ndarray:
        index.expansion_search = setting
        keys = index.search(queries, k, threads=1).keys
        return np.asarray(keys, np.int64).reshape(len(queries), k)

    return search


def _open_annoy(folder: Path, vectors: np.ndarray) -> Searcher:
    from annoy import AnnoyIndex

    forest = AnnoyIndex(vectors.shape[1], "angular")
    forest.load(str(folder / "annoy.ann"))

    def search(queries: np.ndarray, k: int, setting: int) -> np.ndarray:
        return np.array([forest.get_nns_by_vector(query, k, setting) for query in queries])

    return search


EF = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
PROBES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
SEARCH_K = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
_symqg, _hnsw = _sosie("symqg", "ef"), _sosie("hnsw", "ef")
_symqg8 = _sosie("symqg", "ef", bits=8)
_ivf, _annoy = _sosie("ivf", "probes"), _sosie("annoy", "search_k")
_lsh = _sosie("lsh", "probes", bits=14, tables=20)
_binary = _sosie("binary", "rerank", bits=256)

PEERS = {
    peer.name: peer
    for peer in (
        Peer("sosie symqg", "symqg", _symqg[1], EF, _symqg[0]),
        Peer("rabitqlib symqg", "symqg", _open_rabitqlib, EF),
        Peer("sosie symqg 8 bits", "symqg8", _symqg8[1], EF[2:], _symqg8[0]),
        Peer("sosie hnsw", "hnsw", _hnsw[1], EF, _hnsw[0]),
        Peer("faiss hnsw", "hnsw", _open_faiss_hnsw, EF),
        Peer("hnswlib", "hnswlib", _open_hnswlib, EF, _build_hnswlib),
        Peer("usearch f16", "usearch", _open_usearch, EF, _build_usearch),
        Peer("sosie ivf", "ivf", _ivf[1], PROBES, _ivf[0]),
        Peer("faiss ivf-rabitq + refine", "ivf", _open_faiss_ivf, PROBES),
        Peer("sosie annoy", "annoy", _annoy[1], SEARCH_K, _annoy[0]),
        Peer("annoy", "annoy", _open_annoy, SEARCH_K),
        Peer("sosie lsh", "lsh", _lsh[1], (1, 4, 16, 64), _lsh[0]),
        Peer("sosie binary", "binary", _binary[1], (2, 5, 10, 20, 50, 100, 200), _binary[0]),
    )
}
