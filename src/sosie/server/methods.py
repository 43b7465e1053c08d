"""HEAD wherever GET is: the headers of the answer without its body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadAsGet", "is_head"]

_MARK = "sosie.head"


class HeadAsGet:
    """Let the app answer HEAD as it answers GET, and leave the body out.

    The scope itself is changed, and changed back: what stands outside reads the route from it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        scope["method"], scope[_MARK] = "GET", True
        try:
            await self._app(scope, receive, without_body)
        finally:
            scope["method"] = "HEAD"


def is_head(scope: Scope) -> bool:
    """Say whether nobody waits for the body: what is long to send need not be read."""
    return _MARK in scope
