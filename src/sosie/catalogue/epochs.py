"""The end of a commit: the epoch moves, and the list of changes is kept short."""

from __future__ import annotations

import sqlite3

from sosie.errors import DamagedError

__all__ = ["move_epoch"]

_EVERY = 64  # epochs between two looks at how many there are
_MOST = 200_000  # rows that are kept at least, ...
_SHARE = 2  # ... and one for as many pictures: until an index is built again, what came after it is read from here


def move_epoch(connection: sqlite3.Connection) -> None:
    """End a commit that changed what is known of pictures: the next one has the next number."""
    sql = "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'epoch' RETURNING value"
    found = connection.execute(sql).fetchone()
    if found is None:
        raise DamagedError("the catalogue has lost its epoch: `sosie restore DIR` brings a backup back")
    epoch = int(found[0])
    if epoch % _EVERY == 0:
        _forget_old(connection)


def _forget_old(connection: sqlite3.Connection) -> None:
    sql = "SELECT epoch FROM changes ORDER BY epoch DESC LIMIT 1 OFFSET ?"
    ((largest,),) = connection.execute("SELECT coalesce(max(id), 0) FROM contents").fetchall()
    found = connection.execute(sql, (max(_MOST, largest // _SHARE),)).fetchone()
    if found is not None:
        connection.execute("DELETE FROM changes WHERE epoch <= ?", found)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'changes_since'", found)
