"""The report of a run: what it changed, how it went, what it was told; one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sosie import files
from sosie.evaluation.figures import STYLE, tiles
from sosie.present.charts import Series, line_chart
from sosie.present.page import Html, escape, page, section, table
from sosie.training.loop import Epoch

if TYPE_CHECKING:
    from sosie.library import Library
    from sosie.training.trained import Prepared, Trained
    from sosie.training.trainee import Trainee

__all__ = ["learning_curve", "sections", "write_report"]

Section = tuple[str, str, Html]  # anchor, heading, body


def write_report(trained: Trained, *, extra: Sequence[Section] = ()) -> Path:
    """Write report.html into the run's folder; ``extra`` are sections (anchor, heading, body) of the recipe's own."""
    parts = [("gain", "What it changed", _gains(trained)), ("curve", "How it went", _course(trained)), *extra]
    parts.append(("settings", "What it was told", _settings(trained)))
    body = "".join(section(*part) for part in parts)
    examples = trained.examples
    lead = (
        f"{trained.settings.recipe} from {trained.start.origin}: {len(examples.training)} pictures to learn from, "
        f"{len(examples.validation)} to judge by"
    )
    path = trained.folder / "report.html"
    text = page(f"Training: {trained.name}", body, toc=[part[:2] for part in parts], lead=lead, style=STYLE)
    files.write(path, text)
    return path


def _gains(trained: Trained) -> Html:
    parts = []
    for gain in trained.gains:
        rows = [[r[k] for k in ("measure", "set-up", "value", "difference", "low", "high")] for r in gain.rows]
        head = ("measure", "vectors", "value", "difference", "95 % from", "to")
        parts.append(Html(f"<h3>{escape(gain.what)} ({gain.pictures})</h3>"))
        last = gain.rows[-1]["set-up"]
        shown = {f"mAP {name}": gain.value("mAP", name) for name in (gain.rows[0]["set-up"], last)}
        parts.append(tiles(shown))
        parts.append(table(rows, head))
    if trained.accuracy:
        parts.append(table(list(trained.accuracy.items()), ("classes told right", "share")))
    return Html("".join(parts)) if parts else Html("<p>There are no labels to judge by.</p>")


def _course(trained: Trained) -> Html:
    history = trained.history
    kept = f"<p>Epoch {history.best} was kept, of {len(history.epochs) - 1}; epoch 0 is before training.</p>"
    return Html(learning_curve(history.epochs) + kept)


def learning_curve(epochs: Sequence[Epoch], title: str = "Held-out pictures, epoch by epoch") -> Html:
    """Return the loss on one chart and the held-out measures on another."""
    names = [name for name in epochs[-1] if name not in ("epoch", "loss")]
    xs = [epoch["epoch"] for epoch in epochs]
    measures = [Series(name, xs, [epoch.get(name, np.nan) for epoch in epochs]) for name in names]
    learned = [epoch for epoch in epochs if "loss" in epoch]
    loss = Series("loss", [epoch["epoch"] for epoch in learned], [epoch["loss"] for epoch in learned])
    charts = line_chart(measures, title=title, x_label="epoch", y_label="measure")
    if learned:
        charts = Html(charts + line_chart([loss], title="Loss on training pictures", x_label="epoch", y_label="loss"))
    return charts


def _settings(trained: Trained) -> Html:
    rows: list[list[Any]] = [
        [k, ", ".join(map(str, v)) if isinstance(v, list) else str(v)] for k, v in trained.settings.to_json().items()
    ]
    notes = [
        *trained.examples.notes,
        *(f"{count} pictures were skipped: {why}" for why, count in trained.refused.items()),
    ]
    said = "".join(f"<li>{escape(each)}</li>" for each in notes)
    return Html((f"<ul>{said}</ul>" if said else "") + table(rows, ("setting", "value")))


def sections(library: Library, trained: Trained, trainee: Trainee, prepared: Prepared) -> list[Section]:
    """Return what the report of a recipe has of its own."""
    if trained.settings.recipe == "metric":
        from sosie.training.sheet import triplet_sheet

        return [("triplets", "Triplets", triplet_sheet(library, trainee, prepared, trained.settings))]
    if trained.settings.recipe == "hash":
        return [("bits", "Bits", _bits(trainee, prepared))]
    return []


def _bits(trainee: Trainee, prepared: Prepared) -> Html:
    from sosie.training.codes import bit_report
    from sosie.training.trainee import embeddings

    rows = prepared.store.readable(prepared.examples.validation)
    found = bit_report(trainee.objective.vectors(embeddings(trainee, prepared.store, rows)).numpy())
    return Html(f"<p>{escape('On held-out pictures ' + found.words())}.</p>")
