"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["JsonOption", "KOption", "LibraryOption", "ModelOption", "WhereOption", "parse_box"]

LibraryOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--library",
        "-L",
        envvar="SOSIE_LIBRARY",
        help="The library's folder.",
        show_default="./sosie-library",
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
KOption: TypeAlias = Annotated[int, typer.Option("-k", "--k", help="How many answers.", min=1, max=100_000)]
WhereOption: TypeAlias = Annotated[
    str | None, typer.Option("--where", help="Only pictures whose labels fit: \"label = 'cat' and year > 1900\".")
]
ModelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="An embedder (bundled, histogram) or the JSON description of an ONNX file.",
        show_default="what the library uses",
    ),
]


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """Read ``x,y,w,h``, each between 0 and 1."""
    if text is None:
        return None
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"a box is x,y,width,height between 0 and 1, not {text!r}") from error
    return x, y, width, height
