"""``sosie quarantine``: what could not become a picture, and why."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie import files
from sosie.catalogue import QuarantineRow, check
from sosie.catalogue.opening import in_folder
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note, progress_bar
from sosie.present.csv import guarded
from sosie.present.left_out import left_out_text
from sosie.present.text import display_path
from sosie.types import LeftOut

__all__ = ["app"]

app = typer.Typer(help="List, retry and export what could not become a picture.", no_args_is_help=True)

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only this reason, such as truncated or gone.")]
_SHOWN = 20


@app.command("list")
def list_(
    library: LibraryOption = None,
    reason: ReasonOption = None,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Files taken for no pictures, and rows that name none, by source.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Count the refused by reason and show some of them, or what was left out without a look."""
    if left_out:
        return _list_left_out(library, reason, as_json=as_json)
    with sosie.open(library, create=False, read_only=True) as lib:
        rows = lib.quarantine(reason=reason)
    counts = Counter(row.reason for row in rows)
    if as_json:
        emit_json({"count": len(rows), "reasons": dict(counts.most_common()), "rows": [_document(row) for row in rows]})
        return 0
    for name, count in counts.most_common():
        print(f"{count:>8}  {name}")
    for row in rows[:_SHOWN]:
        print(f"{row.reason}: {row.uri}{f' ({row.detail})' if row.detail else ''}")
    if len(rows) > _SHOWN:
        note(f"… and {len(rows) - _SHOWN} more: `sosie quarantine export FILE` has all")
    if not rows:
        print("nothing was refused")
    return 0


def _list_left_out(library: Path | None, reason: str | None, *, as_json: bool) -> int:
    with sosie.open(library, create=False, read_only=True) as lib:
        roots = lib.sources.left_out()
    for entry in roots.values():
        entry["left_out"] = [each for each in entry["left_out"] if reason in (None, each["reason"])]
    kept = {root: entry for root, entry in roots.items() if entry["left_out"]}
    if as_json:
        emit_json({"roots": [{"root": root, **entry} for root, entry in kept.items()]})
        return 0
    for root, entry in kept.items():
        kinds = [LeftOut(**each) for each in entry["left_out"]]
        print(f"{display_path(root)}: {left_out_text(kinds)}")
        for each in kinds:
            print("".join(f"  {display_path(uri)}\n" for uri in each.some[:_SHOWN]), end="")
            if each.count > _SHOWN:
                note(f"  … and {each.count - _SHOWN} more")
    if not kept:
        print("nothing was left out")
    return 0


@app.command("retry")
def retry(library: LibraryOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> int:
    """Try the refused again: all, or those of one reason. What still fails stays.

    Pictures of a list or a database get their labels back when that source is added again.
    """
    with sosie.open(library, create=False) as lib, progress_bar("trying again", quiet=as_json) as bar:
        report = lib.quarantine.retry(reason, progress=bar)
    if as_json:
        emit_json(report.to_json())
    else:
        still = ", ".join(f"{count} {name}" for name, count in report.quarantined.most_common())
        print(f"{report.indexed + report.known + report.moved} of {report.seen} are pictures now")
        if still:
            print(f"still refused: {still}")
    return 0


@app.command("export")
def export(
    file: Annotated[Path | None, typer.Argument(help="A CSV file; default: print it.")] = None,
    library: LibraryOption = None,
    reason: ReasonOption = None,
) -> int:
    """Write uri, reason, detail, tries and time of the refused as CSV."""
    with sosie.open(library, create=False, read_only=True) as lib:
        rows = [_document(row) for row in lib.quarantine(reason=reason)]
    names = ["uri", "reason", "detail", "tries", "at"]
    if file is None:
        _write(csv.DictWriter(sys.stdout, names), rows)
    else:
        with files.writing_text(file) as out:
            _write(csv.DictWriter(out, names), rows)
        note(f"{len(rows)} rows in {file}")
    return 0


@app.command("placeholders")
def placeholders(
    library: LibraryOption = None,
    at_least: Annotated[int, typer.Option(help="From how many addresses on.", min=2)] = 5,
    as_json: JsonOption = False,
) -> int:
    """Show pictures that many web addresses gave: "no longer available" and the like. `sosie remove ID` forgets one."""
    with sosie.open(library, create=False, read_only=True) as lib:
        rows = check.shared_by_many(in_folder(lib.catalogue), at_least=at_least)
    if as_json:
        emit_json({"pictures": [{"id": i, "addresses": count, "uri": uri} for i, count, uri in rows]})
        return 0
    for content_id, count, uri in rows:
        print(f"{count:>8}  id {content_id}  {uri}")
    if not rows:
        print(f"no picture has {at_least} web addresses")
    return 0


def _write(writer: csv.DictWriter[str], rows: list[dict[str, Any]]) -> None:
    writer.writeheader()
    # A spreadsheet takes a cell that begins so for a formula; what a server says is not to be run.
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)


def _document(row: QuarantineRow) -> dict[str, Any]:
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="seconds")
    return {"uri": row.uri, "reason": row.reason, "detail": row.detail, "tries": row.tries, "at": at}
