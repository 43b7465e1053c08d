"""``sosie export`` and ``sosie import``: a library as a folder of Parquet files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.maintenance.transfer import Moved
from sosie.maintenance.transfer import export as write
from sosie.maintenance.transfer import load as read

__all__ = ["export", "import_"]

_EVERY = 5_000  # pictures between two lines of progress

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the Parquet files.")]


def export(folder: FolderArgument, library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Write vectors, regions, hashes, places, labels and decisions as Parquet for `sosie import` and others."""
    with sosie.open(library, create=False) as lib:
        moved = write(lib.catalogue, folder, progress=_note)
    return _tell(moved, f"written to {folder}", as_json=as_json)


def import_(folder: FolderArgument, library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Add what `sosie export` wrote, and compare counts and digests of what arrived; no picture is embedded again."""
    with sosie.open(library) as lib:
        moved = read(lib.catalogue, folder, progress=_note)
    return _tell(moved, "arrived, with equal digests", as_json=as_json)


def _note(done: int) -> None:
    if done % _EVERY == 0:
        note(f"{done} pictures")


def _tell(moved: Moved, what: str, *, as_json: bool) -> int:
    if as_json:
        emit_json(moved.to_json())
    else:
        found = ", ".join(f"{count} {name}" for name, count in moved.counts.items()) or "nothing"
        print(f"{found} {what}")
    return 0
