"""Pictures that were uploaded to search with, kept for a while: in memory, and for all servers on the board they share.

A kept query makes a search shareable by its address, pages by cursor, and lets a box be drawn without sending the
picture again. It is known by its SHA-256, so the same upload is the same query.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from sosie.server.board import Board
from sosie.server.problems import Problem

__all__ = ["KeptQueries", "KeptQuery"]

_SORT = "query"


@dataclass(frozen=True, slots=True)
class KeptQuery:
    """An uploaded picture, and the token that it goes by."""

    token: str
    data: bytes


class KeptQueries:
    """The latest uploads, bounded in number and in bytes. Thread-safe.

    Those of other servers are read from the ``board`` and remembered; without one there are none. Uploads larger than
    16 MiB are not shared: a browser that is sent to another server with one is asked to upload it again.
    """

    _MOST_BYTES = 256 << 20
    _MOST_SHARED = 16 << 20

    def __init__(self, most: int, board: Board | None = None) -> None:
        self._most, self._board = most, board
        self._kept: OrderedDict[str, KeptQuery] = OrderedDict()
        self._lock = Lock()

    @property
    def shared(self) -> bool:
        """Whether other servers know of these queries, too: keeping one asks a service."""
        return self._board is not None

    def keep(self, data: bytes) -> KeptQuery:
        """Remember an upload, and forget those used longest ago where there is no room; raise ServiceAway."""
        query = KeptQuery(hashlib.sha256(data).hexdigest(), data)
        if self._board is not None and query.token not in self._kept and len(data) <= self._MOST_SHARED:
            self._board.post(_SORT, query.token, base64.b64encode(data).decode("ascii"))
            self._board.take_down(_SORT, list(self._board.posted(_SORT))[: -self._most])
        return self._remember(query)

    def get(self, token: str) -> KeptQuery:
        """Return a query; raise Problem 404 where it was forgotten, or ServiceAway."""
        with self._lock:
            if token in self._kept:
                self._kept.move_to_end(token)
                return self._kept[token]
        shared = {} if self._board is None else self._board.read(_SORT, [token])
        if token not in shared:
            raise Problem(404, "query_forgotten", "this query is not kept any more: upload it again")
        return self._remember(KeptQuery(token, base64.b64decode(shared[token])))

    def _remember(self, query: KeptQuery) -> KeptQuery:
        with self._lock:
            self._kept.pop(query.token, None)
            self._kept[query.token] = query
            while len(self._kept) > 1 and (len(self._kept) > self._most or self._size() > self._MOST_BYTES):
                self._kept.popitem(last=False)
        return query

    def _size(self) -> int:
        return sum(len(query.data) for query in self._kept.values())
