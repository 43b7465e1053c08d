"""Fingerprints and local features on Elasticsearch: what copies are recognised by; pairs are verified elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sosie.catalogue.elastic.base import Base
from sosie.catalogue.elastic.query import LIVE
from sosie.types import Ids

__all__ = ["Features"]


class Features(Base):
    """Reads and writes what copies are recognised by."""

    def fingerprints(self, ids: Sequence[int] | None = None) -> tuple[Ids, Any, Any]:
        """Return ids (n,), PDQ codes (n, 32) uint8 and qualities (n,) of live pictures, or these, in order of id."""
        query = LIVE if ids is None else {"bool": {"filter": [LIVE, {"terms": {"id": list(ids)}}]}}
        hits = self.connection.scan(
            self.names.pictures, key="id", query=query, source_includes=["id", "pdq", "pdq_quality"]
        )
        rows = [hit["_source"] for hit in hits if hit["_source"]["pdq"] is not None]
        found = np.fromiter((row["id"] for row in rows), np.int64, len(rows))
        codes = np.frombuffer(bytes.fromhex("".join(row["pdq"] for row in rows)), np.uint8).reshape(len(rows), 32)
        return found, codes, np.fromiter((row["pdq_quality"] for row in rows), np.uint8, len(rows))

    def features(self, ids: Iterable[int], *, version: str) -> dict[int, bytes]:
        """Return the stored local features of these pictures, where they are there and undamaged."""
        found = {}
        for hit in self.get_many(self.names.features, (_key(i, version) for i in ids)).values():
            data = base64.b64decode(hit["_source"]["data"])
            if _digest(data) == hit["_source"]["digest"]:
                found[int(hit["_source"]["id"])] = data
        return found

    def feature_ids(self, *, version: str) -> Ids:
        """Return the sorted ids of pictures whose local features are stored."""
        query = {"term": {"version": version}}
        hits = list(self.connection.scan(self.names.features, key="id", query=query, source=False))
        return np.fromiter((hit["sort"][0] for hit in hits), np.int64, len(hits))

    def put_features(self, rows: Sequence[tuple[int, bytes]], *, version: str) -> None:
        """Store local features."""
        with self.commit("storing local features", self.names.features):
            self.connection.bulk(
                [{"index": {"_index": self.names.features, "_id": _key(i, version)}} for i, _ in rows],
                [
                    {"id": i, "version": version, "data": base64.b64encode(data).decode(), "digest": _digest(data)}
                    for i, data in rows
                ],
            )


def _key(content_id: int, version: str) -> str:
    return f"{content_id}:{version}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
