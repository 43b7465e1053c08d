"""Answers that take long to send: event streams, counted for each caller, and files, read a piece at a time."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, BinaryIO

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sosie.server.methods import is_head
from sosie.server.problems import Problem

__all__ = ["BoundedStream", "Pieces", "Streams", "file_pieces", "owner_of"]

PIECE = 256 * 1024


class Streams:
    """Count the event streams that are open: ``each`` for a key or an address, ``most`` in all."""

    def __init__(self, *, each: int, most: int) -> None:
        self._each, self._most = each, most
        self._open: Counter[str] = Counter()

    def check_room(self, owner: str) -> None:
        """Raise Problem 429 where a caller follows too much already, 503 where everybody together does."""
        if self._open[owner] >= self._each:
            raise Problem(
                429,
                "too_many_streams",
                f"{self._each} event streams are open with this key: close one, or ask for the job itself",
                headers={"Retry-After": "5", "Connection": "close"},
            )
        if self._open.total() >= self._most:
            headers = {"Retry-After": "5", "Connection": "close"}
            raise Problem(503, "busy", "too many event streams are open: ask for the job itself", headers=headers)

    def opened(self, owner: str) -> None:
        """Count one more."""
        self._open[owner] += 1

    def closed(self, owner: str) -> None:
        """Count one less."""
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]


class BoundedStream(StreamingResponse):
    """An event stream that is counted from here until it ends, however it ends."""

    def __init__(self, content: AsyncIterator[str], *, streams: Streams, owner: str) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._streams, self._owner = streams, owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_head(scope):
            await Response(headers=dict(self.headers))(scope, receive, send)
            return
        self._streams.opened(self._owner)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.closed(self._owner)


def owner_of(request: Request, cookie: str) -> str:
    """Return whose stream it is: a digest of the key or session that is shown, else the caller's address."""
    shown = request.headers.get("authorization") or request.cookies.get(cookie)
    if shown:
        return hashlib.sha256(shown.encode("utf-8", "surrogateescape")).hexdigest()
    return request.client.host if request.client else ""


async def file_pieces(file: BinaryIO, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
    """Yield an open file, or so many bytes of it, and close it; raise OSError where it was written to meanwhile."""
    loop = asyncio.get_running_loop()
    try:
        before = os.fstat(file.fileno())
        left = before.st_size - start if length is None else length
        file.seek(start)
        while piece := await loop.run_in_executor(None, partial(file.read, min(PIECE, left))):
            left -= len(piece)
            yield piece
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise OSError("the file was written to while it was sent")
    finally:
        file.close()


class Pieces:
    """Send large answers in pieces, each when the one before has left: what is slow to leave can be told."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def piecewise(message: Message) -> None:
            body: Any = message.get("body", b"")
            if message["type"] != "http.response.body" or len(body) <= PIECE:
                await send(message)
                return
            view = memoryview(body)
            for at in range(0, len(view), PIECE):
                more = at + PIECE < len(view) or message.get("more_body", False)
                await send({"type": message["type"], "body": bytes(view[at : at + PIECE]), "more_body": more})

        await self._app(scope, receive, piecewise if scope["type"] == "http" else send)
