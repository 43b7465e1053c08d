"""An entry of the log in one English sentence, for a terminal and for CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sosie.catalogue.records import LogEntry

__all__ = ["label_text", "sentence"]


def sentence(entry: LogEntry) -> str:
    """Return what was done."""
    detail = entry.detail
    match entry.deed:
        case "label":
            return f"{label_text(detail)} on {_pictures(detail)}"
        case "remove":
            named = ", ".join(str(each.get("uri") or each.get("id")) for each in detail.get("removed", ())[:3])
            return f"{_pictures(detail)} removed: {named}{' …' if detail.get('pictures', 0) > 3 else ''}"
        case "decide":
            note = f" ({detail['note']})" if detail.get("note") else ""
            return f"{detail.get('decision')}: {_short(detail, 'a')} and {_short(detail, 'b')}{note}"
        case "undecide":
            return f"decision taken back: {_short(detail, 'a')} and {_short(detail, 'b')}"
    return ", ".join(f"{name} {value}" for name, value in detail.items())


def label_text(detail: Mapping[str, Any]) -> str:
    """Return the labels of an entry: what was set, and what was taken away."""
    labels = detail.get("labels") or {}
    return ", ".join(f"{name}={_value(value)}" for name, value in labels.items())


def _value(value: Any) -> str:
    if value is None:
        return ""
    return ";".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _pictures(detail: Mapping[str, Any]) -> str:
    count = detail.get("pictures", 0)
    one = (detail.get("ids") or [""])[0]
    return f"picture {one}" if count == 1 and one != "" else f"{count} picture{'' if count == 1 else 's'}"


def _short(detail: Mapping[str, Any], name: str) -> str:
    return str(detail.get(name, ""))[:12]
