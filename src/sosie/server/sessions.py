"""Browsers that showed a key, so that a page can be used without sending the key each time."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from sosie.server.board import Board, MemoryBoard
from sosie.server.keys import Key, KeyStore

__all__ = ["Sessions"]

_SORT = "session"
_FRESH = 5.0  # seconds for which what was read of a session counts, as with keys


class Sessions:
    """Browsers that showed a key: a random token each, for some hours. Only its digest is kept, as of keys.

    Every server that shares the ``board`` knows them. One that is ended elsewhere ends here within five seconds.
    """

    LIFETIME = 12 * 3600.0
    _MOST = 1024

    def __init__(self, board: Board | None = None, clock: Callable[[], float] = time.time) -> None:
        self._board = board or MemoryBoard()
        self._clock = clock
        self._read: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()

    def start(self, key: Key) -> str:
        """Return the token of a new session; those that have ended, or are too many, are forgotten."""
        token = secrets.token_urlsafe(32)
        self._board.post(_SORT, _digest(token), {"key": key.id, "until": self._clock() + self.LIFETIME})
        posted = self._board.posted(_SORT)
        too_many = len(posted) - self._MOST
        ended = self._clock() - self.LIFETIME
        if gone := [name for nth, (name, at) in enumerate(posted.items()) if nth < too_many or at < ended]:
            self._board.take_down(_SORT, gone)
        return token

    def end(self, token: str) -> None:
        """Forget a session."""
        self._read.pop(_digest(token), None)
        self._board.take_down(_SORT, [_digest(token)])

    def key(self, token: str, keys: KeyStore) -> Key | None:
        """Return the key that opened a session, unless it has ended or the key was revoked."""
        session = self._session(_digest(token)) if token else {}
        if not session or self._clock() > session["until"]:
            return None
        return next((key for key in keys.list() if key.id == session["key"]), None)

    def _session(self, name: str) -> Mapping[str, Any]:
        read_at, known = self._read.get(name, (-_FRESH, {}))
        if time.monotonic() - read_at < _FRESH:
            return known
        found: Mapping[str, Any] = self._board.read(_SORT, [name]).get(name, {})
        self._read.pop(name, None)
        if found:
            self._read[name] = time.monotonic(), found
            while len(self._read) > self._MOST:
                self._read.popitem(last=False)
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
