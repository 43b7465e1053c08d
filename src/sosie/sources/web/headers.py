"""Read the response headers that say when to come back, and whether to stay away."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

__all__ = ["opted_out", "retry_after"]

_AGENT = "sosie"
_OPT_OUTS = frozenset({"none", "noindex", "noimageindex", "noai", "noimageai"})
# Directives with a value of their own; what stands before any other colon is a user agent.
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def retry_after(value: str | None) -> float:
    """Return the seconds of a Retry-After header, a number or a date; 0 where there is none."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def opted_out(values: Iterable[str]) -> bool:
    """Say whether X-Robots-Tag headers ask us, or everybody, not to index the picture."""
    return any(_asks(value) for value in values)


def _asks(value: str) -> bool:
    agent = ""
    for part in value.lower().split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and name.strip() not in _WITH_VALUE:
            agent, name = name.strip(), rest
        if agent in ("", "*", _AGENT) and name.strip() in _OPT_OUTS:
            return True
    return False
