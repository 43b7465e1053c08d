"""Responses that several routes give."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sosie.server.streams import file_pieces

__all__ = ["JPEG", "jpeg_response", "json_response", "original_response"]

# OpenAPI: a JPEG and nothing else.
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A JPEG.", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


_JSON = json.JSONEncoder(allow_nan=False)  # json.dumps would make one for every answer


def json_response(value: Any, status: int = 200) -> Response:
    """Return JSON; a value that JSON has no number for (NaN) is an error, never sent."""
    return Response(_JSON.encode(value), status, media_type="application/json")


def jpeg_response(data: bytes, *, seconds: int = 3600) -> Response:
    """Return a JPEG of our own making, which browsers may keep for a while."""
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": f"private, max-age={seconds}"})


class _FileResponse(StreamingResponse):
    """An open file, which is closed whatever becomes of the answer."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str]) -> None:
        super().__init__(file_pieces(file), media_type="application/octet-stream", headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def original_response(file: BinaryIO, name: str) -> Response:
    """Return somebody's open file as a download, a piece at a time: no browser shows it as a page of this origin."""
    headers = {
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return _FileResponse(file, headers)
