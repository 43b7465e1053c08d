"""A copy of a catalogue that others write to meanwhile: SQLite's online backup, looked through before it counts."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from sosie import files
from sosie.catalogue import schema
from sosie.catalogue.places import PLACE_COLUMNS
from sosie.catalogue.records import fields_digest
from sosie.errors import DamagedError, EmptyCatalogue, NotFound

__all__ = ["copy_catalogue", "move_places", "verify_catalogue"]

_PAGES = 4_096  # of one step, between which writers get their turn


def copy_catalogue(source: Path, target: Path) -> None:
    """Copy the catalogue ``source``, its write-ahead log and all, to ``target``; raise DamagedError, NotFound.

    The copy holds every commit that had returned when this was called.
    """
    if not source.exists():
        raise NotFound(f"there is no library at {source.parent}")
    draft = target.with_name(f"{files.DRAFT}{target.name}")
    draft.unlink(missing_ok=True)
    try:
        with contextlib.closing(_opened(source)) as old, contextlib.closing(sqlite3.connect(draft)) as new:
            old.backup(new, pages=_PAGES, sleep=0.01)
            new.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
        verify_catalogue(draft)
        files.publish(draft, target)
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"{source} cannot be copied ({error}): run `sosie doctor`") from error
    finally:
        draft.unlink(missing_ok=True)


def verify_catalogue(path: Path) -> int:
    """Return how many pictures a catalogue holds; raise DamagedError where SQLite finds something wrong with it."""
    if not path.stat().st_size:
        raise EmptyCatalogue(f"{path} is empty")
    try:
        with contextlib.closing(_opened(path)) as connection:
            schema.check_version(connection, str(path))
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            count = int(connection.execute("SELECT count(*) FROM contents").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"{path} is damaged ({error})") from error
    if found != ["ok"]:
        raise DamagedError(f"{path} is damaged ({found[0]})")
    return count


def move_places(path: Path, old: str, new: str) -> int:
    """Let the places whose URI begins with ``old`` begin with ``new``, in a catalogue that nobody uses; count them."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        moved = connection.execute(
            "UPDATE OR REPLACE locations SET uri = ?2 || substr(uri, length(?1) + 1), root = CASE WHEN"
            " substr(root, 1, length(?1)) = ?1 THEN ?2 || substr(root, length(?1) + 1) ELSE root END"
            " WHERE substr(uri, 1, length(?1)) = ?1",
            (old, new),
        )
        connection.create_function("place_digest", 8, fields_digest, deterministic=True)
        connection.execute(
            f"UPDATE locations SET digest = place_digest({PLACE_COLUMNS})"
            " WHERE digest IS NOT NULL AND substr(uri, 1, length(?1)) = ?1",
            (new,),
        )
        if schema.check_version(connection, str(path)) >= schema.COUNTED:
            connection.execute("UPDATE totals SET value = NULL")  # no trigger sees a place that another one replaces
        return moved.rowcount


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
