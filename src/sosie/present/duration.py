"""How long an answer took, and where the time went."""

from __future__ import annotations

from sosie.types import SearchResult

__all__ = ["duration"]

_SHORTEST = 0.05  # ms: a part that took less is left out


def duration(result: SearchResult) -> str:
    """Return milliseconds, and those of the parts that took any: ``23.4 ms: decode 12.1, embed 8.02``."""
    parts = ", ".join(f"{name} {ms:.3g}" for name, ms in result.took.items() if name != "total" and ms >= _SHORTEST)
    return f"{result.took_ms:.3g} ms" + (f": {parts}" if parts else "")
