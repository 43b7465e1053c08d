"""How many pictures, places and vectors a catalogue holds: counted by triggers in the commits that change it.

An older library was never counted: its totals are NULL, which no addition changes, until somebody counts.
"""

from __future__ import annotations

from contextlib import suppress

from sosie.catalogue.database import Database
from sosie.catalogue.records import Space
from sosie.errors import SosieError

__all__ = ["of_space", "recount", "totals"]

_LIVE = "EXISTS (SELECT 1 FROM locations WHERE locations.content_id = contents.id)"
_EMBEDDED = (
    "(SELECT count(*) FROM vectors WHERE space_id = spaces.id AND region_id = 0"
    " AND EXISTS (SELECT 1 FROM locations WHERE locations.content_id = vectors.content_id))"
)
_COUNTED = (
    f"SELECT 'pictures', count(*) FROM contents WHERE {_LIVE}"
    f" UNION ALL SELECT 'bytes', coalesce(sum(bytes), 0) FROM contents WHERE {_LIVE}"
    " UNION ALL SELECT 'locations', count(*) FROM locations"
    f" UNION ALL SELECT 'embedded/' || id, {_EMBEDDED} FROM spaces"
)


def totals(database: Database) -> dict[str, int]:
    """Return how many pictures and places there are, the pictures' bytes, and the vectors of each space."""
    found = dict(database.query("SELECT name, value FROM totals"))
    if found and None not in found.values():
        return found
    if not database.read_only:
        with suppress(SosieError), database.transaction("counting", epoch=False, wait=0) as connection:
            rows = connection.execute(_COUNTED).fetchall()
            connection.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?)", rows)
            return dict(rows)
    return recount(database)


def recount(database: Database) -> dict[str, int]:
    """Return the totals, counted row by row."""
    return dict(database.query(_COUNTED))


def of_space(space: Space) -> str:
    """Return the name of the total of live pictures with a vector in a space of whole pictures."""
    return f"embedded/{space.id}"
