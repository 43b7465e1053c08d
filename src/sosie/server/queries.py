"""Pictures that were uploaded to search with, kept in memory for a while.

A kept query makes a search shareable by its address, pages by cursor, and lets a box be drawn without sending the
picture again. It is known by its SHA-256, so the same upload is the same query.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from sosie.server.problems import Problem

__all__ = ["KeptQueries", "KeptQuery"]


@dataclass(frozen=True, slots=True)
class KeptQuery:
    """An uploaded picture, and the token that it goes by."""

    token: str
    data: bytes


class KeptQueries:
    """The latest uploads, bounded in number and in bytes. Thread-safe."""

    _MOST_BYTES = 256 << 20

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, KeptQuery] = OrderedDict()
        self._lock = Lock()

    def keep(self, data: bytes) -> KeptQuery:
        """Remember an upload, and forget those used longest ago where there is no room."""
        query = KeptQuery(hashlib.sha256(data).hexdigest(), data)
        with self._lock:
            self._kept.pop(query.token, None)
            self._kept[query.token] = query
            while len(self._kept) > 1 and (len(self._kept) > self._most or self._size() > self._MOST_BYTES):
                self._kept.popitem(last=False)
        return query

    def get(self, token: str) -> KeptQuery:
        """Return a query; raise Problem 404 where it was forgotten."""
        with self._lock:
            if token not in self._kept:
                raise Problem(404, "query_forgotten", "this query is not kept any more: upload it again")
            self._kept.move_to_end(token)
            return self._kept[token]

    def _size(self) -> int:
        return sum(len(query.data) for query in self._kept.values())
