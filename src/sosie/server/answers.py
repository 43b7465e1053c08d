"""Responses that several routes give."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from fastapi import Response

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


def original_response(data: bytes, name: str) -> Response:
    """Return somebody's file as a download: no browser shows it as a page of this origin."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return Response(data, media_type="application/octet-stream", headers=headers)
