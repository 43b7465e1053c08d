"""Measure networks on labelled packs: leave-one-out mAP, one table, models down and packs across.

python -m recipes.bundled.evaluate --data FOLDER --model NAME=FILE.onnx:SIDE[:OUTPUT[:SCALING]] ...

SCALING is `raw` (RGB 0..255, the default) or `signed` (x / 127.5 - 1). The word `histogram` as a model is the colour
histogram. Only for reporting: nothing is chosen by these packs.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["PACKS", "Model", "average_precision", "mean_average_precision", "read_model", "read_pack"]

PACKS = ("caltech101-dev", "art-dev", "crossdepict-dev", "clothes-dev", "instances-dev")
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Model:
    """A local network and how it is fed."""

    name: str
    path: Path
    side: int = 160
    output: str = "semantic"
    scaling: str = "raw"


def read_model(text: str) -> Model:
    """Read NAME=FILE:SIDE[:OUTPUT[:SCALING]]."""
    if text == "histogram":
        return Model("histogram", Path())
    name, rest = text.split("=", 1)
    path, *more = rest.split(":")
    side = int(more[0]) if more else 160
    return Model(name, Path(path), side, *more[1:])


def read_pack(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures of a pack and their labels."""
    with (folder / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [folder / row["path"] for row in rows], [row["label"] for row in rows]


def load_square(path: Path, side: int) -> np.ndarray:
    """Return a picture squashed to (side, side, 3) uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def histogram_vectors(paths: list[Path]) -> np.ndarray:
    """Return 4 x 4 x 4 colour histograms (n, 64), square-rooted, of unit length."""
    rows = []
    for path in paths:
        pixels = load_square(path, 64).reshape(-1, 3).astype(int) // 64
        counts = np.bincount(pixels @ [16, 4, 1], minlength=64)
        rows.append(np.sqrt(counts / counts.sum()))
    return np.stack(rows).astype(np.float32)


def runner(model: Model, *, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from uint8 pictures (n, s, s, 3) to unit vectors (n, d)."""
    import onnxruntime as ort

    from recipes.bundled.teachers import dequantise

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(dequantise(model.path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(pictures_nhwc: np.ndarray) -> np.ndarray:
        x = pictures_nhwc.astype(np.float32).transpose(0, 3, 1, 2)
        x = x / 127.5 - 1 if model.scaling == "signed" else x
        rows = session.run([model.output], {name: np.ascontiguousarray(x)})[0].reshape(len(x), -1)
        return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), np.float32)

    return run


def vectors(model: Model, paths: list[Path]) -> np.ndarray:
    """Return the unit vectors (n, d) of pictures by a model."""
    if model.name == "histogram":
        return histogram_vectors(paths)
    run = runner(model)
    parts = [paths[i : i + _BATCH] for i in range(0, len(paths), _BATCH)]
    return np.concatenate([run(np.stack([load_square(p, model.side) for p in part])) for part in parts])


def average_precision(right: np.ndarray) -> float:
    """Return the average precision of a ranking given as booleans, best first."""
    hits = np.flatnonzero(right)
    return float(np.mean((np.arange(len(hits)) + 1) / (hits + 1))) if len(hits) else 0.0


def mean_average_precision(unit_nd: np.ndarray, labels: list[str]) -> float:
    """Return the leave-one-out mAP of cosine likeness by label; a label with one picture is no query."""
    likeness = unit_nd @ unit_nd.T
    np.fill_diagonal(likeness, -np.inf)
    named = np.array(labels)
    found = []
    for i, order in enumerate(np.argsort(-likeness, axis=1, kind="stable")[:, :-1]):
        right = named[order] == named[i]
        if right.any():
            found.append(average_precision(right))
    return float(np.mean(found))


def main() -> None:
    """Print the table (Markdown) and, with --json, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--packs", default=",".join(PACKS))
    parser.add_argument("--model", action="append", required=True, type=read_model)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    packs = options.packs.split(",")
    print("| model | side | " + " | ".join(packs) + " |\n|---|---|" + "---|" * len(packs))
    table = {}
    for model in options.model:
        figures = {}
        for pack in packs:
            paths, labels = read_pack(options.data / pack)
            figures[pack] = round(mean_average_precision(vectors(model, paths), labels), 4)
        table[model.name] = {"side": model.side, **figures}
        print(f"| {model.name} | {model.side} | " + " | ".join(f"{v:.3f}" for v in figures.values()) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
