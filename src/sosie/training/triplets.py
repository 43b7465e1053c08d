"""Triplets over graded labels: the positive shares more with the anchor than the negative does."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Mining", "graded_triplets", "overlap"]

Mining = Literal["random", "semi-hard", "hard"]
_FAR = 1e4


def overlap(targets: Tensor) -> Tensor:
    """Return the Jaccard overlap of label sets (n, n); 1 or 0 where each picture has one label."""
    both = targets @ targets.T
    sizes = targets.sum(1)
    return both / (sizes[:, None] + sizes[None] - both).clamp(min=1)


def graded_triplets(
    distance: Tensor, graded: Tensor, *, mining: Mining, margin: float, many: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows of anchors, positives and negatives from distances and overlaps (n, n).

    ``random``: ``many`` positives an anchor, each with any negative. ``semi-hard``: every positive with the nearest
    negative that is farther, by less than the margin (FaceNet, Schroff et al., 2015). ``hard``: the farthest positive
    and the nearest negative of each anchor (Hermans et al., 2017).
    """
    positive = graded > 0
    positive.fill_diagonal_(False)
    if mining == "hard":
        return _hard(distance, graded, positive)
    a, p = positive.nonzero(as_tuple=True)
    if mining == "random":
        chosen = torch.rand(len(a), device=a.device).argsort()[: many * len(distance)]
        a, p = a[chosen], p[chosen]
    below = graded[a] < graded[a, p][:, None]  # (pairs, n): what may be the negative
    below[torch.arange(len(a), device=a.device), a] = False
    if mining == "random":
        value = torch.rand(below.shape, device=below.device)
    else:
        gap = distance[a] - distance[a, p][:, None]
        below &= (gap > 0) & (gap < margin)
        value = gap
    value = torch.where(below, value, _FAR)
    least, n = value.min(1) if len(a) else (torch.empty(0), torch.empty(0, dtype=torch.long))
    there = least < _FAR
    return a[there], p[there], n[there]


def _hard(distance: Tensor, graded: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    far, p = torch.where(positive, distance, -_FAR).max(1)
    a = torch.arange(len(distance), device=distance.device)
    below = graded < graded[a, p][:, None]
    below.fill_diagonal_(False)
    near, n = torch.where(below, distance, _FAR).min(1)
    there = (far > -_FAR) & (near < _FAR)
    return a[there], p[there], n[there]
