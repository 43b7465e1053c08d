"""What people said of pairs of pictures, kept by content so that it outlives indexes, models and file names."""

from __future__ import annotations

import time

from sosie.catalogue.database import Database
from sosie.catalogue.records import Decision
from sosie.errors import UsageError

__all__ = ["DECISIONS", "Decisions", "ordered_pair"]

DECISIONS = ("not_a_copy", "same_picture", "keep_both")


class Decisions(Database):
    """Reads and writes decisions about pairs."""

    def put_decision(self, a: str, b: str, decision: str, *, note: str = "", at: float | None = None) -> None:
        """Store a decision about two pictures, given by the hex SHA-256 of their bytes; the last one counts.

        ``at`` is when it was made, in seconds since 1970 (None: now).
        """
        if decision not in DECISIONS:
            raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {decision!r}")
        with self.transaction("storing a decision") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO decisions (a, b, decision, note, at) VALUES (?, ?, ?, ?, ?)",
                (*ordered_pair(a, b), decision, note, at or time.time()),
            )

    def drop_decision(self, a: str, b: str) -> bool:
        """Take a decision back; tell whether there was one."""
        with self.transaction("undoing a decision") as connection:
            cursor = connection.execute("DELETE FROM decisions WHERE a = ? AND b = ?", ordered_pair(a, b))
            return bool(cursor.rowcount)

    def decisions(self) -> list[Decision]:
        """Return every decision, oldest first."""
        rows = self.query("SELECT a, b, decision, note, at FROM decisions ORDER BY at, a, b")
        return [Decision(a.hex(), b.hex(), *rest) for a, b, *rest in rows]


def ordered_pair(a: str, b: str) -> tuple[bytes, bytes]:
    """Return two digests, given in hex, in their order; raise UsageError where they are one."""
    if a == b:
        raise UsageError("a decision is about two different pictures")
    low, high = sorted((bytes.fromhex(a), bytes.fromhex(b)))
    return low, high
