"""``sosie export-vectors``: the vectors of a space as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption, SpaceOption
from sosie.cli.output import emit_json
from sosie.errors import UsageError
from sosie.maintenance.vectors import FORMATS, vectors_of, write_vectors
from sosie.registry import nearest

__all__ = ["export_vectors"]


def export_vectors(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write.")],
    library: LibraryOption = None,
    space: SpaceOption = "whole",
    to: Annotated[
        str | None,
        typer.Option("--to", help="npz, npy (ids beside it) or parquet.", show_default="suffix"),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Write the vectors of whole pictures, or of one kind of their parts, with their ids and pictures."""
    form = to or file.suffix.removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"vectors are written as npz, npy or parquet, not as {form!r}; {nearest(form, FORMATS)}")
    with sosie.open(library, create=False) as lib:
        found = vectors_of(lib.catalogue, lib.extractor.space_named(space))
        written = write_vectors(found, file, form, uris=lambda: {each.id: each.uris[0] for each in lib.pictures()})
    if as_json:
        emit_json({"files": list(map(str, written)), "vectors": len(found.ids), "dim": int(found.vectors.shape[1])})
    else:
        print(f"{', '.join(map(str, written))}: {len(found.ids)} vectors of {found.vectors.shape[1]} numbers")
    return 0
