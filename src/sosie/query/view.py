"""What a search goes through: all live vectors of a space, as they are now.

A picture is searchable as soon as its commit returns: the answer comes from the main index, whatever its kind, and an
exact pass over the tail added since that index was built, without what was deleted.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sosie.arrays import Bits
from sosie.catalogue import Catalogue, Condition, Found, Held, Space
from sosie.contracts import Index
from sosie.indexes.base import RowIndex
from sosie.indexes.manifest import Manifest
from sosie.indexes.monitor import RecallMonitor, Running
from sosie.query.snapshot import Snapshot
from sosie.query.taking_over import Reader
from sosie.types import FloatMatrix, Ids

__all__ = ["SpaceView"]


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
        self._reader = Reader(catalogue, space)
        self._open_main = open_main
        self._stamp = stamp
        self._snapshot: Snapshot | None = None
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
    def opened(self) -> bool:
        """Whether it has been read what is searched."""
        return self._snapshot is not None

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
        now = self._asked()
        allow = self._selected(condition, now) if condition else None
        ids, scores = self._search(now, queries, k, allow)
        about = now.description
        if now.may_fall_short and (ids >= 0).sum(axis=1).min() < min(k, now.count(allow)):
            about["complete"] = False  # the index found fewer than there are, and was not asked to fill up
        if allow is not None:
            about["recall_filtered"] = now.recall_filtered(allow)
        return Found(ids if now.regions is None else now.regions.owners_of(ids), scores, about)

    def _search(self, now: Snapshot, queries: FloatMatrix, k: int, allow: Ids | Bits | None) -> tuple[Ids, FloatMatrix]:
        ids, scores = now.search(queries, k, allow)
        if self._monitor is not None and now.main and isinstance(now.main.index, RowIndex):
            # others cannot be gone through exactly
            exact = partial(_exactly, now, allow)
            self._monitor.offer(queries, k, None, scores, exact=exact)
        return ids, scores

    def allowed(self, condition: Condition) -> Ids:
        """Return the sorted ids of live pictures that meet a condition, or of their regions in a space of those."""
        return self._selected(condition, self._current()).ids

    def _selected(self, condition: Condition, now: Snapshot) -> Bits:
        pictures = self._catalogue.selection.of(condition)
        if now.regions is None:
            return pictures
        return Bits.of(now.regions.ids[pictures.has(now.regions.owners)])

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions that this space holds of some pictures, whose ids ascend."""
        return self._current().regions_of(pictures)

    def _asked(self) -> Snapshot:
        now = self._current()
        return now.with_params(self._params) if self._params else now

    def _current(self) -> Snapshot:
        stamp, known = self._stamp(), self._snapshot
        if known is not None and known.stamp != stamp:
            self._swap(stamp)
        moment, known = self._catalogue.commits.moment(), self._snapshot
        if known is not None and known.moment.is_after(moment):
            return known
        with self._lock:
            known = self._snapshot
            if known is None:
                known = self._reader.open(self._open_main(), stamp)
            elif not known.moment.is_after(moment):
                known = self._reader.renewed(known)
            self._snapshot = known
            return known

    def _swap(self, stamp: object) -> None:
        """Open the index that another process made the current one; whoever asks meanwhile is answered by the last."""
        if not self._swapping.acquire(blocking=False):
            return
        try:
            found = self._reader.open(self._open_main(), stamp)
            with self._lock:
                self._snapshot = found
        finally:
            self._swapping.release()
        if self._monitor is not None:
            self._monitor.forget()


def _exactly(
    now: Snapshot, allow: Ids | Bits | None, queries: FloatMatrix, k: int, _: Ids | None
) -> tuple[Ids, FloatMatrix]:
    """Search what was searched then; a recall is measured against that."""
    return now.search(queries, k, allow, exactly=True)
