"""``sosie train``: a network for your own pictures, from their labels."""

from __future__ import annotations

import inspect
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_type_hints

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption, WhereOption
from sosie.cli.output import emit_json, note
from sosie.sources import SourceOptions
from sosie.training.layers import read_head
from sosie.training.settings import Settings

if TYPE_CHECKING:
    from sosie.training.run import Report
    from sosie.training.trained import Trained
from sosie.extras import missing

__all__ = ["app", "needs_torch", "sizes", "stages"]

app = typer.Typer(
    help="Train a network on the library's own pictures; what comes out is a package for `sosie models add`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

# What can be set of a run; types and defaults are those of Settings.
_SETTINGS: dict[str, Any] = {
    "labels": typer.Option("--label", help="The label to learn; repeatable.", show_default="label"),
    "where": get_args(WhereOption)[1],
    "start": typer.Option("--start", help="bundled, or any network of timm (resnet50 …)."),
    "weights": typer.Option(
        "--weights", help="A checkpoint of --start, or none for random weights.", show_default="published"
    ),
    "head": typer.Option(
        "--head",
        help="Layers, the last is the embedding: 1024,512,256, or conv512,bn,1024,dropout0.3,256.",
        show_default="its own",
    ),
    "pooling": typer.Option("--pooling", help="Of a timm network."),
    "dropout": typer.Option("--dropout", help="Share of units left out while learning."),
    "unfreeze": typer.Option("--unfreeze", help="Layers at the end that learn.", min=0),
    "epochs": typer.Option("--epochs", help="Passes over the pictures, at most.", min=1),
    "batch": typer.Option("--batch", help="Pictures in a step.", min=4),
    "rate": typer.Option("--rate", help="Learning rate of the head."),
    "optimiser": typer.Option("--optimiser"),
    "schedule": typer.Option("--schedule", help="How the rate falls over the epochs."),
    "patience": typer.Option("--patience", help="Stop after so many epochs without a better one.", min=1),
    "validation": typer.Option("--validation", help="Share of pictures held out."),
    "unseen": typer.Option("--unseen", help="Classes kept out of training, to see how the rest fares.", min=0),
    "views": typer.Option("--views", help="Augmented views kept of a picture.", min=1),
    "precision": typer.Option("--precision"),
    "seed": typer.Option("--seed", help="Equal seeds give equal weights on one machine."),
    # and of some recipes
    "keep": typer.Option("--keep", help="Share of the start in the result: what it knows of other classes."),
    "balance": typer.Option("--balance", help="Rare classes: drawn as often as others, or weighing more."),
    "loss": typer.Option("--loss"),
    "mining": typer.Option("--mining", help="Of triplets."),
    "margin": typer.Option("--margin", help="max(d(a,p) - d(a,n) + margin, 0)."),
    "per_class": typer.Option("--per-class", help="Pictures of a class in a step.", min=2),
    "bits": typer.Option("--bits", help="Length of a code: 32 to 256."),
    "codes": typer.Option("--codes", help="Made without labels, or from them."),
    "alpha": typer.Option("--alpha", help="How firmly codes are driven to -1 and 1.", min=0),
}
_OF_ALL = tuple(itertools.takewhile(lambda name: name != "keep", _SETTINGS))
_TYPED = {"labels": list[str] | None, "head": str | None}  # as people type them

OutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder: package, card, report, logs.", show_default="runs/<recipe>-<time>"),
]
LabelsOption: TypeAlias = Annotated[list[str] | None, _SETTINGS["labels"]]
StartOption: TypeAlias = Annotated[str, _SETTINGS["start"]]
WeightsOption: TypeAlias = Annotated[str | None, _SETTINGS["weights"]]
UnfreezeOption: TypeAlias = Annotated[int, _SETTINGS["unfreeze"]]
EpochsOption: TypeAlias = Annotated[int, _SETTINGS["epochs"]]
ValidationOption: TypeAlias = Annotated[float, _SETTINGS["validation"]]
UnseenOption: TypeAlias = Annotated[int, _SETTINGS["unseen"]]
ViewsOption: TypeAlias = Annotated[int, _SETTINGS["views"]]
SeedOption: TypeAlias = Annotated[int, _SETTINGS["seed"]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command was given."""

    settings: Settings
    library: Path | None
    out: Path | None
    name: str | None
    overwrite: bool
    allow_private: bool
    as_json: bool


def _recipe(*only: str, **defaults: Any) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a command: it takes the settings of every recipe and those named, and then its own options."""

    def register(command: Callable[..., int]) -> Callable[..., int]:
        recipe = command.__name__.rstrip("_")
        asked, *own = inspect.signature(command, eval_str=True).parameters.values()
        everyone = list(inspect.signature(_of_every_command, eval_str=True).parameters.values())
        settings = [_parameter(name, defaults) for name in (*_OF_ALL, *only)]

        def run(**given: Any) -> int:
            chosen = {each.name: given[each.name] for each in settings}
            chosen |= {"labels": tuple(given["labels"] or ()), "head": sizes(given["head"])}
            rest = {each.name: given[each.name] for each in everyone}
            own_options = {each.name: given[each.name] for each in own}
            return command(**{asked.name: _Asked(Settings(recipe, **chosen), **rest)}, **own_options)  # type: ignore[arg-type]

        run.__doc__ = command.__doc__
        run.__signature__ = inspect.Signature([*everyone[:-1], *settings, *own, everyone[-1]])  # type: ignore[attr-defined]
        app.command(recipe)(run)
        return command

    return register


def _of_every_command(
    *,
    library: LibraryOption = None,
    out: OutOption = None,
    name: Annotated[str | None, typer.Option("--name", help="The package's name.", show_default="the folder's")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --out holds another run, or this one.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Fetch pictures of the web from your own network, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None: ...


def _parameter(name: str, defaults: Mapping[str, Any]) -> inspect.Parameter:
    default = None if name in _TYPED else defaults.get(name, Settings.__dataclass_fields__[name].default)
    kind = Annotated[_TYPED.get(name, get_type_hints(Settings)[name]), _SETTINGS[name]]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


@_recipe("keep", "balance")
def classifier(
    asked: _Asked,
    *,
    store_predictions: Annotated[
        bool, typer.Option("--store-predictions", help="Label every picture with predicted.class and .confidence.")
    ] = False,
) -> int:
    """Learn classes: one label a picture, or several. The embedding is the layer before the classes."""
    with sosie.open(asked.library, create=False) as lib:
        trained = _train(lib, asked)
        if store_predictions:
            from sosie.training.predict import store_predictions as store

            with stages(quiet=asked.as_json) as report:
                count = store(lib, trained.description, progress=lambda done, every: report("labels", done, every, ""))
            note(f"labelled {count} pictures: `sosie labels count predicted.class`")
    return _answer(trained, asked.as_json)


@_recipe("keep", "loss", "mining", "margin", "per_class")
def metric(asked: _Asked) -> int:
    """Learn likeness: pictures of one label near, others far. Several labels count by their overlap."""
    with sosie.open(asked.library, create=False) as lib:
        return _answer(_train(lib, asked), asked.as_json)


@_recipe("bits", "codes", "alpha", unfreeze=0, rate=1e-3)
def hash_(asked: _Asked) -> int:
    """Learn codes of a few bytes for the binary index, and compare them with float vectors, ITQ and LSH."""
    with sosie.open(asked.library, create=False) as lib:
        return _answer(_train(lib, asked), asked.as_json)


def sizes(text: str | None) -> tuple[int | str, ...]:
    """Read the layers of a head."""
    return read_head(text) if text else ()


@contextmanager
def needs_torch() -> Iterator[None]:
    """Say how to install what training needs, where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "timm", "onnx", "optuna", "pytorch_metric_learning"):
            raise
        raise missing(f"training needs {error.name}", "train") from error


def _train(lib: sosie.Library, asked: _Asked) -> Trained:
    folder = asked.out or Path("runs") / f"{asked.settings.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    with needs_torch():
        from sosie.training.run import train

        with stages(quiet=asked.as_json) as report:
            try:
                return train(
                    lib,
                    asked.settings,
                    folder,
                    name=asked.name,
                    overwrite=asked.overwrite,
                    download=SourceOptions(allow_private=asked.allow_private).download(),
                    report=report,
                )
            except KeyboardInterrupt:
                note(f"the run goes on where it broke off: the same command with --out {folder}")
                raise


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Report]:
    """Give a function that draws one bar for each stage of a run, on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("{task.fields[word]}"), console=console, disable=quiet or not console.is_terminal
    ) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, every: int, word: str) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=every, word="")
            bar.update(tasks[stage], completed=done, total=every, word=word)

        yield report


def _answer(trained: Trained, as_json: bool) -> int:
    if as_json:
        emit_json(json.loads((trained.folder / "report.json").read_text(encoding="utf-8")))
        return 0
    for line in trained.examples.notes:
        note(line)
    for why, count in trained.refused.items():
        note(f"skipped {count} pictures: {why}")
    for gain in trained.gains:
        print(f"{gain.pictures} {gain.what}")
        for row in gain.rows:
            if row["measure"] in ("mAP", "recall@1", "nDCG@10"):
                low = "" if row["difference"] is None else f"  [{row['low']:+.3f}, {row['high']:+.3f}]"
                print(f"  {row['measure']:<10}{row['set-up']:<12}{row['value']:.3f}{low}{' *' if row['clear'] else ''}")
    for how, share in trained.accuracy.items():
        print(f"classes told right {how}: {share:.3f}")
    note(f"report: {trained.folder / 'report.html'}")
    note(f"use it: `sosie models add {trained.folder}`, `sosie models try {trained.name}`")
    return 0
