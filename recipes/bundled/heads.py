"""Fit the two heads on what the still backbone saw: minutes of one core.

python -m recipes.bundled.heads --packs PACKS --features FEATURES --size 0 --out HEADS.safetensors

The semantic head is linear: principal axes of what the backbone itself says (square roots of its last features,
centred, a little whitened), of means and deviations of its stages, and of what can be told of the teachers from all
stages (ridge regression to the principal axes of Lite1, Lite2 and EdgeTPU side by side), where there are any. The copy
head is learned by contrast between pictures and altered copies.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from recipes.bundled import losses
from recipes.bundled.sets import TEACHERS, Rows, mean_average_precision, micro_ap, read_rows

__all__ = ["COPY_DIM", "SEMANTIC_DIM", "Linear", "fit_copy", "fit_semantic", "prepared", "report"]

SEMANTIC_DIM, COPY_DIM = 256, 128
# not small, since training on (`sosie train`) moves weights by steps of one size
_LONG = 100.0
_LAST = 1280  # channels of the last convolution
_MEANS = slice(-2 * _LAST, -_LAST)  # where the features say its means


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear map of prepared features (n, width): weight (out, width), bias (out,)."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return unit vectors (n, out)."""
        return unit(features @ self.weight.T + self.bias)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length."""
    rows = np.asarray(rows, np.float32)
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), np.float32)


def prepared(features: np.ndarray) -> np.ndarray:
    """Return features with the square root taken of the means of the last convolution, which are not negative."""
    x = np.asarray(features, np.float32)
    x[:, _MEANS] = np.sqrt(np.maximum(x[:, _MEANS], 0))
    return x


def principal(rows: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean (d,), the `dim` leading axes (d, dim) and their variances (dim,)."""
    mean = rows.mean(0)
    values, axes = np.linalg.eigh(np.cov(rows - mean, rowvar=False).astype(np.float32))
    return mean, np.ascontiguousarray(axes[:, ::-1][:, :dim]), values[::-1][:dim]


def own_axes(x: np.ndarray, *, power: float) -> Linear:
    """Return the principal axes of the roots of the last features, whitened a little (`power` 0: not at all)."""
    mean, axes, values = principal(x[:, _MEANS], SEMANTIC_DIM)
    axes = axes * (values / values[0]) ** (-power / 2)
    weight = np.zeros((SEMANTIC_DIM, x.shape[1]), np.float32)
    weight[:, _MEANS] = axes.T
    return Linear(weight, -(mean @ axes))


def stage_statistics(x: np.ndarray) -> Linear:
    """Return means and deviations of the stages before the last convolution, each of unit deviation over pictures."""
    width = x.shape[1] - 2 * _LAST
    scale = 1 / (x[:, :width].std(0) + 1e-3)
    weight = np.zeros((width, x.shape[1]), np.float32)
    np.fill_diagonal(weight, scale)
    return Linear(weight, -x[:, :width].mean(0) * scale)


def teacher_targets(seen: dict[str, np.ndarray], *, power: float) -> np.ndarray:
    """Return the teachers' unit vectors, centred, side by side, along their principal axes, of unit length."""
    parts = []
    for rows in seen.values():
        each = unit(rows)
        parts.append(each - each.mean(0))
    both = np.concatenate(parts, 1)
    mean, axes, values = principal(both, SEMANTIC_DIM)
    return unit((both - mean) @ (axes * (values / values[0]) ** (-power / 2)))


@dataclass(frozen=True, slots=True)
class Compressed:
    """Features scaled to unit deviation along their leading axes: fits in fewer numbers give maps of all of them."""

    mean: np.ndarray  # (width,)
    axes: np.ndarray  # (width, dim), the scale inside

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return (n, dim)."""
        return np.asarray((x - self.mean) @ self.axes, np.float32)

    def unfolded(self, weight: np.ndarray, bias: np.ndarray) -> Linear:
        """Return a map of compressed features as one of the features themselves."""
        whole = weight @ self.axes.T
        return Linear(whole.astype(np.float32), (bias - whole @ self.mean).astype(np.float32))


def compress(x: np.ndarray, dim: int) -> Compressed:
    """Return the leading axes of scaled features (n, width), widest first, by a random range finder (Halko, 2011)."""
    mean, scale = x.mean(0), 1 / (x.std(0) + 1e-3)
    z = (x - mean) * scale
    dim = min(dim, *z.shape)
    basis = np.random.default_rng(0).normal(size=(z.shape[1], dim)).astype(np.float32)
    for _ in range(2):
        basis, _ = np.linalg.qr(z.T @ (z @ basis))
    _, turned = np.linalg.eigh(np.cov(z @ basis, rowvar=False))
    return Compressed(mean, np.asarray((basis @ turned[:, ::-1]) * scale[:, None], np.float32))


def ridge(x: np.ndarray, targets: np.ndarray, *, strength: float, dim: int = 1024) -> Linear:
    """Return the least-squares map of features (n, width), along their `dim` leading axes, to targets."""
    few = compress(x, dim)
    z = few(x)
    gram = z.T @ z
    gram[np.diag_indices_from(gram)] += strength * len(z)
    return few.unfolded(np.linalg.solve(gram, z.T @ (targets - targets.mean(0))).T, np.zeros(targets.shape[1]))


def joined(x: np.ndarray, heads: list[tuple[float, Linear]]) -> Linear:
    """Return one head for several side by side, each weighed and scaled to unit mean length, by principal axes."""
    weights, biases = [], []
    for share, head in heads:
        long = np.linalg.norm(x @ head.weight.T + head.bias, axis=1).mean()
        weights.append(head.weight * (share / long))
        biases.append(head.bias * (share / long))
    weight, bias = np.concatenate(weights), np.concatenate(biases)
    mean, axes, _ = principal(x @ weight.T + bias, SEMANTIC_DIM)
    return lengthened(x, Linear((axes.T @ weight).astype(np.float32), (axes.T @ (bias - mean)).astype(np.float32)))


def lengthened(x: np.ndarray, head: Linear) -> Linear:
    """Return a head whose vectors have the mean length `_LONG` before they are made 1."""
    factor = np.float32(_LONG / np.linalg.norm(x @ head.weight.T + head.bias, axis=1).mean())
    return Linear(head.weight * factor, head.bias * factor)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the validation sets choose."""

    power: float = 0.35  # of the whitening
    stages: float = 0.3  # the share of the stages' statistics beside the last features
    teachers: float = 0.0  # the share of what is told of the teachers
    strength: float = 0.3  # of the ridge


