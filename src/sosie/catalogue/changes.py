"""Which pictures each commit touched: SQLite's triggers write it down (`schema`), here it is read and kept short."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sosie.catalogue.database import Database
from sosie.catalogue.records import ContentChange
from sosie.types import Ids

__all__ = ["Changes", "Moment"]

_LATEST = "SELECT value, (SELECT value FROM meta WHERE key = 'epochs') FROM meta WHERE key = 'epoch'"


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of a catalogue: the number of its last commit, and the branch of its history which that belongs to.

    A restored backup counts its epochs on from where it was, on a branch of its own: a number alone names no state.
    """

    epoch: int
    branch: str

    def is_after(self, other: Moment) -> bool:
        """Tell whether this is the other, or follows it on the same branch."""
        return self.branch == other.branch and self.epoch >= other.epoch


class Changes:
    """Reads the changes. Who keeps what was read at a moment takes over what has changed since. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()

    def moment(self) -> Moment:
        """Return the state that is read now; raise DamagedError where the catalogue has lost its epoch."""
        known: Moment | None = getattr(self._local, "moment", None)
        return known or self._latest()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Ask for the moment once: within the block, this thread is told the same one again."""
        local, before = self._local, getattr(self._local, "moment", None)
        local.moment = self.moment()
        try:
            yield
        finally:
            local.moment = before

    @contextmanager
    def at_one_moment(self) -> Iterator[Moment]:
        """Let all that this thread reads in the block be of the moment that is given, whoever commits meanwhile."""
        connection = self._database.connection()
        if connection.in_transaction:
            yield self._latest()
            return
        with self._database.translated():
            connection.execute("BEGIN")
            try:
                yield self._latest()
            finally:
                connection.execute("ROLLBACK")

    def _latest(self) -> Moment:
        rows = self._database.query(_LATEST)
        epoch = self._database.parsed(rows[0][0] if rows else None, "epoch", int)
        branch = "" if rows[0][1] is None else self._database.parsed(rows[0][1], "epochs", _last_branch)
        return Moment(epoch, branch)

    def listed(self, since: int) -> list[ContentChange] | None:
        """Return what commits after the epoch ``since`` did to pictures, in order; None where that is not kept."""
        sql = "SELECT epoch, content_id, what FROM changes WHERE epoch > ? ORDER BY 1, 2, 3"
        with self.at_one_moment() as now:
            if not self.are_kept_since(since, now.epoch):
                return None
            rows = self._database.query(sql, (since,))
        return [ContentChange(*row) for row in rows]

    def pictures(self, since: Moment, *, what: Sequence[str] = ()) -> Ids | None:
        """Return the ids, ascending, of pictures that commits after a moment changed; None where that is not known.

        ``what`` picks kinds of changes; what was added or removed always counts. Nothing is known of another branch of
        the history, of epochs that are not kept any more, and of those of an older version, which listed fewer kinds:
        then whatever was read before has to be read anew.
        """
        kinds = json.dumps(["added", "removed", *what])
        chosen = "AND what IN (SELECT value FROM json_each(?2))" if what else "AND ?2 IS NOT NULL"
        sql = f"SELECT DISTINCT content_id FROM changes WHERE epoch > ?1 {chosen} ORDER BY content_id"
        with self.at_one_moment() as now:
            if now.branch != since.branch or not self.are_kept_since(since.epoch, now.epoch):
                return None
            rows = self._database.query(sql, (since.epoch, kinds))
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def are_kept_since(self, since: int, now: int) -> bool:
        """Tell whether all changes between two epochs are listed; what is above the last was in another past."""
        kept = self._database.query("SELECT value FROM meta WHERE key = 'changes_since'")
        return bool(kept) and int(kept[0][0]) <= since <= now


def _last_branch(text: str) -> str:
    return str(json.loads(text)[-1][1])
