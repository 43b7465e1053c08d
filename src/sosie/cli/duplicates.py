"""``sosie duplicates``: groups of copies inside the library, or between it and a folder."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.cli.progress import progress_of
from sosie.copies.duplicates import DuplicateReport, plan
from sosie.errors import BadPicture, UsageError
from sosie.sources import open_source

__all__ = ["duplicates"]

_ACTIONS = ("link", "move", "delete")


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
    action: Annotated[str, typer.Option(help="What the plan says: link, move or delete.")] = "link",
    workers: Annotated[int, typer.Option(help="Processes that decode.", min=1)] = 2,
    as_json: JsonOption = False,
) -> int:
    """Group the copies in the library around the best of each. Nothing is ever deleted."""
    if action not in _ACTIONS:
        raise UsageError(f"--action is one of {', '.join(_ACTIONS)}, not {action!r}")
    if against is not None and plan_file is not None:
        raise UsageError("--plan is for groups inside the library; --against only compares")
    with sosie.open(library, create=False) as lib:
        with progress_of("local features of the library", quiet=as_json) as progress:
            lib.copies.prepare(workers=workers, progress=progress)
        if against is not None:
            return _against(lib, against, max_false_rate, workers, as_json=as_json)
        with progress_of("comparing", quiet=as_json) as progress:
            report = lib.copies.duplicates(max_false_rate=max_false_rate, workers=workers, progress=progress)
    if plan_file is not None:
        plan_file.write_text(json.dumps(plan(report, action=action), indent=1) + "\n", encoding="utf-8")
        note(f"plan: {plan_file} (nothing was done)")
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


def _print(report: DuplicateReport) -> None:
    for number, group in enumerate(report.groups, 1):
        best = group.best
        print(
            f"group {number}: keep {best.uris[0]} ({best.width} × {best.height}, {best.bytes:,} bytes, {best.format})"
        )
        for record, match in group.others:
            print(f"    {match.verdict:<13} {match.probability:.4f}  {record.uris[0]}")
    for bridge in report.bridges:
        a, b = ("no group" if number is None else f"group {number + 1}" for number in bridge.groups)
        print(f"weak bridge, not merged: picture {bridge.match.a} ({a}) and picture {bridge.match.b} ({b})")
    copies = sum(len(group.others) for group in report.groups)
    print(f"{copies} copies in {len(report.groups)} groups among {report.pictures} pictures")
