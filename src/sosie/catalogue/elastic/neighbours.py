"""Nearest neighbours on the cluster itself: the filter inside, several queries at once, records along with the ids."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sosie.catalogue.contract import Found
from sosie.catalogue.elastic.documents import record_of
from sosie.catalogue.elastic.mapping import regions_field, vector_field
from sosie.catalogue.elastic.query import LIVE, Query, live_and
from sosie.catalogue.elastic.regions import Regions
from sosie.catalogue.records import Held, PictureRecord, Space
from sosie.elastic.vectors import MOST, check_search_params, inner_product, knn
from sosie.errors import UsageError
from sosie.types import FloatMatrix, Ids

__all__ = ["ClusterView", "Neighbours"]

_AT_ONCE = 32  # queries of one request
_STALE = 30.0  # seconds for which what is told beside the answers may be out of date
_RECORD = ["id", "sha256", "bytes", "format", "width", "height", "places", "labels", "facts", "added_at"]


class Neighbours(Regions):
    """Answers queries from the vectors that the cluster holds."""

    def view(self, space: Space) -> ClusterView:
        """Return the cluster's own search of a space."""
        return ClusterView(self, space)

    def nearest(
        self,
        space: Space,
        queries: FloatMatrix,
        k: int,
        query: Query,
        *,
        records: bool,
        tuned: Mapping[str, Any] | None = None,
    ) -> tuple[Ids, FloatMatrix, dict[int, PictureRecord]]:
        """Return ids, scores and records of the k nearest to each of ``queries`` (q, dim) that meet ``query``.

        In a space of regions a picture is as near as its nearest region. ``tuned`` says how thoroughly the space is
        searched: ``candidates`` for ``k`` answers, and ``oversample``.
        """
        if k > MOST:
            raise UsageError(f"at most {MOST:,} answers from Elasticsearch, one of them the picture itself, not {k:,}")
        ids = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        known: dict[int, PictureRecord] = {}
        for start in range(0, len(queries), _AT_ONCE):
            knns = [self._knn(space, one, k, query, tuned or {}) for one in queries[start : start + _AT_ONCE]]
            for row, hits in enumerate(self._ask(knns, k, records), start):
                ids[row, : len(hits)] = [int(hit["_id"]) for hit in hits]
                scores[row, : len(hits)] = [inner_product(hit["_score"]) for hit in hits]
                known.update((int(hit["_id"]), record_of(hit["_source"])) for hit in hits if records)
        return ids, scores, known

    def _knn(self, space: Space, vector: FloatMatrix, k: int, query: Query, tuned: Mapping[str, Any]) -> dict[str, Any]:
        field = vector_field(space.id) if space.regions == "whole" else f"{regions_field(space.id)}.vector"
        wanted = max(k, tuned["exactly"]) if "exactly" in tuned else self.cluster.candidates
        if wanted is None:  # more answers take more candidates
            wanted = (
                math.ceil(tuned["candidates"] * max(1, k / tuned["k"])) if "candidates" in tuned else max(100, 10 * k)
            )
        return knn(field, vector, k, candidates=wanted, oversample=tuned.get("oversample"), query=query)

    def _ask(self, knns: Sequence[Mapping[str, Any]], k: int, records: bool) -> list[list[Mapping[str, Any]]]:
        what = {"size": k, "_source": _RECORD if records else False, "track_total_hits": False}
        answers = self.connection.search_each(self.names.pictures, [{**what, "knn": knn} for knn in knns])
        return [answer["hits"]["hits"] for answer in answers]


class ClusterView:
    """All live vectors of a space on the cluster: nothing lies beside it, since a commit returns when it is seen."""

    def __init__(self, neighbours: Neighbours, space: Space) -> None:
        self.space = space
        self._of = neighbours
        self._unembedded: tuple[float, int] | None = None
        self._about: tuple[float, dict[str, Any]] | None = None
        self._params: Mapping[str, Any] = {}

    def with_params(self, params: Mapping[str, Any]) -> ClusterView:
        """Return this view, searched with other ``candidates`` or ``oversample``; raise UsageError."""
        check_search_params(params)
        other = copy.copy(self)
        other._params = dict(params)
        return other

    @property
    def description(self) -> dict[str, Any]:
        """Say of what type the vectors' index is, and what recall it was measured to have."""
        meta = self._meta()
        measured = meta.get("recall", {}).get(str(self.space.id))
        told = {"kind": meta.get("kind"), "metric": "dot", "recall": measured, "generation": meta["index"], "tail": 0}
        return {**told, "recall": None, "params": dict(self._params)} if self._params else told

    @property
    def tuned(self) -> Mapping[str, Any]:
        """How thoroughly the version that answers is searched: candidates, k, oversample; empty where nobody set it."""
        found: Mapping[str, Any] = self._meta().get("search", {}).get(str(self.space.id), {})
        exactly = {"exactly": self._params["candidates"]} if "candidates" in self._params else {}
        return {**found, **self._params, **exactly}

    def _meta(self) -> Mapping[str, Any]:
        """Return what the version that answers says of itself."""
        if self._about is None or time.monotonic() - self._about[0] > _STALE:
            self._about = time.monotonic(), self._of.meta()
        return self._about[1]

    @property
    def recall_in_service(self) -> None:
        """None: a cluster's searches are not checked in the background."""
        return None

    @property
    def unembedded(self) -> int:
        """Return how many live pictures have no vector in this space, and so are never an answer."""
        if self._unembedded is None or time.monotonic() - self._unembedded[0] > _STALE:
            lacking = {"bool": {"filter": [LIVE], "must_not": [{"term": {"spaces": self.space.id}}]}}
            self._unembedded = time.monotonic(), self._of.count(self._of.names.pictures, lacking)
        return self._unembedded[1]

    def warm_up(self) -> None:
        """Do nothing: the cluster is warm."""

    def forget(self) -> None:
        """Ask anew how the cluster answers."""
        self._about = self._unembedded = None

    def search(
        self, queries: FloatMatrix, k: int, allow: Ids | None = None, *, watched: bool = True
    ) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf."""
        query = LIVE if allow is None else {"bool": {"filter": [LIVE, {"terms": {"id": allow.tolist()}}]}}
        return self._of.nearest(self.space, queries, k, query, records=False, tuned=self.tuned)[:2]

    def find(self, queries: FloatMatrix, k: int, condition: Query | None = None, *, records: bool = True) -> Found:
        """Return the k nearest live pictures that meet a condition, with their records."""
        query = live_and(condition)
        ids, scores, found = self._of.nearest(self.space, queries, k, query, records=records, tuned=self.tuned)
        return Found(ids, scores, self.description, found)

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions that this space holds of some pictures, whose ids ascend."""
        rows, vectors = self._of.regions_of(self.space, pictures.tolist())
        return Held(
            np.array([row.id for row in rows], np.int64),
            np.array([row.content_id for row in rows], np.int64),
            # nobody judged what has no label
            np.array([row.region.confidence if row.region.label else 1.0 for row in rows], np.float32),
            vectors,
        )
