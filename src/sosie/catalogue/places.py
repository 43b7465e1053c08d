"""When the places of pictures were last seen, and since when they are known to be gone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from sosie.catalogue.database import Database
from sosie.catalogue.records import LAST, Place, fields_digest, is_below

__all__ = ["PLACE_COLUMNS", "Places", "place_is_sound"]

PLACE_COLUMNS = "uri, content_id, root, size, mtime_ns, inode"  # what the digest of a place is of


def place_is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row (``PLACE_COLUMNS``, digest) is what was written; older ones have no digest."""
    return row[6] is None or bool(fields_digest(*row[:6]) == row[6])


class Places(Database):
    """Reads and writes what is known of places beside the picture there."""

    def places_of(self, content_id: int) -> list[Place]:
        """Return every place of a picture, those where it is not gone first."""
        rows = self.query(
            "SELECT uri, root, seen_at, gone_at FROM locations WHERE content_id = ? ORDER BY gone_at IS NOT NULL, uri",
            (content_id,),
        )
        return [Place(*row) for row in rows]

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
        self._mark("seen_at = ?, gone_at = NULL", uris, at)

    def mark_gone(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files are not there any more. Their pictures are not forgotten: `drop_locations` does that."""
        self._mark("gone_at = coalesce(gone_at, ?)", uris, at)

    def _mark(self, change: str, uris: Sequence[str], at: float | None) -> None:
        moment = time.time() if at is None else at
        with self.transaction("noting which files are there") as connection:
            connection.executemany(f"UPDATE locations SET {change} WHERE uri = ?", [(moment, uri) for uri in uris])
