"""What people said of pairs of pictures, kept by content so that it outlives indexes, models and file names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sosie.catalogue.database import Database
from sosie.catalogue.deeds import insert_deed
from sosie.catalogue.records import Decision, fields_digest
from sosie.errors import DamagedError, UsageError

__all__ = ["DECISIONS", "Decisions", "decision_is_sound", "ordered_pair"]

DECISIONS = ("not_a_copy", "same_picture", "keep_both")


class Decisions(Database):
    """Reads and writes decisions about pairs."""

    def put_decision(self, a: str, b: str, decision: str, *, note: str = "", at: float | None = None) -> None:
        """Store a decision about two pictures, given by the hex SHA-256 of their bytes; the last one counts.

        ``at`` is when it was made, in seconds since 1970 (None: now).
        """
        if decision not in DECISIONS:
            raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {decision!r}")
        row = (*ordered_pair(a, b), decision, note, float(at or time.time()))
        with self.transaction("storing a decision") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO decisions (a, b, decision, note, at, digest) VALUES (?, ?, ?, ?, ?, ?)",
                (*row, fields_digest(*row)),
            )
            insert_deed(
                connection, "decide", {"a": row[0].hex(), "b": row[1].hex(), "decision": decision, "note": note}
            )

    def drop_decision(self, a: str, b: str) -> bool:
        """Take a decision back; tell whether there was one."""
        with self.transaction("undoing a decision") as connection:
            cursor = connection.execute("DELETE FROM decisions WHERE a = ? AND b = ?", ordered_pair(a, b))
            if cursor.rowcount:
                insert_deed(connection, "undecide", dict(zip("ab", sorted((a, b)), strict=True)))
            return bool(cursor.rowcount)

    def decisions(self) -> list[Decision]:
        """Return every decision, oldest first."""
        rows = self.query("SELECT a, b, decision, note, at, digest FROM decisions ORDER BY at, a, b")
        for row in rows:
            if not decision_is_sound(row):
                raise DamagedError(f"a decision in {self.path} is damaged: run `sosie doctor`")
        return [Decision(a.hex(), b.hex(), decision, note, at) for a, b, decision, note, at, _ in rows]


def decision_is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row (a, b, decision, note, at, digest) is what was written; older ones have no digest."""
    return row[5] is None or bool(fields_digest(*row[:5]) == row[5])


def ordered_pair(a: str, b: str) -> tuple[bytes, bytes]:
    """Return two digests, given in hex, in their order; raise UsageError where they are one."""
    if a == b:
        raise UsageError("a decision is about two different pictures")
    low, high = sorted((bytes.fromhex(a), bytes.fromhex(b)))
    return low, high
