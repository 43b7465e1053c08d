"""``sosie decisions``: what people said of pairs of pictures; it outlives indexes, models and file names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.catalogue.decisions import DECISIONS
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.errors import NotFound, UsageError

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
def list_decisions(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Show every decision, oldest first; with --json, to keep or move elsewhere."""
    with sosie.open(library, create=False) as lib:
        found = lib.catalogue.decisions()
    if as_json:
        emit_json([{"a": d.a, "b": d.b, "decision": d.decision, "note": d.note, "at": d.at} for d in found])
    else:
        for one in found:
            print(f"{one.decision:<13} {one.a[:16]} {one.b[:16]}  {one.note}".rstrip())
    return 0 if found else 1


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
