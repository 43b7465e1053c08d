"""``sosie tune``: find the settings of a recipe that suit your pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import sosie
from sosie.cli.filters import check_where
from sosie.cli.options import JsonOption, LibraryOption, WhereOption
from sosie.cli.output import emit_json, note
from sosie.cli.train import (
    EpochsOption,
    LabelsOption,
    OutOption,
    SeedOption,
    StartOption,
    UnfreezeOption,
    UnseenOption,
    ValidationOption,
    ViewsOption,
    WeightsOption,
    needs_torch,
    stages,
)
from sosie.errors import UsageError

if TYPE_CHECKING:
    from sosie.training.tuning import Tuned

__all__ = ["tune"]

_RECIPES = ("classifier", "metric", "hash")


def tune(
    recipe: Annotated[str, typer.Argument(help="classifier, metric, hash, or index.")],
    library: LibraryOption = None,
    trials: Annotated[int, typer.Option("--trials", help="How many settings to try, in all.", min=1)] = 20,
    label: LabelsOption = None,
    where: WhereOption = None,
    out: OutOption = None,
    start: StartOption = "bundled",
    weights: WeightsOption = None,
    unfreeze: UnfreezeOption = 0,
    epochs: EpochsOption = 20,
    validation: ValidationOption = 0.2,
    unseen: UnseenOption = 0,
    views: ViewsOption = 4,
    kind: Annotated[str, typer.Option("--kind", help="Of index: lsh, hnsw or binary.")] = "lsh",
    recall: Annotated[float, typer.Option("--recall", help="Of index: recall@10 that has to be reached.")] = 0.95,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> int:
    """Try settings with Optuna: units, dropout, optimiser, rate, margin, code bits, or the parameters of an index.

    Trials that fall behind are ended early. The same command with --out goes on, and --trials may be raised. The
    table is also on TensorBoard's HParams page: `tensorboard --logdir OUT/logs`.
    """
    folder = out or Path("runs") / f"tune-{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    if recipe not in (*_RECIPES, "index"):
        raise UsageError(f"there is no recipe {recipe!r}: classifier, metric, hash or index")
    with sosie.open(library, create=False) as lib, needs_torch():
        check_where(lib, where)
        from sosie.training.settings import Settings
        from sosie.training.tuning import tune_index, tune_recipe

        with stages(quiet=as_json) as report:
            if recipe == "index":
                tuned = tune_index(lib, kind, folder, trials=trials, recall=recall, seed=seed, report=report)
            else:
                settings = Settings(
                    recipe,  # type: ignore[arg-type]
                    start=start,
                    weights=weights,
                    labels=tuple(label or ()),
                    where=where,
                    unfreeze=unfreeze,
                    epochs=epochs,
                    validation=validation,
                    unseen=unseen,
                    views=views,
                    seed=seed,
                )
                tuned = tune_recipe(lib, settings, folder, trials=trials, report=report)
    return _answer(tuned, as_json)


def _answer(tuned: Tuned, as_json: bool) -> int:
    if as_json:
        emit_json(tuned.to_json())
        return 0
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = list(tuned.best.drawn)
    table = Table("trial", *names, tuned.measure, "epochs", "", box=box.SIMPLE)
    for trial in sorted(tuned.trials, key=lambda t: (t.state != "complete", -(t.value or 0.0))):
        drawn = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in (trial.drawn.get(name, "") for name in names)]
        value = "–" if trial.value is None else f"{trial.value:.4g}"
        table.add_row(
            str(trial.number), *drawn, value, str(trial.epochs), "" if trial.state == "complete" else trial.state
        )
    console = Console()
    # a file or a pipe has no width; nothing of a table is cut there
    (console if console.is_terminal else Console(width=160)).print(table)
    note(f"best: trial {tuned.best.number}; HParams: `tensorboard --logdir {tuned.folder / 'logs'}`")
    return 0
