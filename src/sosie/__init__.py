"""Sosie finds, in your own pictures, the ones that look like a picture, hold the same thing, or are copies of it.

>>> import sosie
>>> lib = sosie.open("my-library")          # doctest: +SKIP
>>> lib.add("photos/")                      # doctest: +SKIP
>>> for hit in lib.search("a.jpg", k=10):   # doctest: +SKIP
...     print(hit.score, hit.verdict, hit.uri)

Importing this module loads nothing but itself; names are imported when they are first used. It sets one variable of the
environment, ``ORT_DISABLE_TELEMETRY``, where that is not set: ONNX Runtime reports to its maker's servers unless it
finds it before it is imported, by whomever, in this process or in one that it starts.
"""

from __future__ import annotations

import os as _os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sosie.client import Client
    from sosie.errors import BadPicture, SosieError
    from sosie.library import Library, open
    from sosie.types import Hit, ImageRef, Picture, SearchResult, Verdict

__version__ = "0.1.0"

_os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # later is too late: it is read at its import

_HOME = {
    "BadPicture": "sosie.errors",
    "Client": "sosie.client",
    "Hit": "sosie.types",
    "ImageRef": "sosie.types",
    "Library": "sosie.library",
    "Picture": "sosie.types",
    "SearchResult": "sosie.types",
    "SosieError": "sosie.errors",
    "Verdict": "sosie.types",
    "open": "sosie.library",
}

__all__ = [
    "BadPicture",
    "Client",
    "Hit",
    "ImageRef",
    "Library",
    "Picture",
    "SearchResult",
    "SosieError",
    "Verdict",
    "open",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'sosie' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
