"""Whose the regions of a space are, in memory: a search asks it for every candidate, and a database takes too long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sosie.types import FloatMatrix, Ids

__all__ = ["Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """The regions of a space in ascending order of id, their pictures, and how sure each is (n,); 28 bytes each."""

    ids: Ids
    owners: Ids
    sure: FloatMatrix
    by_owner: Ids  # rows in the order of pictures; of one that was looked at again regions came later

    @classmethod
    def of(cls, ids: Ids, owners: Ids, sure: FloatMatrix) -> Table:
        """Return the table of some regions (n,) in ascending order of id."""
        return cls(ids, owners, sure, np.lexsort((ids, owners)))

    def grown(self, more: Table) -> Table:
        """Return a table with regions that came later."""
        if not len(more.ids):
            return self
        ids, owners = np.concatenate([self.ids, more.ids]), np.concatenate([self.owners, more.owners])
        sure = np.concatenate([self.sure, more.sure])
        if len(self.ids) and more.owners.min() <= self.owners[self.by_owner[-1]]:
            return Table.of(ids, owners, sure)
        return Table(ids, owners, sure, np.concatenate([self.by_owner, len(self.ids) + more.by_owner]))

    def below(self, pictures: Ids) -> Ids:
        """Return the ids of all regions of ``pictures``, ascending."""
        return self.ids[np.isin(self.owners, pictures)]

    def owners_of(self, ids: Ids) -> Ids:
        """Return the pictures of some regions, in their shape; -1 for one that is not known."""
        if not len(self.ids):
            return np.full_like(ids, -1)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[at] == ids, self.owners[at], -1)

    def rows_of(self, pictures: Ids) -> Ids:
        """Return the rows of the regions of ``pictures``, which ascend, picture by picture."""
        starts, ends = (np.searchsorted(self.owners, pictures, side, self.by_owner) for side in ("left", "right"))
        counts = ends - starts
        before = np.cumsum(counts) - counts  # rows of the pictures before each
        rows: Ids = self.by_owner[np.arange(counts.sum()) + np.repeat(starts - before, counts)]
        return rows
