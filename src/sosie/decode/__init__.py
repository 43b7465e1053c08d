"""Bytes → Picture, with limits; in worker processes that can be killed.

`decode` works in this process, for bytes that are trusted. `DecodePool` works in others, and is what everything that
reads a user's files goes through. Importing this module loads nothing; names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sosie.decode.limits import REASONS, Limits
    from sosie.decode.pixels import FORMATS, decode
    from sosie.decode.pool import DecodePool
    from sosie.decode.worker import only_pixels

__all__ = ["FORMATS", "REASONS", "DecodePool", "Limits", "decode", "only_pixels"]

_HOME = {
    "FORMATS": "pixels",
    "REASONS": "limits",
    "DecodePool": "pool",
    "Limits": "limits",
    "decode": "pixels",
    "only_pixels": "worker",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
