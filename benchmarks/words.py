"""Single words by the bundled network: what a label's word finds on labelled packs, and what is said without one.

    python benchmarks/words.py DATA [--packs caltech101-dev crossdepict-dev clothes-dev]

DATA holds packs: folders with ``manifest.csv`` (path, label). Each goes into a library without its labels, which would
be words themselves. Each label is asked for as a person would type it; mean average precision over the whole pack, and
how often the first hit is right, over the labels that have a word. Nothing is chosen by these packs.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from pathlib import Path

import numpy as np

import sosie
from sosie.errors import UsageError
from sosie.library import Library
from sosie.sources import SourceOptions, open_source

PACKS = ("caltech101-dev", "crossdepict-dev", "clothes-dev")
TYPED = {"car_side": "car", "crocodile_head": "crocodile", "tower-pisa": "tower of pisa"}


def typed(label: str) -> str:
    """Return what a person would type for a label."""
    return TYPED.get(label, re.sub(r"[-_]\d+$", "", label).replace("_", " "))


def score(lib: Library, label: str, truth: dict[int, str]) -> tuple[float, bool]:
    """Return the average precision of a label's word, and whether the first hit is right."""
    found = lib.search(text=typed(label), k=len(truth), verify=False)
    right = np.array([truth[hit.id] == label for hit in found])
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    return float(precision[right].mean()), bool(right[0])


def measure(pack: Path, folder: Path) -> None:
    """Print the figures of one pack."""
    rows = list(csv.DictReader((pack / "manifest.csv").open(newline="")))
    label_of = {row["path"].rpartition("/")[2]: row["label"] for row in rows}
    with sosie.open(folder / pack.name) as lib:
        lib.add(open_source(str(pack / "images"), SourceOptions()))
        truth = {record.id: label_of[record.uris[0].rpartition("/")[2]] for record in lib.pictures()}
        scores, refused = {}, {}
        for label in sorted(set(truth.values())):
            try:
                scores[label] = score(lib, label, truth)
            except UsageError as error:
                refused[label] = str(error).partition(";")[0]
    mean = np.mean([value for value, _ in scores.values()])
    first = np.mean([right for _, right in scores.values()])
    print(
        f"## {pack.name}: mAP {mean:.3f}, first right {first:.2f}, {len(scores)} of {len(scores) + len(refused)} labels"
    )
    print(" ".join(f"{typed(label)} {value:.2f}" for label, (value, _) in scores.items()))
    print("".join(f"  {typed(label)}: {said}\n" for label, said in refused.items()))


def main() -> None:
    """Measure each pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--packs", nargs="+", default=PACKS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.packs:
            measure(options.data / name, Path(scratch))


if __name__ == "__main__":
    main()
