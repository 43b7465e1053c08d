"""How a question is answered: query → decode → embed → index → verify → rank → hits. Only this file tells that story.

A picture is searchable as soon as its commit returns: the answer comes from the main index, whatever its kind, and an
exact pass over the tail added since that index was built, without what was deleted (``SpaceView``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sosie import rank
from sosie.catalogue import Catalogue, Condition, Found, PictureRecord, RegionRow, Space, Store, View
from sosie.indexes.base import RowIndex
from sosie.indexes.exact import ExactIndex
from sosie.indexes.manifest import Manifest
from sosie.indexes.monitor import RecallMonitor, Running
from sosie.types import FloatMatrix, Hit, Ids, Index, Pixels, Region, SearchResult, Verdict

__all__ = ["Query", "SpaceView", "answer", "make_hit", "same_pictures"]


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
    shown: Pixels | None = None  # the picture itself, to lay over what was found


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
        SearchResult(query.name, answers, took_ms, view.description, query.about)
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
    same: dict[int, Verdict] = {}
    identical = None if query.sha256 is None else catalogue.content_id(query.sha256)
    if identical is not None and catalogue.uris(identical):
        same[identical] = Verdict.IDENTICAL
    if query.pixels is not None:
        for content_id in catalogue.ids_with_pixels(query.pixels):
            same.setdefault(content_id, Verdict.SAME_PIXELS)
    return same


def _evidence(verdict: Verdict, uris: Sequence[str]) -> dict[str, Any]:
    why = {
        Verdict.IDENTICAL: {"bytes": "equal SHA-256"},
        Verdict.SAME_PIXELS: {"pixels": "equal when decoded"},
    }.get(verdict, {})
    return {**why, **({"other_locations": list(uris[1:])} if len(uris) > 1 else {})}


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a view knew at one epoch of the catalogue."""

    epoch: int
    rewrites: int
    main: Index | None
    manifest: Manifest | None
    main_live: Ids | None  # None: every vector of the main index belongs to a live picture
    ids: Ids  # of all vectors that are not in the main index
    vectors: FloatMatrix
    tail: ExactIndex  # those of them that are live
    unembedded: int  # live pictures without a vector in this space

    def search(
        self, queries: FloatMatrix, k: int, allow: Ids | None = None, *, exactly: bool = False
    ) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf."""
        parts = []
        if self.main is not None:
            main_allow = self.main_live if allow is None else _common(allow, self.main_live)
            ask = self.main.search_exactly if exactly and isinstance(self.main, RowIndex) else self.main.search
            parts.append(ask(queries, k, main_allow))
        if len(self.tail):
            parts.append(self.tail.search(queries, k, allow))
        if not parts:
            return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        return rank.merge(parts, k)


class SpaceView:
    """All live vectors of a space, searchable: main index + exact tail - what is gone. Thread-safe.

    ``open_main`` returns the current main index and its manifest, or None; it is asked again when ``forget`` was
    called, because an index was built or dropped. ``check_recall`` is the share of searches that are checked against
    exact search in the background; 0 checks none.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        space: Space,
        open_main: Callable[[], tuple[Index, Manifest] | None],
        *,
        check_recall: float = 0.0,
    ) -> None:
        self.space = space
        self._monitor = RecallMonitor(share=check_recall) if check_recall else None
        self._catalogue = catalogue
        self._open_main = open_main
        self._snapshot: _Snapshot | None = None
        self._lock = threading.Lock()

    @property
    def description(self) -> dict[str, Any]:
        """Say what kind of index answers, what recall it was measured to have, and how much lies in the tail."""
        now = self._current()
        manifest = now.manifest
        return {
            "kind": manifest.kind if manifest else "exact",
            "recall": manifest.recall if manifest else 1.0,
            "generation": manifest.generation if manifest else None,
            "tail": len(now.tail),
        }

    @property
    def recall_in_service(self) -> Running | None:
        """Return what the checked share of searches reached; None where none are checked."""
        return None if self._monitor is None else self._monitor.running()

    def close(self) -> None:
        """Finish the checks that wait."""
        if self._monitor is not None:
            self._monitor.close()

    @property
    def unembedded(self) -> int:
        """Return how many live pictures have no vector in this space, and so are never an answer."""
        return self._current().unembedded

    def warm_up(self) -> None:
        """Read what has to be read now rather than at the first question."""
        self._current()

    def forget(self) -> None:
        """Look for the main index anew at the next question."""
        with self._lock:
            self._snapshot = None
        if self._monitor is not None:
            self._monitor.forget()

    def search(self, queries: FloatMatrix, k: int, allow: Ids | None = None) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf."""
        now = self._current()
        ids, scores = now.search(queries, k, allow)
        if self._monitor is not None and isinstance(now.main, RowIndex):  # others cannot be gone through exactly
            self._monitor.offer(queries, k, allow, scores, exact=partial(now.search, exactly=True))
        return ids, scores

    def find(self, queries: FloatMatrix, k: int, condition: Condition | None = None) -> Found:
        """Return the k nearest live pictures that meet a condition."""
        allow = self._catalogue.live_rows(self.space, condition) if condition else None
        return Found(*self.search(queries, k, allow))

    def _current(self) -> _Snapshot:
        epoch = self._catalogue.epoch()
        snapshot = self._snapshot
        if snapshot is not None and snapshot.epoch == epoch:
            return snapshot
        with self._lock:
            if self._snapshot is None or self._snapshot.epoch != epoch:
                self._snapshot = self._take(epoch, self._snapshot)
            return self._snapshot

    def _take(self, epoch: int, before: _Snapshot | None) -> _Snapshot:
        """Read what has come since the last snapshot; everything, where an older picture got vectors late."""
        main, manifest = (before.main, before.manifest) if before else (self._open_main() or (None, None))
        rewrites = self._catalogue.rewrites(self.space)
        if before and before.rewrites == rewrites:
            after = int(before.ids[-1]) if len(before.ids) else (manifest.covers if manifest else 0)
            more_ids, more_vectors = self._catalogue.vectors(self.space, after=after)
            ids, vectors = np.concatenate([before.ids, more_ids]), np.concatenate([before.vectors, more_vectors])
        else:
            ids, vectors = self._beside(main, manifest, rewrites)
        live = self._catalogue.live_rows(self.space)
        alive = np.isin(ids, live, assume_unique=True)
        tail = ExactIndex()
        tail.build(ids[alive], vectors[alive])
        unembedded = int((~np.isin(live, ids if main is None else np.concatenate([ids, main.ids]))).sum())
        main_live = None
        if main is not None and not bool(np.isin(main.ids, live, assume_unique=True).all()):
            main_live = np.intersect1d(main.ids, live, assume_unique=True)
            main_live.flags.writeable = False  # lets the index remember the filter that it makes of them
        return _Snapshot(epoch, rewrites, main, manifest, main_live, ids, vectors, tail, unembedded)

    def _beside(self, main: Index | None, manifest: Manifest | None, rewrites: int) -> tuple[Ids, FloatMatrix]:
        """Return the vectors that are not in the main index."""
        if main is None or manifest is None:
            return self._catalogue.vectors(self.space)
        if manifest.note.get("rewrites") == rewrites:
            return self._catalogue.vectors(self.space, after=manifest.covers)
        ids, vectors = self._catalogue.vectors(self.space)
        new = ~np.isin(ids, main.ids, assume_unique=True)
        return ids[new], vectors[new]


def _common(allow: Ids, live: Ids | None) -> Ids:
    return allow if live is None else np.intersect1d(allow, live, assume_unique=True)
