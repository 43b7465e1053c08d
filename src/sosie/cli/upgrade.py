"""``sosie upgrade``: a library made by an earlier version gets what this one does better."""

from __future__ import annotations

from typing import Annotated

import typer

import sosie
from sosie.cli.add import _stop_on_interrupt
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note, progress_bar

__all__ = ["upgrade"]


def upgrade(
    undo: Annotated[
        bool, typer.Option("--undo", help="Answer with the network from before the upgrade again.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Embed the pictures with the newest bundled network, and answer with it from then on.

    Until all are embedded the library answers as before. Interrupt it when you like: the same command goes on from
    there. The vectors of before are kept, so that `--undo` goes back at once. Tags that pictures lack are told, too, by
    their stored vectors.
    """
    with (
        sosie.open(library, create=False) as lib,
        _stop_on_interrupt() as stop,
        progress_bar("embedding anew", quiet=as_json) as bar,
    ):
        if not undo:
            with lib.with_model("bundled") as newest:
                bar.set_total(newest.models.lacking() if lib.models.in_use.startswith("bundled-") else 0)
        done = lib.models.upgrade(undo=undo, progress=bar, stop=stop)
        told = not (undo or stop.is_set()) and lib.tags.lacking
        tagged = lib.tags.turn_on(stop=stop) if told else 0
    if stop.is_set() and done.before == done.now:
        note(f"interrupted: {done.now} still answers; run the same command to go on")
        return 130
    if as_json:
        emit_json({"before": done.before, "now": done.now, "embedded": done.report.indexed, "tagged": tagged})
    elif done.before == done.now:
        more = f"{tagged} pictures have tags now" if told else "nothing to upgrade"
        print(f"the library answers with {done.now}: {more}")
    else:
        count = done.report.indexed
        print(f"the library answers with {done.now} instead of {done.before}; {count} pictures were embedded")
        note("probabilities of copies that were fitted to this library: fit them again with `sosie calibrate`")
    return 0
