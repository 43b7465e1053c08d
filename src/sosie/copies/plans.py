"""What could be done to duplicates, as a list of lines that a person can read, edit by taking lines out, and apply.

A line is written only where, at that moment, both files are there with the bytes that the library knows, and where
giving up the one for the other loses nothing: never the last copy, never an animation for a still, never a larger
picture for a smaller one. What is not proposed is named with its reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sosie import files
from sosie.catalogue import PictureRecord
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport, Match
from sosie.copies.frames import frames_in
from sosie.copies.places import Place, distinct_files, local_path
from sosie.errors import BadPicture, DamagedError, NotFound, UsageError
from sosie.sources.files import read_regular_file

__all__ = ["ACTIONS", "Line", "Plan", "Refusal", "line_of", "make_plan", "read_plan", "regular_file", "write_plan"]

ACTIONS = ("link", "move", "delete")
_IDENTICAL = "identical"


@dataclass(frozen=True, slots=True)
class Line:
    """One file that could be given up, since ``keep`` holds the same picture.

    ``sha256`` and ``keep_sha256`` are the digests of both files, ``library`` is the identity of the library.
    """

    action: str
    uri: str
    keep: str
    verdict: str
    probability: float
    sha256: str
    keep_sha256: str
    library: str

    @property
    def check(self) -> str:
        """Return a digest of the line, by which a change made by hand is noticed."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the line as it stands in a file."""
        return {**asdict(self), "check": self.check}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is left alone, and why."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines that can be carried out, and the files that are left alone."""

    lines: tuple[Line, ...]
    refused: tuple[Refusal, ...]


def make_plan(report: DuplicateReport, *, action: str, library: str) -> Plan:
    """Say what could be done to every file that another one makes superfluous; do nothing."""
    if action not in ACTIONS:
        raise UsageError(f"--action is one of {', '.join(ACTIONS)}, not {action!r}")
    found = [one for group in report.groups for one in _lines(group, action, library)]
    lines = tuple(one for one in found if isinstance(one, Line))
    return Plan(lines, tuple(one for one in found if isinstance(one, Refusal)))


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan as JSON."""
    files.write_json(path, [line.to_json() for line in plan.lines], indent=1)


def read_plan(path: Path) -> Iterator[Line | Refusal]:
    """Yield the lines of a plan, or why one is no line; raise NotFound, DamagedError where it is no plan at all."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no plan {path}: `sosie duplicates --plan {path}` writes one") from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} is no plan ({error}): write it anew with `sosie duplicates --plan`") from error
    if not isinstance(document, list):
        raise DamagedError(f"{path} is no plan: a plan is a list of lines, as `sosie duplicates --plan` writes it")
    return (line_of(row) for row in document)


def regular_file(uri: str) -> bytes:
    """Return the path of a place that is a regular file under its own name; raise BadPicture with the reason."""
    path = local_path(uri)
    if path is None:
        raise BadPicture("elsewhere", "no file of this machine")
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError) as error:
        raise BadPicture("missing", "the file is gone") from error
    if stat.S_ISLNK(mode):
        raise BadPicture("a_link", "a symbolic link")
    if not stat.S_ISREG(mode):
        raise BadPicture("not_a_file", "a folder, or no regular file")
    return path


# ------------------------------------------------------------------------------------------------ making one


def _lines(group: DuplicateGroup, action: str, library: str) -> Iterator[Line | Refusal]:
    """Yield what can be said of each file of a group but the one to keep."""
    kept = _kept(group)
    superfluous = list(_superfluous(group, kept))
    if kept is None:
        for place, _, _ in superfluous:
            yield Refusal(place.uri, "the copy to keep is gone or has changed, so that this may be the last one")
        return
    for place, record, match in superfluous:
        reason = _objection(place, record, kept, group.best, action)
        if reason:
            yield Refusal(place.uri, reason)
        else:
            yield Line(
                action=action,
                uri=place.uri,
                keep=kept.uri,
                verdict=match.verdict,
                probability=match.probability,
                sha256=record.sha256,
                keep_sha256=group.best.sha256,
                library=library,
            )


