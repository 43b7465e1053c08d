"""Locality-sensitive hashing: near vectors fall on the same side of random hyperplanes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sosie.arrays import load_array
from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex, Space
from sosie.indexes.flat import Metric, Row, Rows, best_of
from sosie.types import FloatMatrix

__all__ = ["LshIndex"]

_ARRAYS = ("planes", "centre", "keys", "order")
_MOST_BITS = 24
_FLIPS = 3  # at most so many bits of a code are flipped by one probe

Codes = npt.NDArray[np.uint32]


class LshIndex(RowIndex):
    """Hash tables over random hyperplanes, the buckets re-ranked exactly.

    ``tables`` tables (L) of ``bits`` bits each (K), as in Gionis, Indyk and Motwani (VLDB 1999); the bits are
    signatures of random hyperplanes (Charikar, STOC 2002), which ``centre`` puts through the mean of the vectors rather
    than the origin. ``probes`` 1 looks into the query's own bucket of each table; more look into the others that it
    most nearly fell into, too (Lv et al., multi-probe LSH, VLDB 2007). An answer is what lies in those buckets, and may
    be fewer than k; ``fill`` ``exact`` answers such queries by exact search.
    """

    kind: ClassVar[str] = "lsh"
    least: ClassVar[int] = 64
    build_space: ClassVar[Space] = {"bits": (10, 14), "tables": (5, 10, 20), "centre": (True,)}
    search_space: ClassVar[Space] = {"probes": (1, 2, 4, 8, 16, 32, 64, 128)}

    def __init__(
        self,
        *,
        bits: int = 10,
        tables: int = 5,
        probes: int = 1,
        metric: Literal["euclidean", "cosine", "hamming"] = "cosine",
        centre: bool = False,
        fill: Literal["none", "exact"] = "none",
        seed: int = 0,
    ) -> None:
        if fill not in ("none", "exact"):
            raise UsageError(f"lsh fills up by none or exact, not {fill!r}")
        if not 1 <= bits <= _MOST_BITS or tables < 1 or probes < 1:
            raise UsageError(f"lsh takes 1 to {_MOST_BITS} bits, at least one table and at least one probe")
        if metric not in ("euclidean", "cosine", "hamming"):
            raise UsageError(f"lsh knows euclidean, cosine and hamming, not {metric!r}")
        built = {"bits": bits, "tables": tables, "metric": metric, "centre": centre, "seed": seed}
        super().__init__({**built, "probes": probes, "fill": fill})
        self._planes: FloatMatrix = np.empty((0, 0), np.float32)  # (tables * bits, dim)
        self._centre: Row = np.empty(0, np.float32)  # (tables * bits,): where the mean falls
        self._keys: Codes = np.empty((0, 0), np.uint32)  # (tables, n), ascending
        self._order: Codes = np.empty((0, 0), np.uint32)  # (tables, n): the rows of those keys
        self._flips = _flips(bits)

    @classmethod
    def stored_params(cls, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of a stored index; before there was ``fill``, short answers were filled up."""
        return {"fill": "exact", **params}

    @property
    def metric(self) -> Metric:
        """What a score is."""
        return "hamming" if self._params["metric"] == "hamming" else "dot"

    @property
    def fills_up(self) -> bool:
        """Whether a query whose buckets hold fewer than k is answered exactly."""
        return bool(self._params["fill"] == "exact")

    def _build(self, vectors: FloatMatrix) -> None:
        rng = np.random.default_rng(self._params["seed"])
        count = self._params["tables"] * self._params["bits"]
        self._planes = rng.standard_normal((count, vectors.shape[1]), dtype=np.float32)
        middle = vectors.mean(axis=0) if self._params["centre"] else np.zeros(vectors.shape[1], np.float32)
        self._centre = self._planes @ middle
        codes = self._codes(self._margins(vectors))
        self._order = np.argsort(codes, axis=1, kind="stable").astype(np.uint32)
        self._keys = np.take_along_axis(codes, self._order.astype(np.int64), axis=1)

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        return self._probe(queries, k, self._params["probes"], None)

    def _search_among(self, queries: FloatMatrix, k: int, allowed: Allowed) -> tuple[Rows, FloatMatrix]:
        # A bucket holds so much less of what is allowed: where k are to come back, that many more are looked at.
        probes = round(self._params["probes"] / (allowed.share if self.fills_up else 1))
        found, scores = self._probe(queries, k, probes, allowed.mask)
        short = np.flatnonzero(found[:, k - 1] < 0)
        if self.fills_up and len(short):
            found[short], scores[short] = super()._search_among(queries[short], k, allowed)
        return found, scores

    def _probe(
        self, queries: FloatMatrix, k: int, probes: int, allowed: npt.NDArray[np.bool_] | None
    ) -> tuple[Rows, FloatMatrix]:
        margins = self._margins(queries)
        codes = self._codes(margins)
        found = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for at, query in enumerate(queries):
            near = self._candidates(self._probed(codes[:, at], margins[at], probes))
            near = near if allowed is None else near[allowed[near]]
            rows, values = best_of(self._vectors, query, near, k, self.metric)
            found[at, : len(rows)], scores[at, : len(rows)] = rows, values
        return found, scores

    def _margins(self, vectors: FloatMatrix) -> FloatMatrix:
        """Return (n, tables, bits): how far on which side of each plane; in blocks, to bound memory."""
        shape = (len(vectors), self._params["tables"], self._params["bits"])
        margins = np.empty((len(vectors), len(self._planes)), np.float32)
        for start in range(0, len(vectors), 65_536):
            block = vectors[start : start + 65_536]
            margins[start : start + 65_536] = block @ self._planes.T - self._centre
        return margins.reshape(shape)

    def _codes(self, margins: FloatMatrix) -> Codes:
        """Return (tables, n): the bucket of each vector in each table."""
        weights = 1 << np.arange(self._params["bits"], dtype=np.uint32)
        codes: Codes = ((margins > 0) * weights).sum(axis=2, dtype=np.uint32).T
        return np.ascontiguousarray(codes)

    def _candidates(self, buckets: Codes) -> Rows:
        """Return the rows in ``buckets`` (tables, probes)."""
        slices = []
        for table, probed in enumerate(buckets):
            starts = np.searchsorted(self._keys[table], probed, side="left")
            ends = np.searchsorted(self._keys[table], probed, side="right")
            order = self._order[table]
            slices += [order[start:end] for start, end in zip(starts, ends, strict=True) if end > start]
        if not slices:
            return np.empty(0, np.int64)
        return np.unique(np.concatenate(slices)).astype(np.int64)

    def _probed(self, codes: Codes, margins: FloatMatrix, probes: int) -> Codes:
        """Return (tables, probes): the buckets nearest to one query."""
        masks, chosen = self._flips
        probes = min(probes, len(masks))
        if probes == 1:
            return codes[:, None]
        costs = (margins**2) @ chosen.T
        nearest = np.argpartition(costs, probes - 1, axis=1)[:, :probes]
        probed: Codes = codes[:, None] ^ masks[nearest]
        return probed

    def _save(self, folder: Path) -> None:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, f"_{name}"), allow_pickle=False)

    def _load(self, folder: Path) -> None:
        for name in _ARRAYS:
            setattr(self, f"_{name}", load_array(folder / f"{name}.npy", mapped=True).view(np.ndarray))


def _flips(bits: int) -> tuple[Codes, FloatMatrix]:
    """Return every way to flip up to three bits: as a mask (m,) and as a choice of bits (m, bits)."""
    ways = [way for count in range(_FLIPS + 1) for way in itertools.combinations(range(bits), count)]
    masks = np.array([sum(1 << bit for bit in way) for way in ways], np.uint32)
    chosen = np.zeros((len(ways), bits), np.float32)
    for at, way in enumerate(ways):
        chosen[at, list(way)] = 1
    return masks, chosen
