"""Searching by whole pictures: the nearest in one space, with the pictures of the very same bytes or pixels first.

A picture is searchable as soon as its commit returns: see `sosie.query.view`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sosie.catalogue import Condition, PictureRecord, Store, View
from sosie.query import rank
from sosie.query.hits import make_hit, same_pictures
from sosie.query.query import Query
from sosie.types import FloatMatrix, Hit, Ids, SearchResult

__all__ = ["answer_by_whole"]


def answer_by_whole(
    queries: Sequence[Query],
    *,
    view: View,
    catalogue: Store,
    k: int,
    condition: Condition | None = None,
) -> list[SearchResult]:
    """Answer several queries at once, in their order.

    ``condition`` is the catalogue's own form of what answers have to meet; it is applied before the top k, so that
    k answers come back whenever k pictures meet it.
    """
    started = time.perf_counter()
    # one more than asked for, since a picture of the library is not an answer to itself
    found = view.find(np.stack([query.vector for query in queries]), k + 1, condition)
    same = 1.0 if found.index.get("metric", "dot") == "dot" else 0.0
    asked = _Asked(catalogue, condition, found.records, k, same)
    hits = [
        _hits(query, ids[ids >= 0], scores[ids >= 0], asked)
        for query, ids, scores in zip(queries, found.ids, found.scores, strict=True)
    ]
    took_ms = (time.perf_counter() - started) * 1000 / len(queries)
    return [
        SearchResult(query.name, answers, took_ms, found.index, query.about, {**query.took, "search": took_ms})
        for query, answers in zip(queries, hits, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the queries of one call have in common."""

    catalogue: Store
    condition: Condition | None
    records: Mapping[int, PictureRecord]  # those that came along with the neighbours
    k: int
    same: float  # the score of a picture with itself

    def records_of(self, ids: Sequence[int]) -> dict[int, PictureRecord]:
        lacking = [i for i in ids if i not in self.records]
        return {**self.records, **{record.id: record for record in self.catalogue.pictures(lacking)}}

    def met_by(self, ids: Sequence[int]) -> Sequence[int]:
        if self.condition is None or not ids:
            return ids
        meeting = self.catalogue.meeting(ids, self.condition)
        return [i for i in ids if i in meeting]


def _hits(query: Query, ids: Ids, scores: FloatMatrix, asked: _Asked) -> tuple[Hit, ...]:
    same = same_pictures(query, asked.catalogue)
    first = asked.met_by([i for i in same if i != query.exclude])
    pairs = [(i, s) for i, s in zip(ids.tolist(), scores.tolist(), strict=True) if i != query.exclude]
    ranked = rank.put_first([i for i, _ in pairs], [s for _, s in pairs], first, asked.k, same=asked.same)
    records = asked.records_of([i for i, _ in ranked])
    kept = [(i, score) for i, score in ranked if i in records]
    return tuple(make_hit(position, records[i], score, same.get(i)) for position, (i, score) in enumerate(kept, 1))
