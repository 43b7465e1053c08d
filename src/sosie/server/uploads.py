"""Uploads: bytes in, and never decoded in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sosie.errors import BadPicture
from sosie.present.text import shorten, visible
from sosie.server.previews import Preview
from sosie.server.problems import Problem
from sosie.server.queries import KeptQuery
from sosie.server.state import State

__all__ = ["fetched", "find_upload", "keep_upload", "look_at", "named_after"]

_QUICK = 1 << 20  # bytes that are digested within a millisecond
_NAME = 120  # characters of a file name that an error repeats


@contextmanager
def named_after(name: str) -> Iterator[None]:
    """Tell what is wrong with a picture by the name of its file, of which nothing but what can be shown is left."""
    try:
        yield
    except BadPicture as error:
        raise (error.named(shorten(visible(name), _NAME)) if name else error) from error


async def fetched(state: State, url: str) -> bytes:
    """Return the picture at a public address; raise Problem 403 where none is fetched, 422 where none is there."""
    if not state.settings.urls:
        raise Problem(403, "urls_forbidden", "this server fetches no addresses: send the picture itself")
    try:
        return await state.remote.fetch(url)
    except BadPicture as error:  # which says nothing of any picture
        raise Problem(422, "bad_address", str(error), reason=error.reason) from error


async def keep_upload(state: State, data: bytes) -> KeptQuery:
    """Keep a picture to search with; raise ServiceAway."""
    if not state.kept.shared and len(data) <= _QUICK:
        return state.kept.keep(data)  # no more than a digest: a thread would take longer
    return await state.light.run(lambda: state.kept.keep(data))


async def find_upload(state: State, token: str) -> KeptQuery:
    """Return a kept query; raise Problem 404 where it was forgotten."""
    return await state.light.run(lambda: state.kept.get(token))


async def look_at(state: State, query: KeptQuery) -> Preview:
    """Return the preview of a kept query; raise BadPicture where it is no picture."""
    return await state.work.run(lambda: state.previews.of(query.token, query.data))