def last_means(features: np.ndarray) -> np.ndarray:
    """Return the means of the last convolution (n, 1280) of backbone features; other embeddings as they are."""
    return np.asarray(features if features.shape[1] == _LAST else features[:, _MEANS], np.float32)


def fit_semantic(x: np.ndarray, taught: dict[str, np.ndarray], choice: Choice) -> Linear:
    """Fit the semantic head to prepared features (n, width) and what the teachers saw of the same pictures."""
    parts = [(1.0, own_axes(x, power=choice.power)), (choice.stages, stage_statistics(x))]
    if choice.teachers:
        targets = teacher_targets(taught, power=choice.power)
        parts.append((choice.teachers, ridge(x, targets, strength=choice.strength)))
    return joined(x, parts)


def fit_copy(x: np.ndarray, altered: np.ndarray, *, dim: int = COPY_DIM, passes: int = 60, batch: int = 512) -> Linear:
    """Fit the copy head: a picture's altered copy is nearest to it among all (after SSCD, Pizzi et al., 2022).

    It begins as the whitened principal axes of the features. One in two copies is mirrored, so that the vector becomes
    blind to it. ``x`` and ``altered`` are prepared features (n, width) of pictures and of a copy of each.
    """
    torch.manual_seed(0)
    few = compress(x, 1024)
    seen, copied = (few(each) for each in (x, altered))
    deviation = seen.std(0)
    start = np.eye(dim, seen.shape[1], dtype=np.float32) / deviation
    head = torch.nn.Linear(seen.shape[1], dim)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start))
        head.bias.zero_()
    pairs = torch.from_numpy(seen), torch.from_numpy(copied)
    _contrast(head, pairs, steps=max(1, passes * len(x) // batch), batch=batch)
    return few.unfolded(head.weight.detach().numpy(), head.bias.detach().numpy())


def _contrast(
    head: torch.nn.Linear, pairs: tuple[Tensor, Tensor], *, steps: int, batch: int, rate: float = 1e-3
) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.05, fused=True)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * (1 - step / steps)
        rows = torch.randint(0, len(pairs[0]), (batch,))
        originals, copies = (F.normalize(head(each[rows]), dim=1) for each in pairs)
        loss = losses.contrast(copies, originals) + losses.contrast(originals, copies) + 0.3 * losses.entropy(originals)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def report(rows: Rows, student: str, semantic: Linear, copy: Linear | None = None) -> dict[str, float]:
    """Return mAP on each validation set, their mean, and micro-AP of altered copies among the held-out pictures."""
    x = prepared(rows.held[student])
    seen = semantic(x)
    figures = {each.name: mean_average_precision(seen[each.rows], each.labels) for each in rows.validation}
    figures["mean"] = float(np.mean(list(figures.values())))
    if copy is not None:
        figures["copies"] = copies_figure(x, prepared(rows.held[f"{student}.altered"]), copy)
    return figures


def copies_figure(x: np.ndarray, altered: np.ndarray, copy: Linear) -> float:
    """Return micro-AP where half of the altered pictures have no original among the references."""
    references = np.arange(0, len(x), 2)
    truth = np.full(len(x), -1)
    truth[references] = np.arange(len(references))
    return micro_ap(copy(altered), copy(x[references]), truth)


def main() -> None:
    """Fit, measure on the validation sets, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--size", type=int, default=0, choices=(0, 1, 2))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    student = f"lite{options.size}"
    choice = Choice()
    teachers = TEACHERS if choice.teachers else ()
    rows = read_rows(options.packs, options.features, list(dict.fromkeys([student, f"{student}.altered", *teachers])))
    x = prepared(rows.fitted[student])
    semantic = fit_semantic(x, {name: last_means(rows.fitted[name]) for name in teachers}, choice)
    copy = fit_copy(x, prepared(rows.fitted[f"{student}.altered"]))
    print(json.dumps({k: round(v, 4) for k, v in report(rows, student, semantic, copy).items()}, indent=1))
    tensors = {"semantic.weight": semantic.weight, "semantic.bias": semantic.bias}
    save_file({**tensors, "copy.weight": copy.weight, "copy.bias": copy.bias}, options.out)


if __name__ == "__main__":
    main()
