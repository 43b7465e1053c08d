"""Elasticsearch's own graphs over a dense_vector field, as one kind of index among the others.

A library on a cluster is searched by the field in its documents (`sosie.catalogue.elastic`), which is asked in the same
words. This kind holds integers and vectors alone: with it the cluster's graphs are put through the contract of an
index, and tuned, like any other.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sosie import files
from sosie.elastic import KINDS, Connection, read_url
from sosie.elastic.vectors import MOST, dense_vector, is_quantized, knn, pack
from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex, Space
from sosie.indexes.flat import Rows, rerank, top_k
from sosie.registry import nearest
from sosie.types import FloatMatrix

__all__ = ["ElasticIndex"]

_FILE = "cluster.json"
_BATCH = 2_000  # vectors of one bulk
_AT_ONCE = 32  # queries of one request
_TERMS = 60_000  # rows that a filter may name; the cluster takes 65,536


class ElasticIndex(RowIndex):
    """A graph on the cluster at ``address``, and its vectors here for exact scores.

    ``vectors`` is the type of the field (`int8_hnsw`, `bbq_hnsw`, `hnsw` …), ``candidates`` how many are looked at,
    ``oversample`` how many times k of them at full precision. What the cluster holds goes when the index is let go,
    unless it was saved.
    """

    kind: ClassVar[str] = "elasticsearch"
    build_space: ClassVar[Space] = {"vectors": ("int8_hnsw", "bbq_hnsw", "hnsw")}
    search_space: ClassVar[Space] = {
        "candidates": (12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768),
        "oversample": (1.5, 3.0),
    }

    def __init__(
        self,
        *,
        address: str | None = None,
        vectors: str = "int8_hnsw",
        candidates: int = 100,
        oversample: float = 3.0,
        connection: Connection | None = None,
    ) -> None:
        if vectors not in KINDS:
            raise UsageError(f"no kind of vector index there is called {vectors!r}; {nearest(vectors, KINDS)}")
        if candidates < 1 or oversample < 1:
            raise UsageError("candidates and oversample are at least 1")
        params: dict[str, Any] = {"vectors": vectors, "candidates": candidates}
        if is_quantized(vectors):  # else the first look is one at full precision
            params["oversample"] = oversample
        if address is not None:
            params["address"] = address
        super().__init__(params)
        self._given = connection
        self._remote: _Remote | None = None

    def structure_size(self) -> int:
        """Return the bytes that the cluster wants in memory beside its heap: graph and codes, or the vectors."""
        remote = self._there()
        stats = remote.stats()
        heap = stats.get("dense_vector", {}).get("off_heap", {})
        raw = heap.get("total_vec_size_bytes", 0) if is_quantized(self._params["vectors"]) else 0
        return int(heap.get("total_size_bytes", 0)) - int(raw) or self._vectors.nbytes

    def _build(self, vectors: FloatMatrix) -> None:
        # the one of before goes with the last that searches it
        self._remote = _Remote.made(
            self._connect(), vectors, self._params["vectors"], self._params.get("oversample", 1.0)
        )

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        return self._ask(queries, k, None)

    def _search_among(self, queries: FloatMatrix, k: int, allowed: Allowed) -> tuple[Rows, FloatMatrix]:
        """Put the filter into the search, by what it takes or by what it leaves out."""
        if len(allowed) <= _TERMS:
            return self._ask(queries, k, {"terms": {"row": allowed.rows.tolist()}})
        if allowed.n - len(allowed) <= _TERMS:
            missing = np.flatnonzero(~allowed.mask)
            return self._ask(queries, k, {"bool": {"must_not": [{"terms": {"row": missing.tolist()}}]}})
        return super()._search_among(queries, k, allowed)

    def _ask(self, queries: FloatMatrix, k: int, query: Mapping[str, Any] | None) -> tuple[Rows, FloatMatrix]:
        if k > MOST:
            return top_k(self._vectors, queries, k)
        remote, rows = self._there(), np.full((len(queries), k), -1, np.int64)
        settings = {"candidates": self._params["candidates"], "oversample": self._params.get("oversample")}
        for start in range(0, len(queries), _AT_ONCE):
            part = [knn("vector", one, k, query=query, **settings) for one in queries[start : start + _AT_ONCE]]
            for at, found in enumerate(remote.ask(part, k), start):
                rows[at, : len(found)] = found
        return rerank(self._vectors, queries, rows, k)

    def _save(self, folder: Path) -> None:
        """Write where on the cluster the graph is; that part is no file, so nothing but the cluster vouches for it."""
        remote = self._there()
        remote.keep()
        files.write_json(folder / _FILE, {"index": remote.name, **remote.identity()})

    def _load(self, folder: Path) -> None:
        """Take up the graph on the cluster; raise UsageError where it is another one, or was written to since."""
        said = json.loads((folder / _FILE).read_text())
        remote = _Remote(self._connect(), said.pop("index"), kept=True)
        if remote.identity() != said:
            raise UsageError("the cluster's part of this index is not the one that was saved")
        self._remote = remote

    def _there(self) -> _Remote:
        assert self._remote is not None  # below one row there is no structure, and nobody asks
        return self._remote

    def _connect(self) -> Connection:
        if self._given is not None:
            return self._given
        cluster = read_url(str(self._params.get("address", "")))
        if cluster is None:
            raise UsageError("which Elasticsearch? Give address=elasticsearch://host:9200/name")
        self._given = Connection(cluster)
        return self._given


class _Remote:
    """One index on a cluster; it is deleted with this object, unless it is kept."""

    def __init__(self, connection: Connection, name: str, *, kept: bool = False) -> None:
        self.name = name
        self._connection = connection
        self._end = weakref.finalize(self, _delete, connection, name)
        if kept:
            self.keep()

    @classmethod
    def made(cls, connection: Connection, vectors: FloatMatrix, kind: str, oversample: float) -> _Remote:
        """Make an index of vectors (n, dim), in one segment, so that its answers stay what they are."""
        name = f"sosie-{connection.cluster.name}-index-{uuid.uuid4().hex}"
        field = dense_vector(vectors.shape[1], kind, oversample)
        body = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1},
            "mappings": {"dynamic": "strict", "properties": {"row": {"type": "integer"}, "vector": field}},
        }
        remote = cls(connection, name)
        connection.write(lambda client: client.options(ignore_status=400).indices.create(index=name, **body))
        for start in range(0, len(vectors), _BATCH):
            rows = range(start, min(start + _BATCH, len(vectors)))
            where = [{"index": {"_index": name, "_id": str(row)}} for row in rows]
            connection.bulk(where, [{"row": row, "vector": pack(vectors[row])} for row in rows])
        connection.write(lambda client: client.indices.refresh(index=name))
        connection.write(
            lambda client: client.indices.forcemerge(index=name, max_num_segments=1, wait_for_completion=False)
        )
        while remote.stats()["segments"]["count"] > 1:
            time.sleep(0.05)
        return remote

    def keep(self) -> None:
        """Leave the index on the cluster for whoever has its name."""
        self._end.detach()

    def ask(self, knns: Sequence[Mapping[str, Any]], k: int) -> list[list[int]]:
        """Return the rows that each question finds, nearest first."""
        what = {"size": k, "_source": False, "track_total_hits": False}
        answers = self._connection.search_each(self.name, [{**what, "knn": one} for one in knns])
        return [[int(hit["_id"]) for hit in answer["hits"]["hits"]] for answer in answers]

    def identity(self) -> dict[str, Any]:
        """Return what no other index has, and no later state of this one."""
        found = self._connection.wait_out(lambda client: client.indices.get_settings(index=self.name))
        shards = self._connection.wait_out(lambda client: client.indices.stats(index=self.name, level="shards"))
        (copies,) = shards["indices"][self.name]["shards"].values()
        return {
            "uuid": found[self.name]["settings"]["index"]["uuid"],
            "last_write": max(copy["seq_no"]["max_seq_no"] for copy in copies),
        }

    def stats(self) -> dict[str, Any]:
        """Return what the cluster counts of the index."""
        answer = self._connection.wait_out(lambda client: client.indices.stats(index=self.name))
        found: dict[str, Any] = answer["indices"][self.name]["primaries"]
        return found


def _delete(connection: Connection, name: str) -> None:
    with contextlib.suppress(Exception):  # the cluster may be away by now
        connection.client.options(request_timeout=10).indices.delete(index=name, ignore_unavailable=True)
