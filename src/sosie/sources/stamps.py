"""Stamps of files and archive members, by which an unchanged one is known, whatever a file system claims."""

from __future__ import annotations

import math
import os

from sosie.sources.uris import MEMBER, path_of_uri
from sosie.types import ImageRef

__all__ = ["nanoseconds", "stamped"]


def nanoseconds(seconds: float) -> int | None:
    """Return a time in nanoseconds since 1970; None where it is no number, the ends of 64 bits where it is infinite."""
    if isinstance(seconds, int):  # exact: a float has 53 bits
        return seconds * 1_000_000_000
    if math.isnan(seconds):
        return None
    scaled = seconds * 1e9
    return int(scaled) if math.isfinite(scaled) else int(math.copysign(1 << 63, scaled))


def stamped(uri: str) -> ImageRef:
    """Return the reference of a place, of a file with the stamp that it has now."""
    if uri.startswith("file://") and MEMBER not in uri:
        try:
            found = os.stat(path_of_uri(uri))  # noqa: PTH116 - a path of bytes
        except OSError:
            return ImageRef(uri)
        return ImageRef(uri, {}, found.st_size, found.st_mtime_ns, found.st_ino)
    return ImageRef(uri)
