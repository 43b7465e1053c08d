"""Which pictures meet a condition, as bitmaps that are kept and follow the commits.

A comparison is one read of an index of SQLite. What few pictures meet is never joined with what many do: the whole
condition is looked up for these few. A bitmap that was made once is grown by the pictures that changed since. No query
goes through all pictures, but for the first by a field that has no index, such as ``width``.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from sosie.arrays import Bits
from sosie.catalogue.changes import Changes, Moment
from sosie.catalogue.database import Database
from sosie.catalogue.where import All, Any_, Compare, Compiled, Expression, Not, Present, selects
from sosie.types import Ids

__all__ = ["Selection"]

_LIVE = "EXISTS (SELECT 1 FROM locations WHERE locations.content_id = contents.id)"
_FEW = 4096  # pictures that are looked up one by one
_MANY = 20_000  # changes, after which a bitmap is read anew
_ROOM = 64 * 2**20  # bytes of bitmaps that are kept

_Key: TypeAlias = tuple[str, Expression | None]
_Sql: TypeAlias = tuple[str, Sequence[object]]  # a condition over contents, and its parameters
_Read: TypeAlias = Callable[[], Bits]


class Selection:
    """Keeps bitmaps of a catalogue's pictures. Thread-safe."""

    def __init__(self, database: Database, commits: Changes) -> None:
        self._database, self._commits = database, commits
        self._kept: OrderedDict[_Key, tuple[Moment, Bits]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, condition: Compiled) -> Bits:
        """Return the live pictures that meet a condition."""
        sql, parameters = condition.of_each
        with self._lock, self._commits.at_one_moment() as now:
            whole = (f"{_LIVE} AND ({sql})", parameters)
            return self._following(
                ("live", condition.expression), now, whole, lambda: self._read(condition.expression, whole, now)
            )

    # -------------------------------------------------------------------------------------------- following

    def _following(self, key: _Key, now: Moment, sql: _Sql, read: _Read) -> Bits:
        """Return a bitmap that is kept, grown by what changed; one that is not there is read."""
        known = self._kept.pop(key, None)
        changed = None if known is None else self._commits.pictures(known[0])
        if known is None or changed is None or len(changed) > _MANY:
            bits = read()
        else:
            bits = known[1].changed(changed, self._meeting(changed, sql)) if len(changed) else known[1]
        self._kept[key] = (now, bits)
        while len(self._kept) > 1 and sum(each.packed.nbytes for _, each in self._kept.values()) > _ROOM:
            self._kept.popitem(last=False)
        return bits

    def _meeting(self, ids: Ids, sql: _Sql) -> Ids:
        """Return those of some pictures that meet a condition."""
        condition, parameters = sql
        found = self._database.query(
            f"SELECT id FROM contents WHERE id IN (SELECT value FROM json_each(?)) AND ({condition})",
            (json.dumps(ids.tolist()), *parameters),
        )
        return _ids(found)

    # -------------------------------------------------------------------------------------------- reading

    def _read(self, expression: Expression, whole: _Sql, now: Moment) -> Bits:
        few = self._few(expression, now)
        if few is not None:
            return Bits.of(self._meeting(few, whole))
        return self._live(now) & self._bits(expression, now)

    def _few(self, expression: Expression, now: Moment) -> Ids | None:
        """Return few pictures among which are all that meet an expression; None where it has no such part."""
        for term in sorted(_needed(expression), key=lambda each: each.field.built_in):
            if self._is_kept(term):
                bits = self._bits(term, now)
                found = bits.ids if len(bits) <= _FEW else None
            else:
                found = self._select(term, limit=_FEW + 1)
            if found is not None and len(found) <= _FEW:
                return np.unique(found)
        return None

    def _is_kept(self, term: Compare | Present) -> bool:
        return ("all", term) in self._kept

    def _bits(self, expression: Expression, now: Moment) -> Bits:
        """Return pictures, live or not, of which the live ones are those that meet an expression."""
        match expression:
            case Not(term):
                return self._live(now) - self._bits(term, now)
            case All(terms):
                found = self._bits(terms[0], now)
                for term in terms[1:]:
                    found = found & self._bits(term, now)
                return found
            case Any_(terms):
                found = self._bits(terms[0], now)
                for term in terms[1:]:
                    found = found | self._bits(term, now)
                return found
            case Compare() | Present():
                return self._following(
                    ("all", expression), now, Compiled(expression).of_each, lambda: Bits.of(self._select(expression))
                )

    def _live(self, now: Moment) -> Bits:
        return self._following(
            ("all", None),
            now,
            (_LIVE, ()),
            lambda: Bits.of(_ids(self._database.query("SELECT content_id FROM locations"))),
        )

    def _select(self, term: Compare | Present, *, limit: int = -1) -> Ids:
        """Return pictures that meet a comparison, perhaps twice, and at most ``limit`` of each of its kinds."""
        parts = [self._database.query(f"{sql} LIMIT {limit}", parameters) for sql, parameters in selects(term)]
        return np.concatenate([_ids(rows) for rows in parts])


def _needed(expression: Expression) -> Iterator[Compare | Present]:
    """Yield comparisons that whatever meets an expression meets."""
    match expression:
        case All(terms):
            for term in terms:
                yield from _needed(term)
        case Compare() | Present():
            yield expression


def _ids(rows: Sequence[tuple[int]]) -> Ids:
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))
