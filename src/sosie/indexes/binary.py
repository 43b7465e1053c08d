"""Binary codes compared by Hamming distance: the least memory of all, for very large libraries and learned hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from sosie.arrays import load_array
from sosie.errors import UsageError
from sosie.indexes.base import RowIndex, Space
from sosie.indexes.flat import Row, Rows, rerank
from sosie.types import FloatMatrix

__all__ = ["BinaryIndex", "itq_planes"]

_FILE = "codes.faiss"
_ITQ_SAMPLE = 20_000
_ITQ_ROUNDS = 30
_HASH_BITS = 16  # bits that one table of the multi-index looks up


class BinaryIndex(RowIndex):
    """Codes of ``bits`` bits, searched by Hamming distance in FAISS and re-ranked exactly.

    ``codes``: ``itq`` learns a rotation (Gong and Lazebnik, CVPR 2011), ``random`` draws one, ``given``
    takes a learned hash (``with_hash``), ``sign`` the signs of the vectors themselves, for a space that
    `sosie train hash` made. ``scan`` goes through all codes, or looks them up in a multi-index
    (Norouzi et al., CVPR 2012). The ``rerank`` × k nearest codes are scored exactly.
    """

    kind: ClassVar[str] = "binary"
    least: ClassVar[int] = 1_000
    build_space: ClassVar[Space] = {"bits": (128, 256)}
    search_space: ClassVar[Space] = {"rerank": (2, 5, 10, 20, 50, 100, 200)}

    def __init__(
        self,
        *,
        bits: int = 256,
        codes: Literal["itq", "random", "given", "sign"] = "itq",
        scan: Literal["all", "multi"] = "all",
        rerank: int = 20,
    ) -> None:
        if bits < 8 or bits % 8 or rerank < 1:
            raise UsageError("binary takes a number of bits that is a multiple of 8, and rerank >= 1")
        if codes not in ("itq", "random", "given", "sign") or scan not in ("all", "multi"):
            raise UsageError("binary takes codes itq, random, given or sign, and scans all or a multi index")
        super().__init__({"bits": bits, "codes": codes, "scan": scan, "rerank": rerank})
        self._weights: FloatMatrix = np.empty((0, 0), np.float32)  # (bits, dim)
        self._offsets: Row = np.empty(0, np.float32)  # (bits,)
        self._index: Any = None

    @classmethod
    def with_hash(cls, weights: FloatMatrix, offsets: Row, *, rerank: int = 20) -> Self:
        """Return an empty index whose bit i is ``weights[i] @ vector + offsets[i] > 0``; weights (bits, dim)."""
        index = cls(bits=len(weights), codes="given", rerank=rerank)
        index._weights = np.ascontiguousarray(weights, np.float32)
        index._offsets = np.ascontiguousarray(offsets, np.float32)
        return index

    def _build(self, vectors: FloatMatrix) -> None:
        import faiss

        self._weights, self._offsets = self._hash_for(vectors)
        codes = self._encode(vectors)
        bits = codes.shape[1] * 8
        if self._params["scan"] == "all":
            self._index = faiss.IndexBinaryFlat(bits)
        else:
            self._index = faiss.IndexBinaryMultiHash(bits, bits // _HASH_BITS, _HASH_BITS)
            self._index.nflip = 2
        self._index.add(codes)

    def _hash_for(self, vectors: FloatMatrix) -> tuple[FloatMatrix, Row]:
        dim, bits = vectors.shape[1], self._params["bits"]
        if self._params["codes"] == "sign":
            if dim % 8:
                raise UsageError(f"signs make codes of whole bytes, and vectors have {dim} numbers: take codes itq")
            self._params["bits"] = dim
            return np.eye(dim, dtype=np.float32), np.zeros(dim, np.float32)
        if self._params["codes"] == "given":
            if self._weights.shape != (bits, dim):
                raise UsageError(f"the given hash takes {self._weights.shape[1]} numbers, vectors have {dim}")
            return self._weights, self._offsets
        if self._params["codes"] == "itq" and bits <= dim:
            return itq_planes(vectors, bits)
        # More bits than dimensions cannot be rotated; random planes through the mean take any number.
        weights = np.random.default_rng(0).standard_normal((bits, dim), dtype=np.float32)
        return weights, -weights @ vectors.mean(axis=0)

    def _encode(self, vectors: FloatMatrix) -> npt.NDArray[np.uint8]:
        parts = [
            np.packbits(vectors[at : at + 65_536] @ self._weights.T + self._offsets > 0, axis=1)
            for at in range(0, len(vectors), 65_536)
        ]
        return np.concatenate(parts)

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        fetch = min(len(self), self._params["rerank"] * k)
        near = self._index.search(self._encode(queries), fetch)[1]
        return rerank(self._vectors, queries, near, k)

    def _save(self, folder: Path) -> None:
        import faiss

        faiss.write_index_binary(self._index, str(folder / _FILE))
        np.save(folder / "weights.npy", self._weights, allow_pickle=False)
        np.save(folder / "offsets.npy", self._offsets, allow_pickle=False)

    def _load(self, folder: Path) -> None:
        import faiss

        self._index = faiss.read_index_binary(str(folder / _FILE))
        self._weights = load_array(folder / "weights.npy")
        self._offsets = load_array(folder / "offsets.npy")


def itq_planes(vectors: FloatMatrix, bits: int) -> tuple[FloatMatrix, Row]:
    """Return the planes of iterative quantisation: PCA, then the rotation that loses least to the signs.

    FAISS has it too, in double precision with an SVD that took two minutes for 256 bits where this takes seconds.
    """
    rng = np.random.default_rng(0)
    mean = vectors.mean(axis=0)
    sample = vectors[rng.permutation(len(vectors))[:_ITQ_SAMPLE]] - mean
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :bits]
    flat = sample @ axes
    rotation = np.linalg.qr(rng.standard_normal((bits, bits), dtype=np.float32))[0]
    for _ in range(_ITQ_ROUNDS):
        signs = np.where(flat @ rotation > 0, 1, -1).astype(np.float32)
        left, _, right = np.linalg.svd(flat.T @ signs)
        rotation = left @ right
    weights: FloatMatrix = np.ascontiguousarray((axes @ rotation).T, np.float32)
    return weights, -weights @ mean
