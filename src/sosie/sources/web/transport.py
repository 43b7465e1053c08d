"""An httpx transport that can only reach addresses that were checked.

A name is looked up once; all of its addresses are checked; the connection goes to one of those and not to the
name, so that a name which changes between look-ups gains nothing; the peer is checked again. TLS and ``Host``
keep the name. Proxies, Unix sockets and the environment play no part.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any

import httpcore
import httpx

from sosie.errors import BadPicture
from sosie.sources.web.addresses import Address, Internet, check_peer, checked_addresses

__all__ = ["CheckedTransport"]


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, internet: Internet) -> None:
        self._allow_private = internet.allow_private
        self._resolver = internet.resolver
        self._network: httpcore.AsyncNetworkBackend = internet.network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        last: Exception | None = None
        for address in await self._addresses(host, port, timeout):
            try:
                stream = await self._network.connect_tcp(str(address), port, timeout, None, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
                continue
            try:
                peer = stream.get_extra_info("server_addr")
                check_peer(address, peer, host=host, allow_private=self._allow_private)
            except BaseException:
                await stream.aclose()
                raise
            return stream
        raise last or httpcore.ConnectError(f"no address of {host} answers")

    async def _addresses(self, host: str, port: int, seconds: float | None) -> list[Address]:
        try:
            async with asyncio.timeout(seconds):
                texts = await asyncio.to_thread(self._resolver, host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"looking up {host} took too long") from error
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise httpcore.ConnectError(f"looking up {host} failed for now") from error
            raise BadPicture("no_such_host", f"{host} is not known") from error
        except (OSError, UnicodeError) as error:
            raise BadPicture("no_such_host", f"{host} cannot be looked up ({error})") from error
        return checked_addresses(host, texts, allow_private=self._allow_private)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise BadPicture("bad_url", "sockets of this machine are out of bounds")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx over httpcore with a network of our own."""

    def __init__(self, internet: Internet | None = None, *, max_connections: int = 100) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=15.0,
            network_backend=_CheckedNetwork(internet or Internet()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        with _translated(request):
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response, request),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """Return the one context of this process: reading the root certificates takes longer than many a download."""
    return httpx.create_ssl_context(trust_env=False)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated(self._request):
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with suppress(httpcore.NetworkError, httpcore.TimeoutException):
            await self._response.aclose()


_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.TimeoutException, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.NetworkError, httpx.ReadError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
)


class _translated:  # noqa: N801 - reads as a function
    """Turn httpcore's errors into httpx's."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error), request=self._request) from error
