"""When the places of pictures were last seen, and since when they are known to be gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from sosie.catalogue.database import Database
from sosie.catalogue.records import LAST, Place, fields_digest, is_below, row_is_sound
from sosie.errors import DamagedError

__all__ = ["PLACE_COLUMNS", "Places", "place_is_sound"]

PLACE_COLUMNS = "uri, content_id, root, size, mtime_ns, inode, seen_at, gone_at"  # what the digest of a place is of
_WITHOUT_TIMES = 6  # columns that the digest was of before it was of the times, too

_Times: TypeAlias = Callable[[float | None, float | None, float], tuple[float | None, float | None]]
"""From when a place was seen, since when it is gone, and now, to the two as they are to be."""


def place_is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row (``PLACE_COLUMNS``, digest) is what was written; older ones have none, or a lesser one."""
    return row_is_sound(row) or fields_digest(*row[:_WITHOUT_TIMES]) == row[-1]


class Places(Database):
    """Reads and writes what is known of places beside the picture there."""

    def places_of(self, content_id: int) -> list[Place]:
        """Return every place of a picture, those where it is not gone first."""
        rows = self.query(
            f"SELECT {PLACE_COLUMNS}, digest FROM locations WHERE content_id = ? ORDER BY gone_at IS NOT NULL, uri",
            (content_id,),
        )
        for row in rows:
            if not place_is_sound(row):
                raise DamagedError(f"what {self.path} knows of {row[0]} is damaged: run `sosie doctor`")
        return [Place(row[0], row[2], *row[6:8]) for row in rows]

    def locations_below(self, root: str) -> Iterable[str]:
        """Return the URIs below a source's root by path, whatever source they came by, in order."""
        below = (root, root + LAST) if root.endswith("/") else ("", "")
        rows = self.query(
            "SELECT uri, root = ?1 FROM locations WHERE root = ?1 OR (uri > ?2 AND uri < ?3) ORDER BY uri",
            (root, *below),
        )
        return (uri for uri, own in rows if own or is_below(uri, root))

    def roots(self) -> dict[str, tuple[int, int]]:
        """Return how many places were found by each root, and how many of those are gone."""
        rows = self.query("SELECT root, count(*), sum(gone_at IS NOT NULL) FROM locations GROUP BY root ORDER BY root")
        return {root: (count, gone) for root, count, gone in rows}

    def mark_seen(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files were found where they were; ``at`` is in seconds since 1970 (None: now)."""
        self._mark(uris, at, lambda seen, gone, now: (now, None))

    def mark_gone(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files are not there any more. Their pictures are not forgotten: `drop_locations` does that."""
        self._mark(uris, at, lambda seen, gone, now: (seen, now if gone is None else gone))

    def _mark(self, uris: Sequence[str], at: float | None, times: _Times) -> None:
        """Change the times of places; a row that is damaged keeps its digest, and so stays known as such."""
        moment = float(time.time() if at is None else at)
        with self.transaction("noting which files are there") as connection:
            for uri in uris:
                sql = f"SELECT {PLACE_COLUMNS}, digest FROM locations WHERE uri = ?"
                for row in connection.execute(sql, (uri,)).fetchall():
                    changed = times(row[6], row[7], moment)
                    digest = fields_digest(*row[:6], *changed) if row[-1] and place_is_sound(row) else row[-1]
                    connection.execute(
                        "UPDATE locations SET seen_at = ?, gone_at = ?, digest = ? WHERE uri = ?",
                        (*changed, digest, uri),
                    )
