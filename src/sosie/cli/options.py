"""Options that many commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

import sosie
from sosie.analysis.embedding import Features
from sosie.catalogue.database import set_aside
from sosie.cli.output import note
from sosie.decode.limits import Limits
from sosie.elastic import Cluster
from sosie.errors import EmptyCatalogue, UsageError
from sosie.library import folder_of

__all__ = [
    "ClassifierOption",
    "DetectorOption",
    "FeaturesOption",
    "JsonOption",
    "KOption",
    "LibraryOption",
    "MaxMegapixelsOption",
    "MaxSideOption",
    "ModelOption",
    "SeenOption",
    "SegmenterOption",
    "SpaceOption",
    "WhereOption",
    "open_to_add",
    "parse_box",
]

LibraryOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--library",
        "-L",
        envvar="SOSIE_LIBRARY",
        help="The library's folder, or elasticsearch://HOST:9200/NAME.",
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
        help="Make a new library with this model (`sosie models`), or the JSON description of an ONNX file.",
        show_default="bundled",
    ),
]
SeenOption: TypeAlias = Annotated[
    str | None, typer.Option("--model", help="See the library through this model.", show_default="the one in use")
]


FeaturesOption: TypeAlias = Annotated[
    Features,
    typer.Option(
        "--features",
        help="Compute local features, which prove copies: now, later (when copies are first asked for; of addresses and"
        " archives now), never.",
    ),
]
MaxMegapixelsOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-megapixels",
        envvar="SOSIE_MAX_MEGAPIXELS",
        help="Megapixels that one picture may take to decode; of a JPEG an eighth to a third of its own.",
        min=0.001,
        max=1_000_000,
        show_default="200",
    ),
]
MaxSideOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-side",
        envvar="SOSIE_MAX_SIDE",
        help="Pixels along a picture's longer side.",
        min=1,
        max=1_000_000,
        show_default="65535",
    ),
]


def open_to_add(
    library: Path | None, model: str | None, *, cluster: Cluster | None = None, limits: Limits | None = None
) -> sosie.Library:
    """Open a library to add pictures to; raise UsageError where it uses another model than ``model``.

    One without pictures (`sosie watch add` makes one) takes the model as a new one does.
    """
    try:
        lib = sosie.open(library, model=model, cluster=cluster, limits=limits)
    except EmptyCatalogue:
        kept = set_aside(folder_of(library or os.environ.get("SOSIE_LIBRARY") or "sosie-library") / "catalogue.sqlite")
        note(
            f"the catalogue was empty; it lies in {kept} now, and a new one is begun. `sosie restore DIR` brings "
            "labels and decisions back, where there is a backup"
        )
        lib = sosie.open(library, model=model, cluster=cluster, limits=limits)
    now = lib.models.in_use
    if model is not None and lib.model != now:
        if lib.catalogue.counts()["pictures"]:
            lib.close()
            raise UsageError(f"{lib.path} uses {now}: add without --model, then `sosie models try {model}`")
        lib.models.use(lib.model, force=True)
    return lib


SpaceOption: TypeAlias = Annotated[
    str, typer.Option("--space", help="whole, objects, pooled, mask:CLASS, or a space's full name (`sosie info`).")
]
ClassifierOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        metavar="NAME|FOLDER",
        help="A model that `sosie train classifier` made.",
        show_default="the library's own",
    ),
]
DetectorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:FILE.onnx|FILE.json",
        help="What finds objects, from now on: yolox:FILE.onnx, or a description (docs/how-to/search-by-parts.md).",
        show_default="what the library uses",
    ),
]
SegmenterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:FILE.onnx|FILE.json",
        help="What makes masks, from now on: deeplabv3_pascal:FILE.onnx, or a description.",
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
