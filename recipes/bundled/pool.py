"""The training pool in memory: batches of pictures with what the teacher saw, and the held-out pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.bundled.data import Shard, load_shards, read_wordnet_ids
from recipes.bundled.teachers import projection

__all__ = ["Batch", "HeldOut", "Pool", "held_out_labels"]

_HELD_PER_LABEL = 40


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures by stored side (list of uint8 (m, 3, s, s)), and their targets in the same order."""

    pictures: list[Tensor]
    targets: Tensor  # (n, dim) unit length, zero where no teacher looked
    taught: Tensor  # (n,) whether a teacher looked
    probabilities: Tensor  # (n, classes)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pictures of labels never trained on, to choose by: uint8 (n, 3, s, s) per shard, labels over all."""

    pictures: list[Tensor]
    labels: Tensor


def held_out_labels(shard: Shard) -> list[int]:
    """Return the labels of a shard kept out of training: every ninth class of two shards with many classes."""
    if not shard.name.startswith(("Deo0330", "BathVisArtData+PhotoArt50")):
        return []
    return list(range(4, len(shard.labels), 9))


class Pool:
    """All shards of a folder. On an accelerator everything is held there; on a CPU it stays mapped from disk.

    `projection` is a file of the target space: read where it is there, else computed and written, so that a resumed run
    keeps its targets when shards are added.
    """

    def __init__(self, folder: Path, *, projection: Path, device: torch.device, seed: int = 0, dim: int = 256) -> None:
        self._device = device
        self._random = np.random.default_rng(seed)
        shards = load_shards(folder)
        if not shards:
            raise FileNotFoundError(f"no shard under {folder}: run recipes.bundled.data first")
        held = [np.isin(s.label, held_out_labels(s)) for s in shards]
        # the same class in another set (mini- and tiny-ImageNet share some) is kept out as well
        names = {s.labels[i] for s in shards for i in held_out_labels(s)}
        self._rows = [_trainable(s, h, names) for s, h in zip(shards, held, strict=True)]
        self._mean, self._axes = _target_space(projection, shards, self._rows, dim=dim)
        self._pictures = [self._keep(s.pictures) for s in shards]
        self._probs = [self._keep(s.probs) for s in shards]
        self._targets = [self._keep(self._project(s)) for s in shards]
        self.classes = max(int(s.probs.shape[1]) for s in shards)
        self._class = [self._keep(_class_of(s, read_wordnet_ids(folder))) for s in shards]
        sizes = np.array([len(r) * _worth(s) for s, r in zip(shards, self._rows, strict=True)], float)
        self._share = sizes / sizes.sum()
        self.centre()
        self.size = int(sum(len(r) for r in self._rows))
        self.held = _held(shards, held)

    def shuffle(self, seed: int) -> None:
        """Draw from a new beginning."""
        self._random = np.random.default_rng(seed)

    def batch(self, n: int) -> Batch:
        """Draw n pictures, shards in proportion to their size and worth, the shards in a random order."""
        counts = self._random.multinomial(n, self._share)
        parts = []
        for i in self._random.permutation(len(counts)):
            if counts[i]:
                rows = torch.from_numpy(np.sort(self._random.choice(self._rows[i], counts[i]))).to(self._device)
                parts.append(self._part(int(i), rows))
        pictures, targets, taught, probabilities = zip(*parts, strict=True)
        return Batch(list(pictures), torch.cat(targets), torch.cat(taught), torch.cat(probabilities))

    def _part(self, i: int, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return pictures, targets, whether taught, and class probabilities (of the label and of the teacher)."""
        label = self._class[i][rows]
        known = F.one_hot(label.clamp(min=0), self.classes).float()
        taught = torch.full((len(rows),), self._probs[i].shape[1] > 0, device=self._device)
        probs = known
        if bool(taught[0]):
            weight = torch.where(label >= 0, 0.7, 0.0).view(-1, 1)
            probs = weight * known + (1 - weight) * self._probs[i][rows].float()
        pictures = self._pictures[i][rows].permute(0, 3, 1, 2)
        return pictures, self._targets[i][rows].float(), taught, probs

    def _keep(self, array: np.ndarray) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # mapped read-only, and only read
            return torch.from_numpy(np.asarray(array)).to(self._device)

    def _project(self, shard: Shard) -> np.ndarray:
        """Return the targets (n, dim) of a shard; in tiny pictures the teacher errs, so its class's mean has a half."""
        out = np.zeros((len(shard.label), self._axes.shape[1]), np.float16)
        if not shard.embedding.shape[1]:
            return out
        means = _class_means(shard) if shard.pictures.shape[1] < 100 and shard.labels else None
        for start in range(0, len(out), 8192):
            rows = slice(start, start + 8192)
            seen = _unit(shard.embedding[rows])
            if means is not None:
                seen = _unit(seen + np.where(shard.label[rows, None] >= 0, means[shard.label[rows]], seen))
            out[rows] = _unit((seen - self._mean) @ self._axes)
        return out

    def centre(self) -> None:
        """Move the targets so that those of the mixture drawn have no common direction, which no likeness needs.

        The mean of unit vectors is not nothing after the projection; left in, it raised every likeness alike and cost
        0.04 of mAP on the held-out classes.
        """
        taught = [i for i, t in enumerate(self._targets) if self._probs[i].shape[1]]
        means = torch.stack(
            [self._targets[i][:: max(1, len(self._targets[i]) // 4000)].float().mean(0) for i in taught]
        )
        share = torch.tensor(self._share[taught], dtype=torch.float32, device=self._device)
        common = (means * share[:, None]).sum(0) / share.sum()
        for i in taught:
            moved = self._targets[i].float() - common
            self._targets[i] = F.normalize(moved, dim=1).half()


def _class_means(shard: Shard) -> np.ndarray:
    """Return the unit mean embedding (labels, d) of each label."""
    means = np.zeros((len(shard.labels), shard.embedding.shape[1]), np.float32)
    for label in range(len(shard.labels)):
        rows = np.flatnonzero(shard.label == label)
        if len(rows):
            means[label] = _unit(shard.embedding[rows]).mean(0)
    return _unit(means)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), np.float32)


def _target_space(
    path: Path, shards: Sequence[Shard], rows: Sequence[np.ndarray], *, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    if not path.exists():
        taught = [(s, r) for s, r in zip(shards, rows, strict=True) if s.embedding.shape[1]]
        mean, axes = projection(np.concatenate([s.embedding[r[:: max(1, len(r) // 4000)]] for s, r in taught]), dim=dim)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, mean=mean, axes=axes)
    with np.load(path) as stored:
        return stored["mean"], stored["axes"]


def _class_of(shard: Shard, ids: Sequence[str]) -> np.ndarray:
    """Return the teacher's class of each picture's label (0 is the teacher's background), -1 where it has none."""
    number = {name: i + 1 for i, name in enumerate(ids)}
    table = np.array([number.get(name, -1) for name in shard.labels] + [-1], np.int64)
    return table[shard.label]


def _worth(shard: Shard) -> float:
    """Return how often a picture of the shard is drawn: tiny pictures say less."""
    side = shard.pictures.shape[1]
    return 0.6 if side < 80 else 1.0 if side < 100 else 1.5


def _trainable(shard: Shard, held: np.ndarray, names: set[str]) -> np.ndarray:
    """Return the rows that may be trained on: not of a held-out class, and not a near-duplicate found by `leaks`."""
    same = [i for i, name in enumerate(shard.labels) if name in names]
    fine = ~held & ~np.isin(shard.label, same)
    fine[shard.leaks] = False
    return np.flatnonzero(fine)


def _held(shards: Sequence[Shard], held: Sequence[np.ndarray]) -> HeldOut:
    pictures, labels, base = [], [], 0
    for shard, mask in zip(shards, held, strict=True):
        if not mask.any():
            continue
        rows = [np.flatnonzero(shard.label == i)[:_HELD_PER_LABEL] for i in held_out_labels(shard)]
        chosen = np.concatenate(rows)
        pictures.append(torch.from_numpy(np.array(shard.pictures[chosen])).permute(0, 3, 1, 2))
        labels.append(torch.from_numpy(shard.label[chosen].astype(np.int64)) + base)
        base += len(shard.labels)
    return HeldOut(pictures, torch.cat(labels) if labels else torch.empty(0, dtype=torch.int64))
