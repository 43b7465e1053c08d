"""Pure ASGI middleware that times every request under its route's name."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sosie.server.metrics import Metrics

__all__ = ["Observe"]


class Observe:
    """Count requests and their seconds by method, route and status; a path never becomes a label."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            labels = {"method": _known(scope["method"]), "route": route}
            self._metrics.count("sosie_requests_total", {**labels, "status": str(status)})
            self._metrics.observe("sosie_request_seconds", labels, time.perf_counter() - began)


def _known(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} else "other"
