"""Pure ASGI middlewares against pages elsewhere that call this server through somebody's browser.

``HostGuard`` stops DNS rebinding, ``OriginGuard`` requests across sites, ``SecureHeaders`` tells browsers to keep
answers to this origin and to run nothing but the page's own files.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sosie.server.config import LOCAL_NAMES
from sosie.server.limits import refuse

__all__ = ["CSP", "HostGuard", "OriginGuard", "PublicScheme", "SecureHeaders", "host_of"]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


_PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_RAW = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class HostGuard:
    """Refuse a request whose Host header names another machine, as after DNS rebinding."""

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and host_of(scope) not in self._allowed and not _is_probe(scope):
            await refuse(send, 421, "foreign_host", "this server has another name: add it with --allow-host NAME")
            return
        await self._app(scope, receive, send)


class OriginGuard:
    """Refuse what a page of another origin asks for, except to be followed as a link.

    Relies on ``Origin`` and on ``Sec-Fetch-Site``, which browsers set and pages cannot; a caller that is no
    browser sends neither. Another port of the same host is another origin.
    """

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._foreign(scope):
            await refuse(
                send, 403, "foreign_origin", "a page of another site may not call this server (--allow-origin)"
            )
            return
        await self._app(scope, receive, send)

    def _foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None:
            own = f"{scope['scheme']}://{headers.get('host', '')}"
            return origin not in (own, *self._allowed) and not _lost_its_port(origin, headers)
        site = headers.get("sec-fetch-site", "none")
        followed = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        link = followed and headers.get("sec-fetch-dest") == "document" and not _is_api(scope)
        return site not in ("none", "same-origin") and not link


class PublicScheme:
    """Give requests under the public name the scheme of the public address, which the proxy may not tell."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        self._app, self._url = app, urlsplit(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and host_of(scope) == self._url.hostname:
            scope["scheme"] = self._url.scheme  # in place: what stands outside reads the route from this scope
        await self._app(scope, receive, send)


def host_of(scope: Scope) -> str:
    """Return the name in the Host header, lower case, without the port."""
    return _without_port(Headers(scope=scope).get("host", ""))


class SecureHeaders:
    """Add the headers that keep a browser careful to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _RAW if pair[0] not in given)]
            await send(message)

        await self._app(scope, receive, careful)


def _is_probe(scope: Scope) -> bool:
    """Say whether a monitor asks by an address how the server is, as Kubernetes and Prometheus ask a pod.

    That is safe: DNS rebinding needs a name, which a page keeps in its origin and so in the Host header.
    """
    if scope["path"] not in _PROBES or scope["method"] not in ("GET", "HEAD"):
        return False
    try:
        ipaddress.ip_address(host_of(scope).strip("[]"))
    except ValueError:
        return False
    return True


def _lost_its_port(origin: str, headers: Headers) -> bool:
    """Say whether a page of this machine asks its own server, and a proxy has left out the port of the Host header.

    Every browser tells on loopback, by ``Sec-Fetch-Site``, where another port is asked.
    """
    host = headers.get("host", "").lower()
    page = urlsplit(origin)
    same = host in LOCAL_NAMES and page.scheme == "http" and _without_port(page.netloc) == host
    return same and headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _is_api(scope: Scope) -> bool:
    return str(scope["path"]).startswith("/api/")


def _without_port(host: str) -> str:
    """Return the name of a Host header in lower case: ``[::1]:80`` is ``[::1]``."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
