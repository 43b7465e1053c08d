"""``sosie duplicates``: groups of copies inside the library, or between it and a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.cli.progress import progress_of
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport
from sosie.copies.identity import identity_of
from sosie.copies.plans import ACTIONS, Plan, make_plan, write_plan
from sosie.errors import BadPicture, UsageError
from sosie.present.text import display_path
from sosie.sources import open_source

__all__ = ["duplicates"]

_STATES = {"there": "", "elsewhere": "", "gone": "  [gone]", "changed": "  [changed]"}
_REASONS = 12  # files left alone that are named one by one


def duplicates(
    library: LibraryOption = None,
    against: Annotated[
        str | None, typer.Option(help="Compare the library with this folder, which stays untouched.")
    ] = None,
    max_false_rate: Annotated[
        float, typer.Option("--max-false-rate", help="The rate of false matches that the cut-off stands for.")
    ] = 1e-3,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Write what would be done to the copies as JSON; nothing is done.")
    ] = None,
    action: Annotated[
        str, typer.Option(help="What the plan says: link (equal bytes alone), move, or delete (to the trash).")
    ] = "link",
    workers: Annotated[int, typer.Option(help="Processes that decode.", min=1)] = 2,
    as_json: JsonOption = False,
) -> int:
    """Group the copies in the library around the best of each. Nothing is ever deleted."""
    if action not in ACTIONS:
        raise UsageError(f"--action is one of {', '.join(ACTIONS)}, not {action!r}")
    if against is not None and plan_file is not None:
        raise UsageError("--plan is for groups inside the library; --against only compares")
    with sosie.open(library, create=False) as lib:
        with progress_of("local features of the library", quiet=as_json) as progress:
            lib.copies.prepare(workers=workers, progress=progress)
        if against is not None:
            return _against(lib, against, max_false_rate, workers, as_json=as_json)
        with progress_of("comparing", quiet=as_json) as progress:
            report = lib.copies.duplicates(max_false_rate=max_false_rate, workers=workers, progress=progress)
        identity = identity_of(lib.catalogue)
    if plan_file is not None:
        plan = make_plan(report, action=action, library=identity)
        write_plan(plan, plan_file)
        _tell(plan, plan_file)
    if as_json:
        emit_json(report.to_json())
    else:
        _print(report)
    return 0 if report.groups else 1


def _against(lib: sosie.Library, folder: str, rate: float, workers: int, *, as_json: bool) -> int:
    waiting: deque[str] = deque()  # asked about and not yet answered
    asked = 0
    rows: list[dict[str, Any]] = []
    for answer in lib.copies.find_many(_read(folder, waiting), k=10, max_false_rate=rate, workers=workers):
        uri = waiting.popleft()
        asked += 1
        if isinstance(answer, BadPicture):
            note(f"{uri}: {answer}")
            continue
        rows += [
            {"uri": uri, "id": h.id, "of": h.uri, "verdict": str(h.verdict), "probability": h.probability}
            for h in answer
        ]
    if as_json:
        emit_json({"pictures": asked, "matches": rows})
    else:
        for row in rows:
            print(f"{row['verdict']:<13} {row['probability']:.4f}  {row['uri']}  =  {row['of']}")
        print(f"{len({row['uri'] for row in rows})} of {asked} pictures of {folder} are in the library")
    return 0 if rows else 1


def _read(folder: str, waiting: deque[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (URI, bytes) of what can be read of a source, as it is asked for, and note the URIs in ``waiting``."""
    source = open_source(folder)
    for ref in source:
        try:
            data = source.read(ref)
        except BadPicture as error:
            note(f"{ref.uri}: {error}")
            continue
        waiting.append(ref.uri)
        yield ref.uri, data


def _tell(plan: Plan, path: Path) -> None:
    """Say what the plan holds, and what is left out of it and why."""
    note(f"plan: {path}, {len(plan.lines)} files (nothing was done)")
    for one in plan.refused[:_REASONS]:
        note(f"left alone: {display_path(one.uri)}: {one.reason}")
    if len(plan.refused) > _REASONS:
        note(f"left alone: {len(plan.refused) - _REASONS} more")


def _print(report: DuplicateReport) -> None:
    for number, group in enumerate(report.groups, 1):
        _print_group(number, group)
    for bridge in report.bridges:
        a, b = ("no group" if at is None else f"group {at + 1}" for at in bridge.groups)
        print(f"weak bridge, not merged: picture {bridge.match.a} ({a}) and picture {bridge.match.b} ({b})")
    copies = sum(group.copies for group in report.groups)
    print(f"{copies} copies in {len(report.groups)} groups among {report.pictures} pictures")


def _print_group(number: int, group: DuplicateGroup) -> None:
    best, (first, *further) = group.best, group.places[group.best.id]
    about = f"{best.width} × {best.height}, {best.bytes:,} bytes, {best.format}"
    print(f"group {number}: keep {display_path(first.uri)} ({about}){_STATES[first.state]}")
    for place in further:
        twin = " (a hard link of it: no copy)" if place.inode and place.inode == first.inode else ""
        print(f"    {'identical':<13} 1.0000  {display_path(place.uri)}{twin}{_STATES[place.state]}")
    for record, match in group.others:
        for place in group.places[record.id]:
            said = f"{match.verdict:<13} {match.probability:.4f}"
            print(f"    {said}  {display_path(place.uri)}{_STATES[place.state]}")
