"""``sosie duplicates``: groups of copies inside the library, or between it and a folder."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.cli.progress import progress_of
from sosie.copies.apply import Settings, apply_plan
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport, Match
from sosie.copies.identity import identity_of
from sosie.copies.pairs import SAME
from sosie.copies.plans import ACTIONS, Plan, Refusal, make_plan, read_plan, write_plan
from sosie.copies.undo import last_journal, undo_plan
from sosie.errors import BadPicture, UsageError
from sosie.present.csv import guarded
from sosie.present.text import display_path
from sosie.sources import open_source

__all__ = ["app"]

app = typer.Typer(
    help="Group the copies inside the library around the best of each; carry out a plan, and undo it.",
    add_completion=False,
    rich_markup_mode="rich",
)

_STATES = {"there": "", "elsewhere": "", "gone": "  [gone]", "changed": "  [changed]"}
_REASONS = 12  # files left alone that are named one by one


@app.callback(invoke_without_command=True)
def duplicates(
    context: typer.Context,
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
    same: Annotated[
        str,
        typer.Option("--same", help="What is the same: bytes, pixels, reencodings, edits; each with those before."),
    ] = "reencodings",
    unsure: Annotated[
        bool,
        typer.Option("--unsure", help="Show pairs that fall short, and matches between groups."),
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that decode.", min=1)] = 2,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each file instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Group the copies in the library around the best of each; nothing is done to them but by `apply`."""
    if context.invoked_subcommand:
        return 0
    if action not in ACTIONS:
        raise UsageError(f"--action is one of {', '.join(ACTIONS)}, not {action!r}")
    if same not in SAME:
        raise UsageError(f"--same is one of {', '.join(SAME)}, not {same!r}")
    if against is not None and plan_file is not None:
        raise UsageError("--plan is for groups inside the library; --against only compares")
    with sosie.open(library, create=False) as lib:
        if against is not None:
            with progress_of("local features of the library", quiet=as_json) as progress:
                lib.copies.prepare(workers=workers, progress=progress)
            return _against(lib, against, max_false_rate, workers, as_json=as_json)
        with progress_of("comparing", quiet=as_json or as_csv) as progress:
            report = lib.copies.duplicates(same=same, max_false_rate=max_false_rate, workers=workers, progress=progress)
        if plan_file is not None:
            plan = make_plan(report, action=action, library=identity_of(lib.catalogue))
            write_plan(plan, plan_file)
            _tell(plan, plan_file)
        uris = _uris(lib, report) if unsure else {}
    if as_json:
        emit_json(report.to_json())
    elif as_csv:
        _print_csv(report)
    else:
        _print(report, uris)
    return 0 if report.groups else 1


@app.command("apply")
def apply_(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="What `sosie duplicates --plan` wrote.")],
    library: LibraryOption = None,
    to: Annotated[Path | None, typer.Option("--to", help="Where files go that the plan moves.")] = None,
    reflink: Annotated[
        bool, typer.Option("--reflink", help="Share blocks instead of hard links, where the file system can.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, and do nothing.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Carry out a plan: link, move or put in the trash; each file is checked again first, and all can be undone."""
    lines = list(read_plan(plan))
    with (
        sosie.open(_library(context, library), create=False) as lib,
        progress_of("applying", quiet=as_json) as progress,
    ):
        found = apply_plan(
            lines,
            catalogue=lib.catalogue,
            library=lib.path,
            settings=Settings(to, reflink, dry_run),
            progress=lambda done: progress(done, len(lines)),
        )
    _refuse(found.refused)
    if as_json:
        emit_json({**found.to_json(), "dry_run": dry_run})
    elif dry_run:
        print(f"{len(found.done)} of {len(lines)} files could be given up now; nothing was done")
    else:
        print(f"{len(found.done)} of {len(lines)} files given up; `sosie duplicates undo` brings them back")
    return 1 if found.refused else 0


@app.command("undo")
def undo(
    context: typer.Context,
    journal: Annotated[
        Path | None, typer.Argument(metavar="[JOURNAL]", help="A journal below LIBRARY/plans; default: the last one.")
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Bring back what a plan linked, moved or put in the trash, also where it was interrupted."""
    with sosie.open(_library(context, library), create=False) as lib:
        found = undo_plan(journal or last_journal(lib.path), catalogue=lib.catalogue, library=lib.path)
    _refuse(found.refused)
    if as_json:
        emit_json(found.to_json())
    else:
        print(f"{len(found.restored)} files are as they were before")
    return 1 if found.refused else 0


def _library(context: typer.Context, library: Path | None) -> Path | None:
    """Return the library that is named after the sub-command, or before it."""
    above = context.parent.params.get("library") if context.parent else None
    return library or above


def _refuse(refused: Iterable[Refusal]) -> None:
    for one in refused:
        note(f"left alone: {display_path(one.uri)}: {one.reason}")


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


def _print(report: DuplicateReport, uris: Mapping[int, str]) -> None:
    for number, group in enumerate(report.groups, 1):
        _print_group(number, group)
    unsure = [*report.unsure, *(bridge.match for bridge in report.bridges)]
    for match in unsure if uris else ():
        print(f"unsure: {match.verdict:<13} {match.probability:.4f}  {uris[match.a]}  {uris[match.b]}")
    more = f"; up to {report.more} more pairs with --same edits" if report.more else ""
    hidden = f"; {len(unsure)} unsure pairs with --unsure" if unsure and not uris else ""
    print(f"{report.copies} copies in {len(report.groups)} groups among {report.pictures} pictures{more}{hidden}")


def _uris(lib: sosie.Library, report: DuplicateReport) -> dict[int, str]:
    """Return how to show each picture of the pairs that are unsure."""
    matches = [*report.unsure, *(bridge.match for bridge in report.bridges)]
    records = lib.catalogue.pictures(sorted({i for match in matches for i in (match.a, match.b)}))
    return {record.id: display_path(record.uris[0]) if record.uris else f"id:{record.id}" for record in records}


def _print_csv(report: DuplicateReport) -> None:
    """Print one line for each file: group, role (keep or copy), class, verdict, probability, place, state."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["group", "role", "same", "verdict", "probability", "uri", "state", "bytes", "width", "height"])
    for number, group in enumerate(report.groups, 1):
        best = group.best
        equal = Match(best.id, best.id, 1.0, "identical", "bytes")
        for record, match in [(best, equal), *group.others]:
            for at, place in enumerate(group.places[record.id]):
                role = "keep" if record is best and not at else "copy"
                said = ["", "", ""] if role == "keep" else [match.same, match.verdict, f"{match.probability:.6f}"]
                size = [record.bytes, record.width, record.height]
                rows.writerow([number, role, *said, guarded(place.uri), place.state, *size])


def _print_group(number: int, group: DuplicateGroup) -> None:
    best, (first, *further) = group.best, group.places[group.best.id]
    about = f"{best.width} × {best.height}, {best.bytes:,} bytes, {best.format}"
    print(f"group {number}: keep {display_path(first.uri)} ({about}){_STATES[first.state]}")
    for place in further:
        twin = " (a hard link of it: no copy)" if place.inode and place.inode == first.inode else ""
        print(f"    {'identical':<13} 1.0000  {display_path(place.uri)}{twin}{_STATES[place.state]}")
    for record, match in group.others:
        for place in group.places[record.id]:
            name = "reencoding" if match.same == "reencodings" else match.verdict
            said = f"{name:<13} {match.probability:.4f}"
            print(f"    {said}  {display_path(place.uri)}{_STATES[place.state]}")
