"""Times of files and archive members as integers, whatever a file system or an archive claims."""

from __future__ import annotations

import math

__all__ = ["nanoseconds"]


def nanoseconds(seconds: float) -> int | None:
    """Return a time in nanoseconds since 1970; None where it is no number, the ends of 64 bits where it is infinite."""
    if isinstance(seconds, int):  # exact: a float has 53 bits
        return seconds * 1_000_000_000
    if math.isnan(seconds):
        return None
    scaled = seconds * 1e9
    return int(scaled) if math.isfinite(scaled) else int(math.copysign(1 << 63, scaled))
