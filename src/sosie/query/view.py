"""What a search goes through: all live vectors of a space, as they are now.

A picture is searchable as soon as its commit returns: the answer comes from the main index, whatever its kind, and an
exact pass over the tail added since that index was built, without what was deleted.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from sosie.catalogue import Catalogue, Condition, Found, Held, Space
from sosie.contracts import Index, Tunable
from sosie.errors import UsageError
from sosie.indexes.base import RowIndex
from sosie.indexes.exact import ExactIndex
from sosie.indexes.filtered import recall_at_share
from sosie.indexes.manifest import Manifest
from sosie.indexes.measure import metric_of
from sosie.indexes.monitor import RecallMonitor, Running
from sosie.query import rank
from sosie.regions.table import Table
from sosie.types import FloatMatrix, Ids

__all__ = ["SpaceView"]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a view knew at one epoch of the catalogue."""

    epoch: int
    stamp: object  # of the main index
    rewrites: int
    main: Index | None
    manifest: Manifest | None
    main_live: Ids | None  # None: every vector of the main index belongs to a live picture
    ids: Ids  # of all vectors that are not in the main index
    vectors: FloatMatrix
    tail: ExactIndex  # those of them that are live
    unembedded: int  # live pictures without a vector in this space
    regions: Table | None  # whose they are; None in a space of whole pictures
    search_params: Mapping[str, Any] = field(default_factory=dict)  # those of this question alone

    @property
    def description(self) -> dict[str, Any]:
        """Say what kind of index answers, what recall it was measured to have, and how much lies in the tail."""
        about = self.manifest
        told = {
            "kind": about.kind if about else "exact",
            "metric": self.tail.metric,
            "recall": about.recall if about else 1.0,
            **({"recall_interval": about.recall_interval} if about and about.recall_interval else {}),
            "generation": about.generation if about else None,
            "tail": len(self.tail),
        }
        if not self.search_params:
            return told
        told.pop("recall_interval", None)
        return {**told, "recall": None, "params": dict(self.search_params)}  # nobody measured these

    def with_params(self, params: Mapping[str, Any]) -> _Snapshot:
        """Return this with other search parameters of the main index; raise UsageError for those it does not take."""
        if self.main is None or isinstance(self.main, ExactIndex):
            raise UsageError(
                f"search is exact here, and takes no {next(iter(params))!r}: `sosie index build --kind KIND` first"
            )
        if not isinstance(self.main, Tunable):
            raise UsageError(f"an index of kind {self.main.kind} takes no parameters at a query")
        return replace(self, main=self.main.tuned(params), search_params=params)

    @property
    def opened(self) -> tuple[Index, Manifest] | None:
        """The main index as it was opened."""
        return None if self.main is None or self.manifest is None else (self.main, self.manifest)

    def recall_filtered(self, allow: Ids) -> float | None:
        """Return the recall to expect of a filter: the least measured of those about as wide; 1 where exact."""
        main = self.main
        if main is None or isinstance(main, ExactIndex) or (isinstance(main, RowIndex) and len(allow) <= main.few):
            return 1.0
        measured = self.manifest.measured.get("filtered", ()) if self.manifest and not self.search_params else ()
        return recall_at_share(measured, len(allow) / max(1, self.count()))

    @property
    def may_fall_short(self) -> bool:
        """Whether fewer than k may be the answer of the main index."""
        return isinstance(self.main, RowIndex) and not self.main.fills_up

    def count(self, allow: Ids | None = None) -> int:
        """Return how many live vectors there are, of those that are allowed."""
        if allow is not None:
            return len(allow)
        main = 0 if self.main is None else len(self.main.ids if self.main_live is None else self.main_live)
        return main + len(self.tail)

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
            if isinstance(self.main, RowIndex):  # what is merged is scored by one arithmetic
                parts[0] = parts[0][0], self.main.score(queries, parts[0][0])
            parts.append(self.tail.search(queries, k, allow))
        if not parts:
            return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        return rank.merge(parts, k)

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions of some pictures, which ascend, and their vectors, from wherever those lie."""
        assert self.regions is not None
        rows = self.regions.rows_of(pictures)
        ids, vectors = self.regions.ids[rows], np.empty((len(rows), self.vectors.shape[1]), np.float32)
        found = np.zeros(len(rows), bool)
        places = [(self.ids, self.vectors)]
        if isinstance(self.main, RowIndex):
            places.append((self.main.ids, self.main.vectors))
        for have, theirs in places:
            if not len(have):
                continue
            at = np.minimum(np.searchsorted(have, ids), len(have) - 1)
            here = have[at] == ids
            vectors[here] = theirs[at[here]]
            found |= here
        rows = rows[found]
        return Held(self.regions.ids[rows], self.regions.owners[rows], self.regions.sure[rows], vectors[found])


class SpaceView:
    """All live vectors of a space, searchable: main index + exact tail - what is gone. Thread-safe.

    ``open_main`` returns the current main index and its manifest, or None; it is asked again when ``forget`` was
    called, because an index was built or dropped, and when ``stamp`` gives something else, because another process
    did so. ``check_recall`` is the share of searches that are checked against exact search in the background; 0 checks
    none.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        space: Space,
        open_main: Callable[[], tuple[Index, Manifest] | None],
        *,
        stamp: Callable[[], object] = lambda: None,
        check_recall: float = 0.0,
    ) -> None:
        self.space = space
        self._monitor = RecallMonitor(share=check_recall) if check_recall else None
        self._catalogue = catalogue
        self._open_main = open_main
        self._stamp = stamp
        self._snapshot: _Snapshot | None = None
        self._lock = threading.Lock()
        self._swapping = threading.Lock()
        self._params: Mapping[str, Any] = {}

    def with_params(self, params: Mapping[str, Any]) -> SpaceView:
        """Return this view, searched with other search parameters of its index; raise UsageError."""
        self._current().with_params(params)
        other = copy.copy(self)
        other._params, other._monitor = dict(params), None
        return other

    @property
    def description(self) -> dict[str, Any]:
        """Say what kind of index answers, what recall it was measured to have, and how much lies in the tail."""
        return self._asked().description

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
        """Read what has to be read now rather than at the first question; what is new since is for that to see."""
        if self._snapshot is None:
            self._current()

    def forget(self) -> None:
        """Look for the main index anew at the next question."""
        with self._lock:
            self._snapshot = None
        if self._monitor is not None:
            self._monitor.forget()

    def search(
        self, queries: FloatMatrix, k: int, allow: Ids | None = None, *, watched: bool = True
    ) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf.

        Searches that nobody asked for are not ``watched``: they stay out of the recall in service.
        """
        now = self._asked()
        return self._search(now, queries, k, allow) if watched else now.search(queries, k, allow)

    def find(self, queries: FloatMatrix, k: int, condition: Condition | None = None, *, records: bool = True) -> Found:
        """Return the k nearest live pictures that meet a condition, or the pictures of the k nearest regions.

        No ``records`` come along: they are the catalogue's.
        """
        allow, now = self.allowed(condition) if condition else None, self._asked()
        ids, scores = self._search(now, queries, k, allow)
        about = now.description
        if now.may_fall_short and (ids >= 0).sum(axis=1).min() < min(k, now.count(allow)):
            about["complete"] = False  # the index found fewer than there are, and was not asked to fill up
        if allow is not None:
            about["recall_filtered"] = now.recall_filtered(allow)
        return Found(ids if now.regions is None else now.regions.owners_of(ids), scores, about)

    def _search(self, now: _Snapshot, queries: FloatMatrix, k: int, allow: Ids | None) -> tuple[Ids, FloatMatrix]:
        ids, scores = now.search(queries, k, allow)
        if self._monitor is not None and isinstance(now.main, RowIndex):  # others cannot be gone through exactly
            self._monitor.offer(queries, k, allow, scores, exact=partial(now.search, exactly=True))
        return ids, scores

    def allowed(self, condition: Condition) -> Ids:
        """Return the sorted ids of live pictures that meet a condition, or of their regions in a space of those."""
        pictures, regions = self._catalogue.live_ids(condition), self._current().regions
        return pictures if regions is None else regions.below(pictures)

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions that this space holds of some pictures, whose ids ascend."""
        return self._current().regions_of(pictures)

    def _asked(self) -> _Snapshot:
        now = self._current()
        return now.with_params(self._params) if self._params else now

    def _current(self) -> _Snapshot:
        stamp, known = self._stamp(), self._snapshot
        if known is not None and known.stamp != stamp:
            self._swap(stamp)
        epoch, known = self._catalogue.epoch(), self._snapshot
        if known is not None and known.epoch == epoch:
            return known
        with self._lock:
            known = self._snapshot
            if known is None:
                known = self._take(epoch, stamp, self._open_main())
            elif known.epoch != epoch:
                known = self._take(epoch, known.stamp, known.opened, known)
            self._snapshot = known
            return known

    def _swap(self, stamp: object) -> None:
        """Open the index that another process made the current one; whoever asks meanwhile is answered by the last."""
        if not self._swapping.acquire(blocking=False):
            return
        try:
            opened = self._open_main()
            with self._lock:
                self._snapshot = self._take(self._catalogue.epoch(), stamp, opened)
        finally:
            self._swapping.release()
        if self._monitor is not None:
            self._monitor.forget()

    def _take(
        self,
        epoch: int,
        stamp: object,
        opened: tuple[Index, Manifest] | None,
        before: _Snapshot | None = None,
    ) -> _Snapshot:
        """Read what has come since the last snapshot; everything, where an older picture got vectors late."""
        main, manifest = opened or (None, None)
        rewrites = self._catalogue.rewrites(self.space)
        if before and before.rewrites == rewrites:
            after = int(before.ids[-1]) if len(before.ids) else (manifest.covers if manifest else 0)
            ids, vectors = before.ids, before.vectors
            more_ids, more_vectors = self._catalogue.vectors(self.space, after=after)
            if len(more_ids):
                ids, vectors = np.concatenate([ids, more_ids]), np.concatenate([vectors, more_vectors])
            regions = self._regions(before.regions)
        else:
            ids, vectors = self._beside(main, manifest, rewrites)
            regions = self._regions(None)
        live = self._catalogue.live_ids()
        live = live if regions is None else regions.below(live)
        alive = np.isin(ids, live, assume_unique=True)
        tail = ExactIndex(metric=metric_of(main))
        # what is all alive is not copied: it is most of what a library takes in memory
        tail.build(*((ids, vectors) if alive.all() else (ids[alive], vectors[alive])))
        unembedded = int((~np.isin(live, ids if main is None else np.concatenate([ids, main.ids]))).sum())
        main_live = None
        if main is not None and not bool(np.isin(main.ids, live, assume_unique=True).all()):
            main_live = np.intersect1d(main.ids, live, assume_unique=True)
            main_live.flags.writeable = False  # lets the index remember the filter that it makes of them
        return _Snapshot(epoch, stamp, rewrites, main, manifest, main_live, ids, vectors, tail, unembedded, regions)

    def _regions(self, before: Table | None) -> Table | None:
        """Return whose the regions are; what is known of one never changes, since no id is used twice."""
        if self.space.regions == "whole":
            return None
        if before is None:
            return Table(*self._catalogue.region_facts(self.space))
        after = int(before.ids[-1]) if len(before.ids) else 0
        return before.grown(Table(*self._catalogue.region_facts(self.space, after=after)))

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
