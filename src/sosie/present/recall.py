"""A measured recall as people read it: with its interval, one-sided where all that was looked for was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["WHOSE", "recall_text"]

WHOSE = "measured with pictures of the library; others, less like them, may find less"


def recall_text(index: Mapping[str, Any]) -> str:
    """Return the recall of an index's description, such as ``0.962 [0.951, 0.973]`` or ``1.000 (≥ 0.990)``."""
    recall, interval = index.get("recall"), index.get("recall_interval")
    if not isinstance(recall, float):
        return "not measured"
    return f"{recall:.3f}{_spread(recall, interval)}"


def _spread(recall: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" (≥ {low:.3f})" if recall >= 1 else f" [{low:.3f}, {high:.3f}]"
