"""Compute printed numbers again, by NumPy and scikit-learn, from exported vectors, and show both.

    python benchmarks/audit.py [--pictures 600] [--seed 0]

A library of drawn vectors with labels is searched, indexed and evaluated by Sosie; what it says is set beside what
independent code finds. None of Sosie's arithmetic is used for the second figure. Exit code 1 where one differs by more
than its tolerance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

import sosie
from sosie.evaluation.collection import from_library
from sosie.evaluation.labels import predict_labels, score_labels
from sosie.library import Library
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered

K = 10


@dataclass(frozen=True)
class Row:
    """A number as it is said and as it is computed again; they agree within ``tolerance``."""

    name: str
    said: float
    again: float
    tolerance: float = 1e-6

    @property
    def difference(self) -> float:
        """How far apart the two lie."""
        return abs(self.said - self.again)

    @property
    def agrees(self) -> bool:
        """Whether that is within the tolerance."""
        return bool(self.difference <= self.tolerance)


def audit(folder: Path, *, pictures: int, seed: int) -> list[Row]:
    """Return every number that is audited, of a library of its own in ``folder``."""
    rng = np.random.default_rng(seed)
    vectors = clustered(pictures, 320)
    labels = rng.integers(0, 7, pictures)
    numbers = 1_234_567 + rng.integers(0, 4, pictures) / 100
    with sosie.open(folder / "library", model="histogram") as library:
        fill_with_vectors(library, vectors)
        each = {i + 1: {"class": f"c{labels[i]}", "n": float(numbers[i])} for i in range(pictures)}
        library.catalogue.set_labels_of_each(each)
        return [
            *_searches(library, "exact"),
            *_counts(library, labels, numbers),
            *_measures(library, folder, labels),
            *_index(library),
        ]


def _exported(library: Library) -> tuple[np.ndarray, np.ndarray]:
    ids, vectors = library.catalogue.vectors(library.engine.spaces[0])
    return ids, vectors.astype(np.float64)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)  # a stored one is of half precision: its length is 1 within 1e-4


def _searches(library: Library, kind: str) -> Iterator[Row]:
    ids, vectors = _exported(library)
    worst, agreeing = 0.0, 0
    for at in range(0, len(ids), max(1, len(ids) // 20)):
        result = library.search(int(ids[at]), k=K, verify=False)
        scores = np.delete(vectors @ _unit(vectors[at]), at)
        best = np.sort(scores)[::-1][:K]
        worst = max(worst, float(np.abs(best - [hit.score for hit in result]).max()))
        agreeing += [hit.rank for hit in result] == list(range(1, K + 1))
    yield Row(f"{kind}: worst score of a hit", worst, 0.0, 2e-6)
    yield Row(f"{kind}: answers whose ranks run from 1 to k", agreeing, len(range(0, len(ids), max(1, len(ids) // 20))))


def _counts(library: Library, labels: np.ndarray, numbers: np.ndarray) -> Iterator[Row]:
    said = library.labels()
    for name, count in Counter(f"c{each}" for each in labels).items():
        yield Row(f"labels count: class {name}", said["class"][name], count, 0)
    for value, count in Counter(numbers.tolist()).items():
        yield Row(f"labels count: n = {value!r}", said["n"].get(repr(value).removesuffix(".0"), 0), count, 0)
        yield Row(f"--where: n = {value!r}", len(library.pictures(where=f"n = {value!r}", limit=10**6)), count, 0)


def _measures(library: Library, folder: Path, labels: np.ndarray) -> Iterator[Row]:
    average: list[float] = []
    right: list[float] = []
    score = score_labels(predict_labels(folder / "run", from_library(library), keys=("class",)))
    _, vectors = _exported(library)
    for at, mine in enumerate(labels):
        scores, same = np.delete(vectors @ vectors[at], at), np.delete(labels, at) == mine
        average.append(average_precision_score(same, scores))
        right.append(same[np.argsort(-scores, kind="stable")[:K]].mean())
    yield Row("evaluate labels: mAP", score.metrics["mAP"], float(np.mean(average)))
    yield Row(f"evaluate labels: precision@{K}", score.metrics[f"precision@{K}"], float(np.mean(right)))


def _index(library: Library) -> Iterator[Row]:
    manifest = library.indexes.build("hnsw", {"links": 4, "ef": 12})
    ids, vectors = _exported(library)
    found = []
    for at in range(0, len(ids), 3):
        result = library.search(int(ids[at]), k=K, verify=False)
        near = np.delete(ids, at)[np.argsort(-np.delete(vectors @ vectors[at], at))[:K]]
        found.append(len({hit.id for hit in result} & set(near.tolist())) / K)
        exact = vectors[[hit.id - 1 for hit in result]] @ _unit(vectors[at])
        yield Row(
            f"hnsw: scores of picture {ids[at]}", float(np.abs(exact - [h.score for h in result]).max()), 0.0, 2e-6
        )
    # the program measures by queries that it holds out or draws, this by all: they agree within sampling
    yield Row("hnsw: recall at 10", float(manifest.recall or 0), float(np.mean(found)), 0.1)


def main() -> int:
    """Print the table; 1 where a number differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = audit(Path(folder), pictures=given.pictures, seed=given.seed)
    width = max(len(row.name) for row in rows)
    print(f"{'number':{width}}  {'said':>14}  {'recomputed':>14}  difference")
    for row in rows:
        print(
            f"{row.name:{width}}  {row.said:14.7f}  {row.again:14.7f}  {row.difference:.1e}"
            f"{'' if row.agrees else '  DIFFERS'}"
        )
    return int(not all(row.agrees for row in rows))


if __name__ == "__main__":
    sys.exit(main())
