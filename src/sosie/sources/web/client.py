"""Get one URL that somebody else wrote: safely, within limits, redirects followed by hand."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

import httpx

from sosie.errors import BadPicture
from sosie.sources.web.addresses import Internet
from sosie.sources.web.transport import CheckedTransport

__all__ = ["USER_AGENT", "Limits", "Response", "SafeClient", "checked_url"]

USER_AGENT = "sosie/1 (+https://github.com/sosie-search/sosie)"
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a download may take, in seconds, and how large it may be, in bytes after decompression."""

    connect: float = 10.0
    read: float = 20.0  # between two parts
    total: float = 60.0  # ends a server that drips a byte a second
    max_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """What a server said; ``data`` is empty unless the status is 200."""

    url: str
    status: int
    headers: httpx.Headers
    data: bytes = b""

    @property
    def charset(self) -> str | None:
        """The charset that the server claims for a text."""
        _, _, rest = self.headers.get("Content-Type", "").lower().partition("charset=")
        return rest.split(";")[0].strip(" \"'") or None


class SafeClient:
    """A client on checked addresses, without cookies, credentials, proxies or environment."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        internet: Internet | None = None,
        user_agent: str = USER_AGENT,
        max_connections: int = 100,
    ) -> None:
        self._limits = limits or Limits()
        self._headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"}
        # The transport alone: an httpx.AsyncClient keeps cookies, and reads Location before we can.
        self._transport = CheckedTransport(internet, max_connections=max_connections)
        seconds = self._limits
        self._timeout = {"connect": seconds.connect, "read": seconds.read, "write": seconds.read, "pool": None}

    async def __aenter__(self) -> SafeClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        keep: int | None = None,
        on_redirect: Callable[[str], Awaitable[None]] | None = None,
    ) -> Response:
        """Return what the server says at the end of at most five redirects; with ``keep`` only so many bytes of it.

        ``on_redirect`` is awaited before each further request, and may raise BadPicture to end it.

        Raises BadPicture: ``bad_url``, ``private_address``, ``no_such_host``, ``too_many_redirects``,
        ``too_large``, ``bad_encoding``, ``too_slow``; and httpx.TransportError for what another try may mend.
        """
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._follow(url, headers or {}, keep, on_redirect)
        except TimeoutError as error:
            raise BadPicture("too_slow", f"not done after {self._limits.total:g} s") from error

    async def _follow(
        self,
        url: str,
        headers: Mapping[str, str],
        keep: int | None,
        on_redirect: Callable[[str], Awaitable[None]] | None,
    ) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            parsed = checked_url(url)
            response = await self._transport.handle_async_request(
                httpx.Request(
                    "GET", parsed, headers={**self._headers, **headers}, extensions={"timeout": self._timeout}
                )
            )
            try:
                if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                    data = await self._body(response, keep) if response.status_code == 200 else b""
                    return Response(str(parsed), response.status_code, response.headers, data)
                url = _joined(parsed, response.headers["Location"])
            finally:
                await response.aclose()
            if on_redirect is not None:
                await on_redirect(url)
        raise BadPicture("too_many_redirects", f"more than {MAX_REDIRECTS}")

    async def _body(self, response: httpx.Response, keep: int | None) -> bytes:
        limit = self._limits.max_bytes if keep is None else keep
        claimed = response.headers.get("Content-Length", "")
        if keep is None and claimed.isdecimal() and len(claimed) < 20 and int(claimed) > limit:
            raise BadPicture("too_large", f"{claimed} bytes; the limit is {limit}")
        parts: list[bytes] = []
        size = 0
        async for part in _decompressed(response, limit):
            size += len(part)
            parts.append(part)
            if size > limit and keep is not None:
                break
            if size > limit:
                raise BadPicture("too_large", f"more than {limit} bytes")
        return b"".join(parts)[:limit]


def checked_url(url: str) -> httpx.URL:
    """Return a URL for http or https with a host and without credentials; raise BadPicture ``bad_url``."""
    try:
        parsed = httpx.URL(url.strip())
        host = parsed.host
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise BadPicture("bad_url", f"not a URL: {error}") from error
    if parsed.scheme not in ("http", "https"):
        raise BadPicture("bad_url", f"only http and https are fetched, not {parsed.scheme or 'a bare name'}")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise BadPicture("bad_url", f"no port: {parsed.port}")
    # A zone id names an interface of this very machine.
    if not host.strip(".") or "%" in host or any(char.isspace() for char in host):
        raise BadPicture("bad_url", f"no host that could be asked: {host!r}")
    return parsed.copy_with(username=None, password=None, fragment=None)


def _joined(base: httpx.URL, location: str) -> str:
    try:
        return str(base.join(location))
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise BadPicture("bad_url", f"redirected to no URL: {error}") from error


async def _decompressed(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """Yield the body; at most ``limit`` bytes and one come out of any part, however well it was compressed."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        async for part in response.aiter_raw():
            yield part
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadPicture("bad_encoding", f"Content-Encoding {encoding[:40]!r} was not asked for")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        async for part in response.aiter_raw():
            yield inflater.decompress(part, limit + 1)
            if inflater.unconsumed_tail:
                raise BadPicture("too_large", f"more than {limit} bytes after decompression")
    except zlib.error as error:
        raise BadPicture("bad_encoding", f"damaged {encoding}: {error}") from error
    if not inflater.eof:
        raise BadPicture("truncated", f"the {encoding} stream ends too early")
