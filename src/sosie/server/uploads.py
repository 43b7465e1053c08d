"""Uploads: bytes in, and never decoded in this process."""

from __future__ import annotations

from fastapi import UploadFile

from sosie.errors import BadPicture
from sosie.server.previews import Preview
from sosie.server.queries import KeptQuery
from sosie.server.state import State

__all__ = ["look_at", "upload_bytes"]


async def upload_bytes(upload: UploadFile) -> bytes:
    """Return what was sent; raise BadPicture where that is nothing."""
    data = await upload.read()
    if not data:
        raise BadPicture("empty", "the upload has no bytes: choose another file")
    return data


async def look_at(state: State, query: KeptQuery) -> Preview:
    """Return the preview of a kept query; raise BadPicture where it is no picture."""
    return await state.work.run(lambda: state.previews.of(query.token, query.data))
