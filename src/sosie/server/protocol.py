"""The HTTP connection, with the two bounds that no app can set: the time to send a request, and how many there are.

A caller that sends one byte a second holds a connection without ever becoming a request (slowloris). Here a request
head has a deadline, and when all connections are taken, the one that has waited longest without a request makes room.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sosie.server.config import Guard, ServerSettings

__all__ = ["protocol_of"]


def protocol_of(settings: ServerSettings) -> type[H11Protocol]:
    """Return the protocol class for uvicorn's ``http`` option."""
    deadline = settings.head_timeout if Guard.DEADLINE in settings.guards else None
    most = settings.max_connections if Guard.CONNECTIONS in settings.guards else None

    class BoundedProtocol(H11Protocol):
        """uvicorn's protocol with a deadline on each request head and a cap on connections."""

        _timer: asyncio.TimerHandle | None = None
        opened = 0.0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.opened = self.loop.time()
            if most is not None and len(self.connections) > most:
                _make_room(self)
            self._arm()

        def data_received(self, data: bytes) -> None:
            if self._timer is None:  # the next request on a connection that was kept
                self._arm()
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._disarm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

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


def _make_room(newcomer: Any) -> None:
    """Drop the idle connection that was opened first, else the newcomer."""
    idle = [c for c in newcomer.connections if c is not newcomer and _is_idle(c)]
    victim = min(idle, key=lambda c: c.opened) if idle else newcomer
    victim.transport.abort()


def _is_idle(connection: Any) -> bool:
    return bool(connection.conn.their_state is h11.IDLE) and not connection.transport.is_closing()
