"""Pure ASGI middlewares that see every request from its first byte to its last: id, time, count, line in the log."""

from __future__ import annotations

import time

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sosie.catalogue.deeds import ACTOR
from sosie.server.current import CURRENT, HEADER, CurrentRequest, current_request
from sosie.server.limits import caller_of
from sosie.server.logs import AccessLog, Answered
from sosie.server.metrics import Metrics
from sosie.server.problems import Answer

__all__ = ["Observe", "Unexpected"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class _Outgoing:
    """One answer on its way out: its status, and how much of it there is."""

    def __init__(self, send: Send, request: CurrentRequest) -> None:
        self._send, self._header = send, (HEADER, request.id.encode())
        self.status, self.bytes = 500, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], self._header]
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)


class Observe:
    """Give each request its id, and count it and its seconds by method, route and status; a path is never a label."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: AccessLog) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = current_request(scope)
        CURRENT.set(request)
        outgoing = _Outgoing(send, request)
        began = time.perf_counter()
        self._metrics.in_progress += 1
        try:
            await self._app(scope, receive, outgoing.send)
        finally:
            self._metrics.in_progress -= 1
            self._note(scope, request, outgoing, time.perf_counter() - began)

    def _note(self, scope: Scope, request: CurrentRequest, outgoing: _Outgoing, seconds: float) -> None:
        method = request.method if request.method in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "other")
        labels = {"method": method, "route": route}
        self._metrics.count("sosie_requests_total", {**labels, "status": str(outgoing.status)})
        self._metrics.observe("sosie_request_seconds", labels, seconds)
        client, key = caller_of(scope), ACTOR.get().removeprefix("key ")
        self._log.write(
            Answered(
                time.time(), request.id, method, route, outgoing.status, seconds * 1000, outgoing.bytes, client, key
            )
        )


class Unexpected:
    """Answer what nobody handled inside of the guards, so that it has their headers, and is logged once."""

    def __init__(self, app: ASGIApp, *, answer: Answer) -> None:
        self._app, self._answer = app, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise  # what was begun cannot be taken back: the connection is cut
            await (await self._answer(Request(scope), error))(scope, receive, send)
