"""``sosie train``: a network for your own pictures, from their labels."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption, WhereOption
from sosie.cli.output import emit_json, note
from sosie.errors import MissingExtra, UsageError
from sosie.training.settings import Settings

if TYPE_CHECKING:
    from sosie.training.run import Report, Trained

__all__ = ["app", "needs_torch", "sizes", "stages"]

app = typer.Typer(
    help="Train a network on the library's own pictures; what comes out is a package for `sosie models add`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

RATE, KEEP = 5e-3, 0.7

LabelsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--label", help="The label to learn; repeatable.", show_default="label")
]
OutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder: package, card, report, logs.", show_default="runs/<recipe>-<time>"),
]
NameOption: TypeAlias = Annotated[
    str | None, typer.Option("--name", help="The package's name.", show_default="the folder's")
]
StartOption: TypeAlias = Annotated[str, typer.Option("--start", help="bundled, or any network of timm (resnet50 …).")]
WeightsOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--weights", help="A checkpoint of --start, or none for random weights.", show_default="published"),
]
HeadOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--head", help="Dense layers, the last is the embedding: 1024,512,256.", show_default="its own"),
]
PoolingOption: TypeAlias = Annotated[str, typer.Option("--pooling", help="Of a timm network: mean, gem or max.")]
DropoutOption: TypeAlias = Annotated[float, typer.Option("--dropout", help="Share of units left out while learning.")]
UnfreezeOption: TypeAlias = Annotated[int, typer.Option("--unfreeze", help="Layers at the end that learn.", min=0)]
EpochsOption: TypeAlias = Annotated[int, typer.Option("--epochs", help="Passes over the pictures, at most.", min=1)]
BatchOption: TypeAlias = Annotated[int, typer.Option("--batch", help="Pictures in a step.", min=4)]
RateOption: TypeAlias = Annotated[float, typer.Option("--rate", help="Learning rate of the head.")]
OptimiserOption: TypeAlias = Annotated[str, typer.Option("--optimiser", help="adamw or sgd.")]
PatienceOption: TypeAlias = Annotated[
    int, typer.Option("--patience", help="Stop after so many epochs without a better one.", min=1)
]
ValidationOption: TypeAlias = Annotated[float, typer.Option("--validation", help="Share of pictures held out.")]
UnseenOption: TypeAlias = Annotated[
    int, typer.Option("--unseen", help="Classes kept out of training, to see how the rest fares.", min=0)
]
ViewsOption: TypeAlias = Annotated[int, typer.Option("--views", help="Augmented views kept of a picture.", min=1)]
KeepOption: TypeAlias = Annotated[
    float, typer.Option("--keep", help="Share of the start in the result: what it knows of other classes.")
]
BalanceOption: TypeAlias = Annotated[str, typer.Option("--balance", help="Rare classes: none, sample or weight.")]
PrecisionOption: TypeAlias = Annotated[str, typer.Option("--precision", help="auto, float32 or bfloat16.")]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", help="Equal seeds give equal weights on one machine.")]


@app.command("classifier")
def classifier(
    library: LibraryOption = None,
    label: LabelsOption = None,
    where: WhereOption = None,
    out: OutOption = None,
    name: NameOption = None,
    start: StartOption = "bundled",
    weights: WeightsOption = None,
    head: HeadOption = None,
    pooling: PoolingOption = "mean",
    dropout: DropoutOption = 0.2,
    unfreeze: UnfreezeOption = 10,
    epochs: EpochsOption = 30,
    batch: BatchOption = 64,
    rate: RateOption = RATE,
    optimiser: OptimiserOption = "adamw",
    patience: PatienceOption = 8,
    validation: ValidationOption = 0.2,
    unseen: UnseenOption = 0,
    views: ViewsOption = 4,
    keep: KeepOption = KEEP,
    balance: BalanceOption = "none",
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    store_predictions: Annotated[
        bool, typer.Option("--store-predictions", help="Label every picture with predicted.class and .confidence.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Learn classes: one label a picture, or several. The embedding is the layer before the classes."""
    settings = _settings("classifier", locals())
    with sosie.open(library, create=False) as lib:
        trained = _train(lib, settings, out, name, quiet=as_json)
        if store_predictions:
            from sosie.training.predict import store_predictions as store

            with stages(quiet=as_json) as report:
                count = store(lib, trained.description, progress=lambda done, every: report("labels", done, every, ""))
            note(f"labelled {count} pictures: `sosie labels count predicted.class`")
    return _answer(trained, as_json)


