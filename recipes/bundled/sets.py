"""The features of all shards in one place: rows to learn from, and the validation sets that choose.

A validation set holds labels that nothing is fitted to, of one source: `held_every` in `sources.toml` says which. It
is a twin of an evaluation pack in kind (objects, styles, garments, products seen twice). No class of it is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.bundled.data import Shard, load_shards

__all__ = ["Rows", "Validation", "held_labels", "mean_average_precision", "micro_ap", "read_rows"]

_MOST_PER_LABEL = 40
TEACHERS = ("lite1", "lite2", "edgetpu")


@dataclass(frozen=True, slots=True)
class Validation:
    """Rows of one source by held-out label: which of the held rows, and their labels."""

    name: str
    rows: np.ndarray  # (n,) into `Rows.held`
    labels: np.ndarray  # (n,)


@dataclass(frozen=True, slots=True)
class Rows:
    """Features by network of the pictures to learn from and of the held-out ones, in one order each."""

    fitted: Mapping[str, np.ndarray]  # network → (n, width) float16
    held: Mapping[str, np.ndarray]
    validation: tuple[Validation, ...]


def held_labels(shard: Shard) -> np.ndarray:
    """Return the labels of a shard that are kept out of training."""
    every = shard.held_every
    return np.arange(every // 2, len(shard.labels), every) if every else np.empty(0, np.int64)


def read_rows(packs: Path, features: Path, networks: Sequence[str]) -> Rows:
    """Read what the networks saw; a class held out of one source is left out of all."""
    shards = load_shards(packs)
    names = {shard.labels[i] for shard in shards for i in held_labels(shard)}
    fitted: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    held: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    sets, base = [], 0
    for shard in shards:
        label = np.asarray(shard.label)
        rows = _held_rows(label, held_labels(shard))
        same = [i for i, name in enumerate(shard.labels) if name in names]
        free = ~np.isin(label, same)
        free[shard.leaks] = False
        for name in networks:
            seen = np.load(features / f"{shard.name}.{name}.npy", mmap_mode="r")
            fitted[name].append(np.asarray(seen[free]))
            held[name].append(np.asarray(seen[rows]))
        if len(rows):
            sets.append(Validation(shard.name, np.arange(len(rows)) + base, label[rows]))
        base += len(rows)
    return Rows(
        {name: np.concatenate(parts) for name, parts in fitted.items()},
        {name: np.concatenate(parts) for name, parts in held.items()},
        tuple(sets),
    )


def _held_rows(label: np.ndarray, labels: np.ndarray) -> np.ndarray:
    parts = [np.flatnonzero(label == i)[:_MOST_PER_LABEL] for i in labels]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def mean_average_precision(unit_nd: np.ndarray, labels: np.ndarray) -> float:
    """Return the leave-one-out mAP of cosine likeness by label; a label with one picture is no query."""
    likeness = unit_nd @ unit_nd.T
    np.fill_diagonal(likeness, -np.inf)
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :-1]
    right = labels[order] == labels[:, None]
    precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
    wanted = right.sum(1)
    return float(((precision * right).sum(1)[wanted > 0] / wanted[wanted > 0]).mean())


def micro_ap(queries_md: np.ndarray, references_nd: np.ndarray, truth: np.ndarray) -> float:
    """Return micro-AP of the nearest ten references of each query; `truth` (m,) is its original, -1 for none."""
    scores = queries_md @ references_nd.T
    nearest = np.argpartition(-scores, 10, axis=1)[:, :10]
    found = np.take_along_axis(scores, nearest, 1).ravel()
    right = (nearest == truth[:, None]).ravel()
    order = np.lexsort((right, -found))  # ties in the worst order
    right = right[order]
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    return float((precision * right).sum() / (truth >= 0).sum())
