"""How a view comes to know a moment of the catalogue: from an earlier one and what changed since, or from all rows.

What an index was built over was live at that moment, so that a process which opens it needs no list of ids: it takes
over what changed since then, as it does later after every commit. Only what the catalogue does not list, because it is
too long ago, of another branch of its history, or of an older version, is read from all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sosie.catalogue import Catalogue, Space
from sosie.catalogue.changes import Moment
from sosie.contracts import Index
from sosie.indexes.exact import ExactIndex, exact_over, with_more
from sosie.indexes.manifest import Manifest
from sosie.indexes.measure import metric_of
from sosie.query.snapshot import Part, Snapshot
from sosie.regions.table import Table
from sosie.types import FloatMatrix, Ids

__all__ = ["Reader", "built_at", "note_of"]

_KINDS = ("placed", "embedded")  # of changes that a space is made of, beside what was added and removed


def note_of(moment: Moment, rewrites: int) -> dict[str, object]:
    """Return what a manifest keeps of the moment that its index was read at."""
    return {"rewrites": rewrites, "epoch": moment.epoch, "branch": moment.branch}


def built_at(manifest: Manifest) -> Moment | None:
    """Return the moment that an index was read at; None of one that an older version built."""
    note = manifest.note
    return Moment(int(note["epoch"]), str(note["branch"])) if "epoch" in note and "branch" in note else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one space of a catalogue."""

    catalogue: Catalogue
    space: Space

    def open(self, opened: tuple[Index, Manifest] | None, stamp: object) -> Snapshot:
        """Return what is searched now with a main index, or without."""
        with self.catalogue.commits.at_one_moment() as now:
            return self._since_it_was_built(opened, stamp, now) or self._all(now, opened, stamp)

    def renewed(self, before: Snapshot) -> Snapshot:
        """Return what is searched now, which takes over what has not changed."""
        with self.catalogue.commits.at_one_moment() as now:
            return self._since(before, now) or self._all(now, before.opened, before.stamp)

    def gone_since_built(self, manifest: Manifest, ids: Callable[[], Ids]) -> int | None:
        """Return how many pictures of an index are not live any more; None where that is not known.

        ``ids`` gives those of the index, where they are needed.
        """
        then = built_at(manifest)
        changed = None if then is None else self.catalogue.commits.pictures(then, what=_KINDS)
        if changed is None:
            return None
        older = changed[changed <= manifest.covers]
        gone = np.setdiff1d(older, self.catalogue.live_rows_of(self.space, older), assume_unique=True)
        return int(np.isin(gone, ids(), assume_unique=True).sum()) if len(gone) else 0

    def _since_it_was_built(self, opened: tuple[Index, Manifest] | None, stamp: object, now: Moment) -> Snapshot | None:
        then = built_at(opened[1]) if opened else None
        if opened is None or then is None:
            return None
        index, manifest = opened
        built = Snapshot(then, stamp, Part(index), manifest, Part(self._tail(index)), self._regions(None))
        return self._since(built, now)

    def _since(self, before: Snapshot, now: Moment) -> Snapshot | None:
        """Take over what changed; None where that is not known, so that all has to be read."""
        changed = self.catalogue.commits.pictures(before.moment, what=_KINDS)
        if changed is None:
            return None
        if not len(changed):
            return self._counted(replace(before, moment=now))
        regions = self._regions(before.regions)
        live = self.catalogue.live_rows_of(self.space, changed)
        rows = changed if regions is None else np.sort(regions.ids[regions.rows_of(changed)])
        tail = before.exact_tail
        beside = live if before.main is None else live[~before.main.has(live)]
        if len(beside):  # also those of the tail, which may have been embedded anew
            tail = with_more(tail, *self.catalogue.vectors_of_rows(self.space, changed, beside))
        return self._counted(
            replace(
                before,
                moment=now,
                main=before.main and before.main.after(rows, live),
                tail=replace(before.tail, index=tail).after(rows, live),
                regions=regions,
            )
        )

    def _all(self, now: Moment, opened: tuple[Index, Manifest] | None, stamp: object) -> Snapshot:
        """Read all rows."""
        main, manifest = opened or (None, None)
        regions = self._regions(None)
        live = self.catalogue.live_rows(self.space)
        tail = exact_over(*self._beside(main, manifest, live), metric=metric_of(main))
        parts = [_without_gone(index, live) for index in (main, tail) if index is not None]
        return self._counted(Snapshot(now, stamp, parts[0] if main is not None else None, manifest, parts[-1], regions))

    def _beside(self, main: Index | None, manifest: Manifest | None, live: Ids) -> tuple[Ids, FloatMatrix]:
        """Return the vectors that are not in the main index."""
        if main is None or manifest is None:
            return self.catalogue.vectors(self.space)
        if manifest.note.get("rewrites") == self.catalogue.rewrites(self.space):
            ids, vectors = self.catalogue.vectors(self.space, after=manifest.covers)
            if self.space.regions != "whole":
                return ids, vectors
            # what had no place when the index was built may have one now
            back = np.setdiff1d(live[live <= manifest.covers], main.ids, assume_unique=True)
            older = self.catalogue.vectors_of_rows(self.space, back, back)
            return np.concatenate([older[0], ids]), np.concatenate([older[1], vectors])
        ids, vectors = self.catalogue.vectors(self.space)
        new = ~np.isin(ids, main.ids, assume_unique=True)
        return ids[new], vectors[new]

    def _tail(self, main: Index) -> ExactIndex:
        return exact_over(np.empty(0, np.int64), np.empty((0, self.space.dim), np.float32), metric=metric_of(main))

    def _counted(self, found: Snapshot) -> Snapshot:
        """Count what has no vector yet; in a space of regions nothing is said to be missing."""
        if self.space.regions != "whole":
            return found
        return replace(found, unembedded=max(0, self.catalogue.counts()["pictures"] - found.count()))

    def _regions(self, before: Table | None) -> Table | None:
        """Return whose the regions are; what is known of one never changes, since no id is used twice."""
        if self.space.regions == "whole":
            return None
        if before is None:
            return Table.of(*self.catalogue.region_facts(self.space))
        after = int(before.ids[-1]) if len(before.ids) else 0
        return before.grown(Table.of(*self.catalogue.region_facts(self.space, after=after)))


def _without_gone(index: Index, live: Ids) -> Part:
    return Part(index, index.ids[~np.isin(index.ids, live, assume_unique=True)])
