"""``sosie calibrate``: probabilities of copies fitted to this library."""

from __future__ import annotations

from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.cli.progress import progress_of

__all__ = ["calibrate"]


def calibrate(
    library: LibraryOption = None,
    sample: Annotated[int, typer.Option(help="How many pictures to alter and look for.", min=20)] = 150,
    per_picture: Annotated[int, typer.Option("--per-picture", help="In how many ways each.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Equal seeds draw equal samples.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """Learn how alike copies and non-copies are in this library, so that a probability means what it says."""
    with sosie.open(library, create=False) as lib:
        with progress_of("local features of the library", quiet=as_json) as progress:
            lib.copies.prepare(workers=2, progress=progress)
        with progress_of("calibrating", quiet=as_json) as progress:
            fitted, measured = lib.copies.calibrate(
                sample=sample, per_picture=per_picture, seed=seed, progress=progress
            )
    cut_offs = {f"{rate:g}": round(fitted.cut_off(rate), 6) for rate in (1e-2, 1e-3, 1e-4)}
    if as_json:
        emit_json({"calibration": fitted.to_json(), "measured": measured, "cut_offs": cut_offs})
        return 0
    print(
        f"fitted to {measured['pairs']:.0f} pairs; expected calibration error {measured['ece_held_out']:.4f} (held out)"
    )
    for rate, cut_off in cut_offs.items():
        print(f"  a false-match rate of {rate} is a cut-off of {cut_off}")
    return 0
