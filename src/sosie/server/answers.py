"""Responses that several routes give."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from sosie.server.methods import is_head
from sosie.server.places import HIDDEN, without_places
from sosie.server.problems import Problem, response_of
from sosie.server.ranges import Unsatisfiable, byte_range
from sosie.server.streams import file_pieces

__all__ = ["JPEG", "NOT_MODIFIED", "jpeg_response", "json_response", "original_response", "record_response"]

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has it (`If-None-Match`)."}}
# OpenAPI: a JPEG and nothing else.
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A JPEG.", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    **NOT_MODIFIED,
}


_JSON = json.JSONEncoder(allow_nan=False)  # json.dumps would make one for every answer


def json_response(value: Any, status: int = 200) -> Response:
    """Return JSON; a value that JSON has no number for (NaN) is an error, never sent."""
    return Response(_encoded(value), status, media_type="application/json")


def record_response(value: Any) -> Response:
    """Return JSON that changes rarely: a caller that has it may ask whether it still holds."""
    return _TaggedResponse(_encoded(value), "application/json", cache="private, no-cache")


def jpeg_response(data: bytes, *, seconds: int = 3600) -> Response:
    """Return a JPEG of our own making, which browsers may keep for a while."""
    return _TaggedResponse(data, "image/jpeg", cache=f"private, max-age={seconds}")


def _encoded(value: Any) -> bytes:
    return _JSON.encode(without_places(value) if HIDDEN.get() else value).encode()


class _TaggedResponse(Response):
    """A body with an entity tag, which is not sent again to who has it."""

    def __init__(self, body: bytes, media_type: str, *, cache: str) -> None:
        self._tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        super().__init__(body, media_type=media_type, headers={"ETag": self._tag, "Cache-Control": cache})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _has(scope, self._tag):
            await _not_modified(self)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _has(scope: Scope, tag: str) -> bool:
    """Say whether the caller has what a tag stands for, by the weak comparison of RFC 9110."""
    asked = Headers(scope=scope).get("if-none-match", "")
    return asked.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in asked.split(",")]


def _not_modified(response: Response) -> Response:
    kept = {name: response.headers[name] for name in ("etag", "cache-control")}
    return Response(status_code=304, headers=kept)


@dataclass(frozen=True, slots=True)
class _Part:
    """Which bytes of a file are sent: ``start`` to ``end``, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


class _FileResponse(StreamingResponse):
    """An open file or a part of it, which is closed whatever becomes of the answer."""

    def __init__(self, file: BinaryIO, tag: str, headers: Mapping[str, str]) -> None:
        self._file, self._tag = file, tag
        self._size = os.fstat(file.fileno()).st_size
        given = {**headers, "ETag": tag, "Accept-Ranges": "bytes", "Content-Length": str(self._size)}
        super().__init__(file_pieces(file), media_type="application/octet-stream", headers=given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(Headers(scope=scope), head=is_head(scope), known=_has(scope, self._tag))(
                scope, receive, send
            )
        finally:
            self._file.close()

    def _answer(self, asked: Headers, *, head: bool, known: bool) -> Any:
        """Return what is sent: nothing but headers, a part, or the whole."""
        if known:
            return _not_modified(self)
        if head:
            return Response(status_code=200, headers=dict(self.headers), media_type=self.media_type)
        if asked.get("if-range", self._tag).strip() != self._tag:
            return super().__call__
        try:
            found = byte_range(asked.get("range", ""), self._size)
        except Unsatisfiable:
            return response_of(self._unsatisfiable())
        if found is not None:
            self._cut(_Part(*found))
        return super().__call__

    def _cut(self, part: _Part) -> None:
        self.status_code = 206
        self.body_iterator = file_pieces(self._file, start=part.start, length=part.length)
        self.headers["Content-Length"] = str(part.length)
        self.headers["Content-Range"] = f"bytes {part.start}-{part.end}/{self._size}"

    def _unsatisfiable(self) -> Problem:
        return Problem(
            416,
            "range_not_satisfiable",
            f"the file has {self._size} bytes, and the range lies beyond its end: ask for less",
            headers={"Content-Range": f"bytes */{self._size}"},
        )


def original_response(file: BinaryIO, name: str, *, sha256: str) -> Response:
    """Return somebody's open file as a download, a piece at a time: no browser shows it as a page of this origin."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
    }
    return _FileResponse(file, f'"{sha256}"', headers)