@app.command("metric")
def metric(
    library: LibraryOption = None,
    label: LabelsOption = None,
    where: WhereOption = None,
    out: OutOption = None,
    name: NameOption = None,
    start: StartOption = "bundled",
    weights: WeightsOption = None,
    head: HeadOption = None,
    pooling: PoolingOption = "mean",
    dropout: DropoutOption = 0.2,
    unfreeze: UnfreezeOption = 10,
    epochs: EpochsOption = 30,
    batch: BatchOption = 64,
    rate: RateOption = RATE,
    optimiser: OptimiserOption = "adamw",
    patience: PatienceOption = 8,
    validation: ValidationOption = 0.2,
    unseen: UnseenOption = 0,
    views: ViewsOption = 4,
    keep: KeepOption = KEEP,
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    loss: Annotated[str, typer.Option("--loss", help="triplet, contrastive, arcface or multi-similarity.")] = "triplet",
    mining: Annotated[str, typer.Option("--mining", help="Of triplets: random, semi-hard or hard.")] = "semi-hard",
    margin: Annotated[float, typer.Option("--margin", help="max(d(a,p) - d(a,n) + margin, 0).")] = 0.2,
    per_class: Annotated[int, typer.Option("--per-class", help="Pictures of a class in a step.", min=2)] = 4,
    as_json: JsonOption = False,
) -> int:
    """Learn likeness: pictures of one label near, others far. Several labels count by their overlap."""
    settings = _settings("metric", locals())
    with sosie.open(library, create=False) as lib:
        return _answer(_train(lib, settings, out, name, quiet=as_json), as_json)


@app.command("hash")
def hash_(
    library: LibraryOption = None,
    label: LabelsOption = None,
    where: WhereOption = None,
    out: OutOption = None,
    name: NameOption = None,
    bits: Annotated[int, typer.Option("--bits", help="Length of a code: 32 to 256.")] = 64,
    codes: Annotated[
        str, typer.Option("--codes", help="auto-encoder (no labels needed) or supervised (from labels).")
    ] = "auto-encoder",
    alpha: Annotated[float, typer.Option("--alpha", help="How firmly codes are driven to -1 and 1.", min=0)] = 0.1,
    start: StartOption = "bundled",
    weights: WeightsOption = None,
    head: HeadOption = None,
    pooling: PoolingOption = "mean",
    dropout: DropoutOption = 0.2,
    unfreeze: UnfreezeOption = 0,
    epochs: EpochsOption = 30,
    batch: BatchOption = 64,
    rate: RateOption = 1e-3,
    optimiser: OptimiserOption = "adamw",
    patience: PatienceOption = 8,
    validation: ValidationOption = 0.2,
    unseen: UnseenOption = 0,
    views: ViewsOption = 4,
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> int:
    """Learn codes of a few bytes for the binary index, and compare them with float vectors, ITQ and LSH."""
    settings = _settings("hash", locals())
    with sosie.open(library, create=False) as lib:
        return _answer(_train(lib, settings, out, name, quiet=as_json), as_json)


def _settings(recipe: str, given: dict[str, Any]) -> Settings:
    """Return the settings of a recipe from the options of its command."""
    choices = {
        "pooling": ("mean", "gem", "max"),
        "optimiser": ("adamw", "sgd"),
        "balance": ("none", "sample", "weight"),
        "precision": ("auto", "float32", "bfloat16"),
        "loss": ("triplet", "contrastive", "arcface", "multi-similarity"),
        "mining": ("random", "semi-hard", "hard"),
        "codes": ("auto-encoder", "supervised"),
    }
    for option, known in choices.items():
        if given.get(option, known[0]) not in known:
            raise UsageError(f"--{option} is {', '.join(known[:-1])} or {known[-1]}, not {given[option]!r}")
    names = Settings.__dataclass_fields__.keys() & given.keys()
    chosen = {each: given[each] for each in names if each not in ("label", "head")}
    return Settings(recipe=recipe, labels=tuple(given["label"] or ()), head=sizes(given["head"]), **chosen)  # type: ignore[arg-type]


def sizes(text: str | None) -> tuple[int, ...]:
    """Read the sizes of dense layers."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise UsageError(f"--head takes sizes of dense layers such as 1024,512,256, not {text!r}") from error


@contextmanager
def needs_torch() -> Iterator[None]:
    """Say how to install what training needs, where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "timm", "onnx", "optuna", "pytorch_metric_learning"):
            raise
        raise MissingExtra(f"training needs {error.name}: pip install 'sosie[train]'") from error


def _train(lib: sosie.Library, settings: Settings, out: Path | None, name: str | None, *, quiet: bool) -> Trained:
    folder = out or Path("runs") / f"{settings.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    with needs_torch():
        from sosie.training.run import train

        with stages(quiet=quiet) as report:
            try:
                return train(lib, settings, folder, name=name, report=report)
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
