"""The high-water mark of ids: a small file beside the catalogue, so that no id is used twice, whatever is restored.

It is on the disk before a commit hands ids out. A catalogue that knows fewer ids than its mark is older than it, put
back from a backup: it goes on above the mark, and a new branch of its history begins. A catalogue without its mark is
a copy that may live on in two places, so it takes an identity of its own.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sosie import files

__all__ = ["Mark", "Marker", "identity_of", "mark_path", "read_mark"]

_TABLES = ("contents", "regions", "spaces")  # whose ids stand in files beside the catalogue


@dataclass(frozen=True, slots=True)
class Mark:
    """The largest ids that were ever handed out, by table, and by which catalogue."""

    identity: str
    ids: Mapping[str, int]


def mark_path(catalogue: Path) -> Path:
    """Return where the mark of a catalogue lies."""
    return catalogue.with_name("catalogue.ids")


def read_mark(catalogue: Path) -> Mark | None:
    """Return the mark beside a catalogue; None where there is none, or none that can be read."""
    try:
        found = json.loads(mark_path(catalogue).read_bytes())
        return Mark(str(found["identity"]), {table: int(found["ids"][table]) for table in _TABLES})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def identity_of(connection: sqlite3.Connection) -> str | None:
    """Return the random name of a catalogue; None before schema 2."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
    return None if found is None else str(found[0])


class Marker:
    """Keeps the mark beside one catalogue; its methods are called within a transaction."""

    def __init__(self, catalogue: Path) -> None:
        self._catalogue = catalogue
        self._mark: Mark | None = None

    def settle(self, connection: sqlite3.Connection) -> None:
        """Compare catalogue and mark, once a process; where the catalogue is an older one, go on above the mark."""
        if self._mark is not None:
            return
        mark, ids = read_mark(self._catalogue), _ids(connection)
        identity = identity_of(connection)
        assert identity is not None
        if mark is None:
            if connection.execute("DELETE FROM meta WHERE key = 'marked'").rowcount:  # it had one
                identity = secrets.token_hex(16)
                connection.execute("UPDATE meta SET value = ? WHERE key = 'identity'", (identity,))
                _branch(connection)
            mark = Mark(identity, dict.fromkeys(_TABLES, -1))  # to be written
        elif any(mark.ids[table] > ids[table] for table in _TABLES):
            _branch(connection)
            _raise_to(connection, mark.ids)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('marked', '1')")
        self._mark = replace(mark, identity=identity)

    def advance(self, connection: sqlite3.Connection) -> None:
        """Write the mark, where the transaction has handed out ids above it; its commit comes after."""
        assert self._mark is not None
        ids = _ids(connection)
        if any(ids[table] > self._mark.ids[table] for table in _TABLES):
            above = {table: max(ids[table], self._mark.ids[table]) for table in _TABLES}
            known = {"identity": self._mark.identity, "ids": above}
            files.write_json(mark_path(self._catalogue), known, indent=None)
            self._mark = replace(self._mark, ids=above)


def _ids(connection: sqlite3.Connection) -> dict[str, int]:
    known = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return {table: int(known.get(table, 0)) for table in _TABLES}


def _raise_to(connection: sqlite3.Connection, ids: Mapping[str, int]) -> None:
    known = _ids(connection)
    for table, least in ids.items():
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, max(least, known[table])))


def _branch(connection: sqlite3.Connection) -> None:
    """Begin a branch of the catalogue's history with the commit under way."""
    ((epochs,),) = connection.execute("SELECT value FROM meta WHERE key = 'epochs'").fetchall()
    ((epoch,),) = connection.execute("SELECT CAST(value AS INTEGER) + 1 FROM meta WHERE key = 'epoch'").fetchall()
    branches = [*json.loads(epochs), [epoch, secrets.token_hex(8)]]
    connection.execute("UPDATE meta SET value = ? WHERE key = 'epochs'", (json.dumps(branches),))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'changes_since'", (epoch,))
