"""Where files lie on the server's disks: for those who may change the library, not for those who may only look."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from sosie.present.text import display_path

__all__ = ["HIDDEN", "shown_path", "shown_uri", "without_places"]

HIDDEN: ContextVar[bool] = ContextVar("places_hidden", default=False)  # set by whoever checks the key of a request
_LOCAL = re.compile(r"""(?:[\w+.-]+:)*file://[^\s,;)"']*""")
_URN = "urn:sosie:file:"


def shown_uri(uri: str) -> str:
    """Return a place as the caller may see it: of a local file its name alone, where places are hidden."""
    return _named(uri) if HIDDEN.get() and _LOCAL.fullmatch(uri) else uri


def shown_path(uri: str) -> str:
    """Return a place as people write it, as far as the caller may see it."""
    path = display_path(uri)
    return path.rstrip("/").rsplit("/", 1)[-1] if HIDDEN.get() and _LOCAL.fullmatch(uri) else path


def without_places(value: Any) -> Any:
    """Return a JSON document with the place of every local file, wherever it stands, cut down to the file's name."""
    if isinstance(value, str):
        return _LOCAL.sub(lambda found: _named(found[0]), value) if "file://" in value else value
    if isinstance(value, dict):
        return {name: without_places(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(each) for each in value]
    return value


def _named(uri: str) -> str:
    return _URN + uri.rstrip("/").rsplit("/", 1)[-1]
