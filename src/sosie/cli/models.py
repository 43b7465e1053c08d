"""``sosie models``: the networks that a library can see with."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.add import _stop_on_interrupt
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note, progress_bar
from sosie.cli.progress import progress_of
from sosie.errors import NotFound, UnknownName
from sosie.models.listing import ModelRow
from sosie.models.trial import ALL, Trial
from sosie.networks.published import PUBLISHED
from sosie.registry import nearest

__all__ = ["app"]

app = typer.Typer(help="List models, try one on your own pictures, and swap.", add_completion=False)

_COLUMNS = (
    *("model", "tasks", "numbers", "pixels", "licence", "MB", "ms", "embedded"),
    *("measured here", "reached elsewhere"),
)
_RIGHT = {"pixels", "MB", "ms", "embedded"}
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name that `sosie models` lists.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """List the models: tasks, dimension, resolution, licence, size, and what they measured on this library."""
    if context.invoked_subcommand is not None:
        return 0
    rows = _rows(library)
    if as_json:
        emit_json({"models": [row.to_json() for row in rows]})
    else:
        _table(rows)
        note("* is in use, - would be downloaded; `sosie models try NAME` measures one here")
        note("reached elsewhere: the mAP of published ones that were tried on sets of docs/reference/bundled-model.md")
    return 0


@app.command("add")
def add(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A folder or a JSON description with its ONNX.")],
    name: Annotated[str | None, typer.Option("--name", help="Call it so.", show_default="its own name")] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Copy a model into the library, once its digest is checked and it has run."""
    with sosie.open(library, create=False) as lib:
        added = lib.models.add(package, name=name)
        row = next(row for row in lib.models.list() if row.name == added)
    if as_json:
        emit_json(row.to_json())
    else:
        print(f"{added}: try it on your own pictures with `sosie models try {added}`")
    return 0


@app.command("get")
def get(name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Download a published model into the library; `try` does it, too. Interrupted, it goes on."""
    with sosie.open(library, create=False) as lib:
        _get(lib, name, quiet=as_json)
        row = next((row for row in lib.models.list() if row.name == name and row.here), None)
    if row is None:
        raise UnknownName(f"no model is called {name!r}; {nearest(name, PUBLISHED)}")
    if as_json:
        emit_json(row.to_json())
    else:
        print(f"{name} {row.version} is here: try it on your own pictures with `sosie models try {name}`")
    return 0


@app.command("remove")
def remove(name: NameArgument, library: LibraryOption = None) -> int:
    """Forget one of the library's own models, with its vectors."""
    with sosie.open(library, create=False) as lib:
        lib.models.remove(name)
    print(f"removed {name}")
    return 0


@app.command("try")
def try_(
    name: NameArgument,
    library: LibraryOption = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="The labels to judge by.", show_default="the library's own")
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Keep the answers of both here.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds draw equal samples.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """Embed the library with another model beside its own, and measure both.

    Nothing changes for those who search. Interrupt it when you like: the same command goes on from there. The measure
    is mAP by the library's labels, or micro-AP over altered copies of its pictures where it has none.
    """
    from sosie.evaluation.trial import try_model

    with sosie.open(library, create=False) as lib:
        _get(lib, name, quiet=as_json)
    with (
        sosie.open(library, create=False) as lib,
        _stop_on_interrupt() as stop,
        progress_bar(f"embedding with {name}", quiet=as_json) as bar,
    ):
        with lib.with_model(name) as other:
            bar.set_total(other.models.lacking())
        trial = try_model(lib, name, run=run, keys=label or (), seed=seed, progress=bar, stop=stop, note=note)
    if trial is None:
        note("interrupted: run the same command to go on")
        return 130
    if as_json:
        emit_json(trial.to_json())
    else:
        _tell(trial)
    return 0


@app.command("use")
def use(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", help="Even if it did not measure better here.")] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Answer with this model from now on; running servers follow.

    It must have measured better on this library (`sosie models try`), or have been in use before. Vectors that lack are
    computed and the index is built before the swap. The calibration of copies is kept for each model.
    """
    with (
        sosie.open(library, create=False) as lib,
        progress_bar(f"embedding with {name}", quiet=as_json) as bar,
    ):
        report = lib.models.use(name, force=force, progress=bar)
        now = lib.model
    if as_json:
        emit_json({"model": now, "embedded": report.indexed, "away": report.missing})
    else:
        print(f"the library answers with {now}; {report.indexed} pictures were embedded for it")
    return 0


# ------------------------------------------------------------------------------------------------ helpers


def _rows(library: Path | None) -> list[ModelRow]:
    """Return the models of a library; where there is none yet, those that one would have."""
    try:
        with sosie.open(library, create=False) as lib:
            return lib.models.list()
    except NotFound:
        if library is not None:
            raise
    with TemporaryDirectory() as folder, sosie.open(folder) as empty:
        return empty.models.list()


def _get(lib: sosie.Library, name: str, *, quiet: bool) -> None:
    with progress_of(f"downloading {name} (bytes)", quiet=quiet) as bar:
        lib.models.get(name, progress=bar)


def _table(rows: list[ModelRow]) -> None:
    """Print columns of text; rich would cut names in narrow terminals."""
    table = [_COLUMNS, *map(_cells, rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(_COLUMNS))]
    for line in table:
        cells = [
            cell.rjust(w) if name in _RIGHT else cell.ljust(w)
            for name, cell, w in zip(table[0], line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _cells(row: ModelRow) -> tuple[str, ...]:
    figure: Any = row.measured
    by = "" if figure is None else f" ({', '.join(figure['by']) or 'altered copies'})"
    return (
        f"{'*' if row.in_use else ' ' if row.here else '-'} {row.name}",
        ",".join(row.tasks),
        "+".join(str(dim) for dim in row.dims.values()),
        str(row.side),
        row.licence,
        f"{row.bytes / 1e6:.1f}" if row.bytes else "–",
        "–" if figure is None else f"{figure['ms']:.1f}",
        str(row.pictures),
        "–" if figure is None else f"{figure['measure']} {figure['value']:.3f}{by}",
        _reached(row),
    )


def _reached(row: ModelRow) -> str:
    if row.reached is None:
        return ""
    return ", ".join(f"{name} {value:.3f}" for name, value in row.reached.items()) or "never fetched"


def _tell(trial: Trial) -> None:
    if len(trial.parts) > 1:
        _tell_parts(trial)
    for figure in (trial.in_use, trial.candidate):
        print(f"{figure.model:<24}{figure.measure} {figure.value:.4f}   {figure.ms:.1f} ms a picture")
    clear = "" if trial.clear else ", which may be chance"
    print(f"difference {trial.difference:+.4f} [{trial.low:+.4f}, {trial.high:+.4f}]{clear}")
    if trial.away:
        note(f"{trial.away} pictures are away and were left out")
    if not trial.fair:
        note("every picture that could judge was trained on, which says nothing of others: add labelled ones")
    if trial.better:
        note(f"to answer with it from now on: `sosie models use {trial.candidate.model}`")


def _tell_parts(trial: Trial) -> None:
    """Show both models by all queries and by those that training did not use."""
    print(f"{'judged by':<22}{'queries':>8}{trial.in_use.model:>24}{trial.candidate.model:>24}  difference")
    for part in trial.parts:
        change = f"{part.difference:+.4f} [{part.low:+.4f}, {part.high:+.4f}]"
        print(f"{part.name:<22}{part.queries:>8}{part.in_use:>24.4f}{part.candidate:>24.4f}  {change}")
    print(f"the verdict is by the pictures {trial.judged_by}:" if trial.judged_by != ALL else "the verdict:")
