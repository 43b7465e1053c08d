"""Pure ASGI middlewares that bound what a request may cost before any of it is believed.

Each wraps the next app and knows nothing else of the server. Connections that never become a request are the
business of ``sosie.server.protocol``; the bounded queue stands in ``sosie.server.work``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sosie.decode.pool import CALLER
from sosie.server.problems import MEDIA_TYPE, document

__all__ = ["HeaderLimits", "Intake", "NameCaller", "RateLimit", "caller_of", "has_body", "refuse"]


async def refuse(send: Send, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer with a problem document and close: what is left of the request is not read."""
    body = document(status, code, detail)
    raw = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **(headers or {})}
    if status in (408, 413, 431):
        raw["connection"] = "close"
    pairs = [(name.lower().encode(), value.encode()) for name, value in raw.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


class _Refused(Exception):
    """Unwinds the app once its request was found to be too much."""


class Intake:
    """Cap the bytes received of a body, whatever its length header says, and the time they may take.

    ``most`` None lifts the cap; ``idle`` and ``total`` None lift the deadlines.
    """

    def __init__(self, app: ASGIApp, *, most: int | None, idle: float | None, total: float | None) -> None:
        self._app, self._most, self._idle, self._total = app, most, idle, total

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._most is not None and _declared(scope) > self._most:
            await refuse(send, 413, "body_too_large", self._too_large())
            return
        await _Exchange(self, receive, send).run(self._app, scope)

    def _too_large(self) -> str:
        return f"the body is larger than {self._most} bytes: send a smaller picture"

    def check(self, received: int) -> tuple[int, str, str] | None:
        if self._most is not None and received > self._most:
            return 413, "body_too_large", self._too_large()
        return None

    def wait(self, elapsed: float) -> float | None:
        left = [self._idle] if self._idle is not None else []
        if self._total is not None:
            left.append(max(self._total - elapsed, 0.0))
        return min(left) if left else None


class _Exchange:
    """One request on its way through ``Intake``."""

    def __init__(self, intake: Intake, receive: Receive, send: Send) -> None:
        self._intake, self._receive, self._send = intake, receive, send
        self._received, self._complete, self._started = 0, False, False
        self._refusal: tuple[int, str, str] | None = None
        self._began = time.monotonic()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        with contextlib.suppress(_Refused):
            await app(scope, self.receive, self.send)
        if self._refusal is not None and not self._started:
            await refuse(self._send, *self._refusal)

    async def receive(self) -> Message:
        if self._refusal is not None:
            raise _Refused
        if self._complete:
            return await self._receive()  # waits for the caller to go away: no deadline on that
        try:
            async with asyncio.timeout(self._intake.wait(time.monotonic() - self._began)):
                message = await self._receive()
        except TimeoutError:
            self._refusal = (408, "too_slow", "the body did not arrive in time: try again")
            raise _Refused from None
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        self._refusal = self._intake.check(self._received)
        if self._refusal is not None:
            raise _Refused
        return message

    async def send(self, message: Message) -> None:
        # An app may turn the unwinding into an answer of its own; ours says what happened.
        if self._refusal is not None and not self._started:
            raise _Refused
        self._started = True
        await self._send(message)


def has_body(scope: Scope) -> bool:
    """Say whether a request brings a body, or may."""
    return _declared(scope) > 0 or any(name == b"transfer-encoding" for name, _ in scope["headers"])


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


class HeaderLimits:
    """Refuse a request with too many header lines, or too much in them."""

    def __init__(self, app: ASGIApp, *, most: int, total: int) -> None:
        self._app, self._most, self._total = app, most, total

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._too_much(scope):
            await refuse(send, 431, "headers_too_large", "the request has too many headers: send fewer")
            return
        await self._app(scope, receive, send)

    def _too_much(self, scope: Scope) -> bool:
        headers = scope["headers"]
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in headers)
        return len(headers) > self._most or size > self._total


class NameCaller:
    """Note in the context of a request from which address it came: decoders and threads are shared out by it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            CALLER.set(caller_of(scope))
        await self._app(scope, receive, send)


def caller_of(scope: Scope) -> str:
    """Return the address that a request came from."""
    return str((scope.get("client") or ("",))[0])


class RateLimit:
    """Let each caller make ``rate`` requests a second, ``burst`` at once (a token bucket for each)."""

    _CALLERS = 4096  # the one seen longest ago is forgotten

    def __init__(self, app: ASGIApp, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._rate, self._burst, self._clock = app, rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            missing = self.take(caller_of(scope))
            if missing > 0:
                wait = {"Retry-After": str(int(missing / self._rate) + 1)}
                await refuse(send, 429, "too_many_requests", "too many requests: wait, then try again", wait)
                return
        await self._app(scope, receive, send)

    def take(self, caller: str) -> float:
        """Take one token; return how much of one was missing."""
        now = self._clock()
        tokens, since = self._buckets.pop(caller, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - since) * self._rate)
        missing = max(0.0, 1.0 - tokens)
        self._buckets[caller] = (tokens if missing else tokens - 1.0, now)
        if len(self._buckets) > self._CALLERS:
            self._buckets.popitem(last=False)
        return missing
