"""File paths as URIs and back, for names made of any bytes."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sosie.errors import UsageError

__all__ = ["MEMBER", "former_place", "path_of_uri", "place_of", "uri_of_path"]

MEMBER = "!/"  # between an archive and its member; ``!`` in a path is percent-encoded, so the mark is unmistakable


def uri_of_path(path: str | bytes | os.PathLike[str]) -> str:
    """Return the ``file:`` URI of an absolute path; every byte that is not plain is percent-encoded."""
    raw = os.fsencode(path)
    if os.sep == "\\":
        raw = raw.replace(b"\\", b"/")
    return "file://" + ("" if raw.startswith(b"/") else "/") + quote_from_bytes(raw, safe="/:")


def place_of(path: str | os.PathLike[str]) -> str:
    """Return the URI that a person's path, or URI, stands for."""
    text = os.fspath(path)
    return text if "://" in text else uri_of_path(os.path.abspath(text))  # noqa: PTH100 - links stay as they are


def path_of_uri(uri: str) -> bytes:
    """Return the path that a ``file:`` URI stands for; raise UsageError for any other URI."""
    if not uri.startswith("file:///"):
        raise UsageError(f"{uri!r} is not a file URI; expected file:///…")
    raw = unquote_to_bytes(uri[len("file://") :])
    if os.sep == "\\" and raw[2:3] == b":":
        raw = raw[1:]
    return raw


def former_place(url: str, sha256: bytes) -> str:
    """Return the place of a picture that a URL gave once, and that it gives no more."""
    return f"{url}#was={sha256.hex()[:16]}"
