"""``sosie tags``: what the network recognised in the pictures."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

import sosie
from sosie.cli.add import _stop_on_interrupt
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note

__all__ = ["app"]

app = typer.Typer(help="Count what the network recognised in the pictures, or turn that off.", add_completion=False)


@app.callback(invoke_without_command=True)
def tags(
    context: typer.Context,
    library: LibraryOption = None,
    most: Annotated[int, typer.Option(help="How many to show.", min=1)] = 50,
    as_json: JsonOption = False,
) -> int:
    """Count the tags: words for what pictures surely hold, used in `--where "tag = 'dog'"`. They are no labels."""
    if context.invoked_subcommand is not None:
        return 0
    with sosie.open(library, create=False) as lib:
        counts, on = lib.tags(), lib.tags.on
        lacking = on and lib.tags.lacking
    if as_json:
        emit_json({"on": on, "tags": counts})
        return 0
    for text, number in itertools.islice(counts.items(), most):
        print(f"{number:>8}  {text}")
    if len(counts) > most:
        print(f"{'…':>8}  {len(counts) - most} more")
    if not on:
        note("tags are off, or the model in use tells none: `sosie tags on`")
    elif lacking:
        note("pictures that were added before there were tags may lack some: `sosie tags on` tells them, reading none")
    return 0


@app.command("on")
def turn_on(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Tell the tags of all pictures by their stored vectors, and those of new ones from now on; reads no picture."""
    with sosie.open(library, create=False) as lib, _stop_on_interrupt() as stop:
        tagged = lib.tags.turn_on(stop=stop)
    if stop.is_set():
        note("interrupted: run the same command again")
        return 130
    if as_json:
        emit_json({"on": True, "tagged": tagged})
    else:
        print(f"{tagged} pictures have tags")
    return 0


@app.command("off")
def turn_off(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Forget all tags, and tell none from now on."""
    with sosie.open(library, create=False) as lib:
        forgotten = lib.tags.turn_off()
    if as_json:
        emit_json({"on": False, "forgotten": forgotten})
    else:
        print(f"tags are off; {forgotten} pictures had some")
    return 0
