"""How long an answer took, and where the time went."""

from __future__ import annotations

from sosie.types import SearchResult

__all__ = ["duration", "milliseconds"]

_SHORTEST = 0.05  # ms: a part that took less is left out


def duration(result: SearchResult) -> str:
    """Return milliseconds, and those of the parts that took any: ``23.4 ms: decode 12.1, embed 8.02``."""
    parts = ", ".join(
        f"{name} {milliseconds(ms)}" for name, ms in result.took.items() if name != "total" and ms >= _SHORTEST
    )
    return f"{milliseconds(result.took_ms)} ms" + (f": {parts}" if parts else "")


def milliseconds(value: float) -> str:
    """Return three digits, all digits of what is longer than a second: ``0.05``, ``23.4``, ``3670``."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
