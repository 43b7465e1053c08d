"""Texts of answers in gzip for callers that take it; pictures are compressed already."""

from __future__ import annotations

import asyncio
import zlib
from functools import partial
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Compress", "takes_gzip"]

# No pages: they are the only answers that could hold a secret beside a text of somebody else's (BREACH).
_TEXTS = frozenset({"application/json", "text/csv", "text/css", "text/javascript", "text/plain", "image/svg+xml"})
_LEAST = 1024  # bytes; less fits into a packet
_LONG = 128 * 1024  # bytes that take the event loop a millisecond or more


class Compress:
    """Compress answers that are texts and come in one piece; streams are left as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = takes_gzip(Headers(scope=scope).get("accept-encoding", ""))
        await self._app(scope, receive, _Outgoing(send, wanted=wanted).send)


class _Outgoing:
    """One answer on its way out."""

    def __init__(self, send: Send, *, wanted: bool) -> None:
        self._send, self._wanted = send, wanted
        self._start: Message | None = None  # of a text, until its body comes

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_text(message):
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            message = await self._fitted(MutableHeaders(raw=start["headers"]), message)
            await self._send(start)
        await self._send(message)

    async def _fitted(self, headers: MutableHeaders, message: Message) -> Message:
        """Return the body as it is sent, and make the headers say so."""
        headers.add_vary_header("Accept-Encoding")
        body: Any = message.get("body", b"")
        if not self._wanted or message.get("more_body", False) or len(body) < _LEAST:
            return message
        squeezed = await asyncio.to_thread(_gzip, body) if len(body) >= _LONG else _gzip(body)
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(squeezed))
        if "etag" in headers:
            headers["ETag"] = f"W/{headers['etag'].removeprefix('W/')}"  # other bytes, the same content
        return {**message, "body": squeezed}


def takes_gzip(accepted: str) -> bool:
    """Say whether a header ``Accept-Encoding`` allows gzip: by name, or by ``*``, and not with a weight of 0."""
    weights = dict(map(_weight, accepted.lower().split(",")))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(entry: str) -> tuple[str, float]:
    name, _, parameter = entry.partition(";")
    _, mark, value = parameter.partition("=")
    try:
        return name.strip(), float(value) if mark else 1.0
    except ValueError:
        return name.strip(), 0.0


def _is_text(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in _TEXTS and start["status"] == 200 and "content-encoding" not in headers


_gzip = partial(zlib.compress, level=1, wbits=zlib.MAX_WBITS | 16)  # more would cost more than the network saves
