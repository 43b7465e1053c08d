"""Which pictures go into a step together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sosie.training.settings import Settings

__all__ = ["batches"]


def batches(member: Any, settings: Settings, chance: torch.Generator) -> list[Any]:
    """Return rows (b,) of each step of one epoch; ``member`` (n, classes) says which picture has which class.

    Metric learning takes ``per_class`` pictures of each of some classes, so that every batch has pairs. ``sample``
    draws pictures of rare classes as often as others.
    """
    n = len(member)
    size = min(settings.batch, n)
    if settings.recipe == "metric":
        return _by_class(member, size, settings.per_class, chance)
    if settings.balance == "sample" and member.shape[1]:
        weights = torch.from_numpy((member / np.maximum(member.sum(axis=0), 1)).max(axis=1)).double()
        order = torch.multinomial(weights, n, replacement=True, generator=chance).numpy()
    else:
        order = torch.randperm(n, generator=chance).numpy()
    return [order[at : at + size] for at in range(0, max(1, n - size // 2), size)]


def _by_class(member: Any, size: int, each: int, chance: torch.Generator) -> list[Any]:
    columns = [np.flatnonzero(member[:, at]) for at in range(member.shape[1])]
    columns = [rows for rows in columns if len(rows) > 1]
    together = max(2, size // each)
    steps = max(1, round(len(member) / (min(together, len(columns)) * each)))
    drawn = []
    for _ in range(steps):
        order = torch.randperm(len(columns), generator=chance)[:together].tolist()
        parts = [columns[at][torch.randperm(len(columns[at]), generator=chance)[:each].numpy()] for at in order]
        drawn.append(np.unique(np.concatenate(parts)))
    return drawn
