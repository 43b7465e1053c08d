"""The model card: what a package was trained on and what it measures (Mitchell et al., 2019)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sosie import files
from sosie.evaluation.runs import plain
from sosie.training.measure import Gain

if TYPE_CHECKING:
    from sosie.training.trained import Trained

__all__ = ["write_card", "write_summary"]

_MEASURES = ("mAP", "recall@1", "nDCG@10")


def write_card(trained: Trained) -> Path:
    """Write MODEL_CARD.md into the run's folder."""
    path = trained.folder / "MODEL_CARD.md"
    files.write(path, "\n".join([*_head(trained), *_data(trained), *_measures(trained), *_use(trained), ""]))
    return path


def _head(trained: Trained) -> list[str]:
    start = trained.start
    return [
        f"# {trained.name}",
        "",
        f"A {trained.settings.recipe} trained by `sosie train` from {start.origin}.",
        "",
        f"- Licence of the start: {start.licence}. The pictures and labels that it was trained on are yours to judge.",
        f"- Input: RGB 0..255, {start.side} × {start.side} pixels. Output: a unit vector.",
        f"- The ONNX file gives what torch gave to {trained.difference:.0e}.",
        "",
    ]


def _data(trained: Trained) -> list[str]:
    examples = trained.examples
    counts = examples.labels.member.sum(axis=0)
    rows = [f"| {n} | {c} |" for n, c in zip(examples.labels.names, counts, strict=True) if n in examples.names]
    refused = [f"- skipped: {count} ({why})" for why, count in trained.refused.items()]
    unseen = [f"- classes kept out of training: {', '.join(examples.unseen_names)}"] if examples.unseen_names else []
    return [
        "## Data",
        "",
        f"- learned from {len(examples.training)} pictures, held out {len(examples.validation)}; "
        "near copies stand on one side",
        f"- labels: {', '.join(examples.keys) or 'none'}"
        + (f"; --where {trained.settings.where}" if trained.settings.where else ""),
        *unseen,
        *refused,
        *(f"- {note}" for note in examples.notes),
        "",
        *(["| class | pictures |", "|---|---:|", *rows, ""] if rows else []),
    ]


def _measures(trained: Trained) -> list[str]:
    lines = ["## Measures", ""]
    for gain in trained.gains:
        lines += [
            f"On {gain.pictures} {gain.what}:",
            "",
            "| measure | vectors | value | difference (95 %) |",
            "|---|---|---:|---|",
        ]
        lines += [*_gain_rows(gain), ""]
    lines += [f"- classes told right {how}: {share:.3f}" for how, share in trained.accuracy.items()]
    return [*lines, ""]


def _gain_rows(gain: Gain) -> list[str]:
    rows = []
    for row in gain.rows:
        if row["measure"] in _MEASURES:
            change = (
                "" if row["difference"] is None else f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
            )
            rows.append(f"| {row['measure']} | {row['set-up']} | {row['value']:.3f} | {change} |")
    return rows


def _use(trained: Trained) -> list[str]:
    return [
        "## Use",
        "",
        "    sosie models add FOLDER",
        f"    sosie models try {trained.name}",
        f"    sosie models use {trained.name}",
        "",
        "It was fitted to one collection: measure it before it is used on another. All settings are in settings.json.",
    ]


def write_summary(trained: Trained) -> Path:
    """Write report.json: every figure of the run."""
    examples, history = trained.examples, trained.history
    summary = {
        "package": str(trained.description),
        "best": history.epochs[history.best],
        "epochs": history.epochs,
        "gains": [gain.to_json() for gain in trained.gains],
        "accuracy": trained.accuracy,
        "pictures": {name: len(getattr(examples, name)) for name in ("training", "validation", "unseen")},
        "refused": trained.refused,
        "notes": list(examples.notes),
        "onnx_difference": trained.difference,
        "settings": trained.settings.to_json(),
    }
    path = trained.folder / "report.json"
    files.write_json(path, plain(summary), indent=1)
    return path