def _kept(group: DuplicateGroup) -> Place | None:
    """Return the first place of the best picture whose bytes are there."""
    for place in group.places[group.best.id]:
        with contextlib.suppress(BadPicture):
            if _digest_of(place.uri) == group.best.sha256:
                return place
    return None


def _superfluous(group: DuplicateGroup, kept: Place | None) -> Iterator[tuple[Place, PictureRecord, Match]]:
    same = Match(group.best.id, group.best.id, 1.0, _IDENTICAL)
    best = group.places[group.best.id]
    if kept is not None:
        best = (kept, *(place for place in best if place != kept))
        for place in distinct_files(best)[1:]:
            yield place, group.best, same
    for record, match in group.others:
        for place in group.places[record.id]:
            yield place, record, match


def _objection(place: Place, record: PictureRecord, kept: Place, best: PictureRecord, action: str) -> str | None:
    """Say why a file must not be given up for the one to keep, or return None."""
    identical = record.sha256 == best.sha256
    if place.state == "elsewhere":
        return "no file of this machine: a member of an archive, or an address"
    try:
        if _stamp(regular_file(place.uri)) == _stamp(regular_file(kept.uri)):
            return "the same file as the one to keep, under another name"
        digest = _digest_of(place.uri)
    except BadPicture as error:
        return error.detail
    if digest != record.sha256:
        return "gone, or changed since it was added: `sosie add` its folder again"
    if action == "link" and not identical:
        return "no equal bytes: link is for these alone; use --action move or delete"
    return None if identical else _worse(place, record, kept, best)


def _worse(place: Place, record: PictureRecord, kept: Place, best: PictureRecord) -> str | None:
    """Say what would be lost with a file of other bytes, or return None."""
    if record.width * record.height > best.width * best.height:
        return "larger than the one to keep"
    frames, kept_frames = _frames_of(place.uri), _frames_of(kept.uri)
    if frames is None or kept_frames is None:
        return "it cannot be told how many frames it has"
    return f"{frames} frames, and the one to keep has {kept_frames}" if frames > kept_frames else None


def _digest_of(uri: str) -> str | None:
    """Return the SHA-256 of a regular file, or None where it cannot be read; raise BadPicture for a link."""
    return _looked_at(uri, _stamp(regular_file(uri)))[0]


def _frames_of(uri: str) -> int | None:
    return _looked_at(uri, _stamp(regular_file(uri)))[1]


@lru_cache(maxsize=64)  # the one to keep is looked at once for every line of its group
def _looked_at(uri: str, stamp: tuple[int, ...]) -> tuple[str | None, int | None]:
    try:
        data = read_regular_file(regular_file(uri))
    except BadPicture:
        return None, None
    return hashlib.sha256(data).hexdigest(), frames_in(data)


def _stamp(path: bytes) -> tuple[int, ...]:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise BadPicture("missing", "the file is gone") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


# ------------------------------------------------------------------------------------------------ reading one


def line_of(row: Any) -> Line | Refusal:
    """Return the line that a JSON object stands for, or why it is none."""
    uri = str(row.get("uri", "?")) if isinstance(row, Mapping) else "?"
    try:
        fields = {key: row[key] for key in Line.__slots__}
        line = Line(**{**fields, "probability": float(fields["probability"])})  # a browser writes 1.0 as 1
    except (KeyError, TypeError, ValueError):
        return Refusal(uri, "no line of a plan, or one of an earlier version: write the plan anew")
    if any(not isinstance(value, str) for key, value in fields.items() if key != "probability"):
        return Refusal(uri, "no line of a plan: write the plan anew")
    if row.get("check") != line.check:
        return Refusal(uri, "edited by hand: take out whole lines only, or write the plan anew")
    return line
