"""How a question is answered: query → decode → embed → index → verify → rank → hits. Only this file tells that story.

A picture is searchable as soon as its commit returns: see `sosie.space_view`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sosie import rank
from sosie.catalogue import Condition, PictureRecord, RegionRow, Store, View
from sosie.types import FloatMatrix, Hit, Ids, Pixels, Region, SearchResult, Verdict

__all__ = ["Query", "answer", "make_hit", "same_pictures"]


@dataclass(frozen=True, slots=True)
class Query:
    """A question: a unit vector, and what is known of the picture that it came from."""

    name: str
    vector: FloatMatrix  # (dim,)
    sha256: bytes | None = None
    pixels: bytes | None = None
    exclude: int | None = None  # the library's own picture that is asked about
    terms: tuple[tuple[str, FloatMatrix], ...] = ()  # the summands, by name, with what each gave to the vector
    parts: tuple[Region, ...] = ()  # its objects, where it is searched by them
    vectors: Mapping[int, FloatMatrix] = field(default_factory=dict)  # by space of regions: one for each part (m, dim)
    about: Mapping[str, Any] = field(default_factory=dict)  # what the parts were, for the answer
    shown: Callable[[], Pixels] | None = None  # gives the picture itself, to lay over what was found


def answer(
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
    asked = _Asked(catalogue, condition, found.records, k)
    hits = [
        _hits(query, ids[ids >= 0], scores[ids >= 0], asked)
        for query, ids, scores in zip(queries, found.ids, found.scores, strict=True)
    ]
    took_ms = (time.perf_counter() - started) * 1000 / len(queries)
    return [
        SearchResult(query.name, answers, took_ms, found.index, query.about)
        for query, answers in zip(queries, hits, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the queries of one call have in common."""

    catalogue: Store
    condition: Condition | None
    records: Mapping[int, PictureRecord]  # those that came along with the neighbours
    k: int

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
    ranked = rank.put_first([i for i, _ in pairs], [s for _, s in pairs], first, asked.k)
    records = asked.records_of([i for i, _ in ranked])
    kept = [(i, score) for i, score in ranked if i in records]
    return tuple(make_hit(position, records[i], score, same.get(i)) for position, (i, score) in enumerate(kept, 1))


def make_hit(
    position: int,
    record: PictureRecord,
    score: float,
    same: Verdict | None,
    *,
    evidence: Mapping[str, Any] | None = None,
    region: RegionRow | None = None,
) -> Hit:
    """Return the answer at one position: what the picture is to the query, and why."""
    return Hit(
        rank=position,
        id=record.id,
        uri=record.uris[0],
        score=min(float(score), 1.0),  # stored vectors are rounded, and so not quite of unit length
        verdict=same or Verdict.SIMILAR,
        labels=record.labels,
        region=region.region.box if region else None,
        evidence={**_evidence(same or Verdict.SIMILAR, record.uris), **(evidence or {})},
    )


def same_pictures(query: Query, catalogue: Store) -> dict[int, Verdict]:
    """Return the pictures that need no likeness: the same bytes, the same pixels."""
    if query.sha256 is None and query.pixels is None:
        return {}
    return catalogue.same(query.sha256, query.pixels)


def _evidence(verdict: Verdict, uris: Sequence[str]) -> dict[str, Any]:
    why = {
        Verdict.IDENTICAL: {"bytes": "equal SHA-256"},
        Verdict.SAME_PIXELS: {"pixels": "equal when decoded"},
    }.get(verdict, {})
    return {**why, **({"other_locations": list(uris[1:])} if len(uris) > 1 else {})}
