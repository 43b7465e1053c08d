"""An internet of one's own: public addresses that lead to a server on loopback, and a note of every connection.

What is not on this internet is really connected to, so that a guard which is missing shows.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpcore

__all__ = ["SmallInternet"]


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that says it has reached the public address."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, address: tuple[str, int]) -> None:
        self._stream, self._address = stream, address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._address if info == "server_addr" else self._stream.get_extra_info(info)


class SmallInternet(httpcore.AsyncNetworkBackend):
    """Knows ``names`` (host → addresses, or a list of answers in turn) and ``servers`` (address → port of loopback).

    Numbers in every spelling are resolved by the system, as ever. ``connections`` lists who was connected to;
    ``peers`` makes a connection claim another end than was asked for.
    """

    def __init__(
        self,
        *,
        names: Mapping[str, Sequence[str]],
        servers: Mapping[str, int],
        peers: Mapping[str, str] | None = None,
    ) -> None:
        self._names = names
        self._servers = servers
        self._peers = peers or {}
        self._network = httpcore.AnyIOBackend()
        self.connections: list[str] = []
        self.lookups: list[str] = []

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return a host's addresses without asking anybody outside."""
        self.lookups.append(host)
        name = host.rstrip(".").lower()
        if name in self._names:
            return self._names[name]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            # The system's own names need nobody outside either.
            if name != "localhost" and not name.endswith(".localhost"):
                raise
            return ["127.0.0.1", "::1"]
        return [str(entry[4][0]) for entry in found]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connections.append(host)
        if host in self._servers:
            stream = await self._network.connect_tcp("127.0.0.1", self._servers[host], timeout)
            return _Stream(stream, (self._peers.get(host, host), port))
        return await self._network.connect_tcp(host, port, timeout)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)
