"""The HTTP connection, with the bounds that no app can set: the time to send a request and to take an answer, and how
many connections there are, in all and of one caller.

A caller that sends one byte a second holds a connection without ever becoming a request (slowloris). Here a request
head has a deadline, and when all connections are taken, or all of one caller, the one that has waited longest without a
request makes room. Who does not take an answer, or takes it a byte at a time, is cut off.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.middleware.proxy_headers import _TrustedHosts as TrustedHosts
from uvicorn.protocols.http.h11_impl import H11Protocol

from sosie.server.config import Guard, ServerSettings

__all__ = ["protocol_of"]

_LEAST_SENT = 4096  # bytes that have to leave within the deadline
_ALL = 1 << 62


def protocol_of(settings: ServerSettings) -> type[H11Protocol]:
    """Return the protocol class for uvicorn's ``http`` option."""
    deadline = settings.head_timeout if Guard.DEADLINE in settings.guards else None
    sending = settings.send_timeout if Guard.DEADLINE in settings.guards else None
    most = settings.max_connections if Guard.CONNECTIONS in settings.guards else None
    own = settings.connections_each
    proxies = TrustedHosts(list(settings.trusted_proxies))
    callers: Counter[str] = Counter()

    class BoundedProtocol(H11Protocol):
        """uvicorn's protocol with a deadline on each request head and on each answer, and caps on connections."""

        _timer: asyncio.TimerHandle | None = None
        _send_timer: asyncio.TimerHandle | None = None
        _unsent = 0
        opened = 0.0
        caller = ""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.opened = self.loop.time()
            self.caller = self.client[0] if self.client else ""
            callers[self.caller] += 1
            if most is not None and callers[self.caller] > own and self.caller not in proxies:
                _make_room(self, [c for c in self.connections if getattr(c, "caller", None) == self.caller])
            elif most is not None and len(self.connections) > most:
                _make_room(self, self.connections)
            self._arm()

        def data_received(self, data: bytes) -> None:
            if self._timer is None:  # the next request on a connection that was kept
                self._arm()
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._disarm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            if self._send_timer is not None:
                self._send_timer.cancel()
            callers[self.caller] -= 1
            if not callers[self.caller]:
                del callers[self.caller]
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_sending()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._unsent = _ALL  # much has left: from here on it is watched anew

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch_sending()

        def _watch_sending(self) -> None:
            if sending is not None and self._send_timer is None and (left := self.transport.get_write_buffer_size()):
                self._unsent = left
                self._send_timer = self.loop.call_later(sending, self._check_sending)

        def _check_sending(self) -> None:
            self._send_timer = None
            left = self.transport.get_write_buffer_size()
            if left and left > self._unsent - _LEAST_SENT:
                self.transport.abort()
            else:
                self._watch_sending()

        def _arm(self) -> None:
            if deadline is not None and self.conn.their_state is h11.IDLE:
                self._timer = self.loop.call_later(deadline, self._give_up)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.abort()

    return BoundedProtocol


def _make_room(newcomer: Any, among: Iterable[Any]) -> None:
    """Drop the idle connection among some that was opened first, else the newcomer."""
    idle = [c for c in among if c is not newcomer and _is_idle(c)]
    victim = min(idle, key=lambda c: c.opened) if idle else newcomer
    victim.transport.abort()


def _is_idle(connection: Any) -> bool:
    return bool(connection.conn.their_state is h11.IDLE) and not connection.transport.is_closing()
