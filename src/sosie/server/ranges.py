"""A part of a file, as the header ``Range`` asks for one (RFC 9110, section 14)."""

from __future__ import annotations

import re

__all__ = ["Unsatisfiable", "byte_range"]

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class Unsatisfiable(Exception):
    """No byte of the file lies in the range."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte that are asked for; None where the whole file answers the header.

    That is so without a header, for other units than bytes, for several ranges at once, and for what is no range.
    Raises Unsatisfiable for a range beyond the end.
    """
    found = _RANGE.fullmatch(header)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:  # so many bytes from the end
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(size - 1, int(last) if last else size - 1)
        if last and int(last) < int(first):
            return None
    if start > end:
        raise Unsatisfiable
    return start, end
