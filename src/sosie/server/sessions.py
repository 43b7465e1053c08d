"""Browsers that showed a key, so that a page can be used without sending the key each time."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from sosie.server.keys import Key, KeyStore

__all__ = ["Sessions"]


class Sessions:
    """Browsers that showed a key: a random token each, in memory, for some hours."""

    LIFETIME = 12 * 3600.0
    _MOST = 1024

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def start(self, key: Key) -> str:
        """Return the token of a new session."""
        token = secrets.token_urlsafe(32)
        self._open[token] = (key.id, self._clock() + self.LIFETIME)
        if len(self._open) > self._MOST:
            self._open.popitem(last=False)
        return token

    def end(self, token: str) -> None:
        """Forget a session."""
        self._open.pop(token, None)

    def key(self, token: str, keys: KeyStore) -> Key | None:
        """Return the key that opened a session, unless it has ended or the key was revoked."""
        key_id, until = self._open.get(token, ("", 0.0))
        if self._clock() > until:
            self._open.pop(token, None)
            return None
        return next((key for key in keys.list() if key.id == key_id), None)
