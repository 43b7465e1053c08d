"""What a run left out, as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from sosie.types import LeftOut

__all__ = ["REASONS", "left_out_text"]

REASONS = {
    "unknown_ending": "{count} {ending}",
    "no_ending": "{count} without an ending",
    "pattern": "{count} by --include and --exclude",
    "no_place": "{count} rows without a path or URL",
    "bad_row": "{count} rows that cannot be read",
    "missing": "{count} rows whose files are not there",
}
_SHOWN = 12  # kinds


def left_out_text(left_out: Sequence[LeftOut]) -> str:
    """Return one line of counts, the most frequent first, such as ``3 .dng, 1 without an ending``."""
    parts = [REASONS[each.reason].format(count=each.count, ending=each.ending) for each in left_out[:_SHOWN]]
    rest = sum(each.count for each in left_out[_SHOWN:])
    return ", ".join([*parts, *([f"{rest} others"] if rest else [])])
