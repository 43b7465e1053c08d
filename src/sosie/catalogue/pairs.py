"""Verdicts of pairs of pictures, kept so that none is judged twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence

from sosie.catalogue.database import Database
from sosie.catalogue.records import PairVerdict, digest_of
from sosie.errors import UsageError

__all__ = ["Pairs", "check_pair"]

_BLOCK = 200  # pairs of one question


class Pairs(Database):
    """Reads and writes what judges found of pairs."""

    def pairs(self, keys: Iterable[tuple[bytes, bytes]], *, judge: str) -> dict[tuple[bytes, bytes], PairVerdict]:
        """Return those of some pairs, each in the order of its digests, that this judge has judged.

        A row that is damaged is left out: the pair is judged again.
        """
        wanted = list(keys)
        found = (self._some(wanted[at : at + _BLOCK], judge) for at in range(0, len(wanted), _BLOCK))
        return {(pair.a, pair.b): pair for some in found for pair in some}

    def _some(self, keys: Sequence[tuple[bytes, bytes]], judge: str) -> list[PairVerdict]:
        marks = ", ".join(["(?, ?)"] * len(keys))
        rows = self.query(
            f"WITH wanted (a, b) AS (VALUES {marks}) SELECT a, b, judge, verdict, probability, evidence, at, digest"
            " FROM wanted CROSS JOIN pairs USING (a, b) WHERE judge = ?",
            (*(digest for key in keys for digest in key), judge),
        )
        sound = (row[:-1] for row in rows if _digest(*row[:-1]) == row[-1])
        return [PairVerdict(a, b, judge, verdict, p, json.loads(e), at) for a, b, judge, verdict, p, e, at in sound]

    def put_pairs(self, pairs: Sequence[PairVerdict]) -> None:
        """Store verdicts, in the place of what the same judge said of the same pairs; raise UsageError for a > b."""
        now, rows = time.time(), []
        for pair in pairs:
            check_pair(pair)
            evidence = json.dumps(dict(pair.evidence))
            rows.append((pair.a, pair.b, pair.judge, pair.verdict, pair.probability, evidence, pair.at or now))
        with self.transaction("storing verdicts of pairs", epoch=False) as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO pairs (a, b, judge, verdict, probability, evidence, at, digest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(*row, _digest(*row)) for row in rows],
            )


def check_pair(pair: PairVerdict) -> None:
    """Raise UsageError where a pair is not in the order of its digests: its verdict would be read the wrong way."""
    if not pair.a < pair.b:
        raise UsageError("a pair is stored in the order of its digests, and of two different pictures")


def _digest(*fields: object) -> bytes:
    return digest_of(repr(fields).encode("utf-8", "surrogatepass"))
