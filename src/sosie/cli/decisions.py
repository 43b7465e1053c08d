"""``sosie decisions``: what people said of pairs of pictures; it outlives indexes, models and file names."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.catalogue import Decision, Store
from sosie.catalogue.decisions import DECISIONS
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.errors import NotFound, UsageError
from sosie.present.csv import guarded
from sosie.present.text import display_path, visible

__all__ = ["app"]

app = typer.Typer(
    help="Say of two pictures: not a copy, the same picture, keep both. Decisions are kept by content.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

A = Annotated[str, typer.Argument(metavar="A", help="A file, an id of the library, or a SHA-256.")]
B = Annotated[str, typer.Argument(metavar="B", help="A file, an id of the library, or a SHA-256.")]
_HEX = 64


@app.command("set")
def set_decision(
    decision: Annotated[str, typer.Argument(help=" | ".join(DECISIONS))],
    a: A,
    b: B,
    library: LibraryOption = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> int:
    """Store a decision about two pictures; the last one counts."""
    with sosie.open(library, create=False) as lib:
        lib.catalogue.put_decision(_digest(lib, a), _digest(lib, b), decision, note=note)
    print(f"stored: {decision}")
    return 0


@app.command("undo")
def undo(a: A, b: B, library: LibraryOption = None) -> int:
    """Take a decision back."""
    with sosie.open(library, create=False) as lib:
        dropped = lib.catalogue.drop_decision(_digest(lib, a), _digest(lib, b))
    print("undone" if dropped else "there was no decision about these two")
    return 0 if dropped else 1


@app.command("list")
def list_decisions(
    library: LibraryOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each decision instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show every decision with the places of both pictures, oldest first; with --json, to keep or move elsewhere."""
    with sosie.open(library, create=False) as lib:
        rows = [_row(one, lib.catalogue) for one in lib.catalogue.decisions()]
    if as_json:
        emit_json(rows)
    elif as_csv:
        _print_csv(rows)
    else:
        for row in rows:
            _print_row(row)
    return 0 if rows else 1


def _row(one: Decision, catalogue: Store) -> dict[str, Any]:
    """Return a decision as it is shown: what was decided, when, of which two pictures, and where these are."""
    ids = [catalogue.content_id(bytes.fromhex(digest)) for digest in (one.a, one.b)]
    places = [[uri for uri, _ in catalogue.uris(i)] if i is not None else [] for i in ids]
    said = {"a": one.a, "b": one.b, "decision": one.decision, "note": one.note, "at": one.at}
    return {**said, "a_uris": places[0], "b_uris": places[1]}


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["decision", "at", "a", "b", "a_uri", "b_uri", "note"])
    for row in rows:
        uris = [row[key][0] if row[key] else "" for key in ("a_uris", "b_uris")]
        said = [*map(guarded, uris), guarded(row["note"])]
        writer.writerow([row["decision"], _date(row["at"]), row["a"], row["b"], *said])


def _print_row(row: Mapping[str, Any]) -> None:
    note = f"  {visible(row['note'])}" if row["note"] else ""
    print(f"{row['decision']:<13} {_date(row['at'])}{note}")
    for side in ("a", "b"):
        uris = row[f"{side}_uris"]
        more = f"  (and {len(uris) - 1} more places)" if len(uris) > 1 else ""
        print(f"    {display_path(uris[0]) if uris else 'not in the library: ' + row[side]}{more}")


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(lib: sosie.Library, text: str) -> str:
    if len(text) == _HEX and all(c in "0123456789abcdef" for c in text.lower()):
        return text.lower()
    if text.isdigit() or text.startswith("id:"):
        return lib.picture(int(text.removeprefix("id:"))).sha256
    if not Path(text).is_file():
        raise NotFound(f"there is no file {text}: give a file, an id of the library or a SHA-256")
    data = Path(text).read_bytes()
    if not data:
        raise UsageError(f"{text} is empty")
    return hashlib.sha256(data).hexdigest()
