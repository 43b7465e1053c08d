"""What the page shows of groups of duplicates: each file with what tells it from the one to keep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sosie.copies.review import GroupFile, class_of, files_of
from sosie.present.verdicts import VERDICTS
from sosie.server.places import shown_path, shown_uri
from sosie.server.views import name_of
from sosie.sources.uris import path_of_uri
from sosie.types import Verdict

if TYPE_CHECKING:
    from sosie.copies.duplicates import DuplicateGroup

__all__ = ["cards_of_groups"]

_PRESELECTED = ("bytes", "pixels")  # nothing is lost with these; a person has to look at the others


def cards_of_groups(groups: Sequence[DuplicateGroup], decided: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Return the groups for the template; the files are asked for their dates."""
    return [_group(group, decided) for group in groups]


def _group(group: DuplicateGroup, decided: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    files = files_of(group)
    best = files[0]
    best_facts = _facts(best)
    decisions = {decided.get(_pair(best, file)) for file in files[1:] if file.record.id != best.record.id}
    return {
        "key": best.record.sha256,
        "same": class_of(group),
        "reason": group.reason,
        "decision": next(iter(decisions)) if len(decisions) == 1 else None,
        "files": [_file(file, best_facts, decided.get(_pair(best, file))) for file in files],
    }


def _file(file: GroupFile, best: Mapping[str, Any], decision: str | None) -> dict[str, Any]:
    facts = _facts(file)
    match = file.match
    return {
        "id": file.record.id,
        "uri": shown_uri(file.place.uri),
        "name": name_of(file.place.uri),
        "path": shown_path(file.place.uri),
        "size": file.record.bytes,
        "width": file.record.width,
        "height": file.record.height,
        "match": match,
        "tone": VERDICTS[Verdict(match.verdict)].tone if match else "good",
        "give_up": match is not None and match.same in _PRESELECTED and decision in (None, "same_picture"),
        "decision": decision,
        "facts": [(name, value, match is not None and value != best[name]) for name, value in facts.items()],
    }


def _facts(file: GroupFile) -> dict[str, Any]:
    folder = shown_path(file.place.uri).rpartition("/")[0]
    record = file.record
    return {
        "size": f"{record.width} × {record.height}",
        "bytes": record.bytes,
        "format": record.format,
        "date": _modified(file),
        "folder": folder or "/",
    }


def _modified(file: GroupFile) -> float | None:
    """Return when a file was written to last, in seconds; None for what is no file of this machine."""
    if file.place.state != "there":
        return None
    try:
        return os.stat(path_of_uri(file.place.uri)).st_mtime  # noqa: PTH116 - a path of bytes
    except (OSError, ValueError):
        return None


def _pair(best: GroupFile, file: GroupFile) -> tuple[str, str]:
    low, high = sorted((best.record.sha256, file.record.sha256))
    return low, high
