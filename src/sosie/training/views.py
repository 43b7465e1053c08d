"""Augmented views of pictures: cropped, mirrored, stretched and coloured, mildly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["vary"]


def vary(pictures: Tensor, chance: torch.Generator, *, least: float = 0.65, amount: float = 0.25) -> Tensor:
    """Return views of pictures (n, 3, side, side) in 0..255; equal states of ``chance`` give equal views.

    A crop keeps at least ``least`` of each side, stretched by up to a fifth; one in two is mirrored; brightness,
    contrast and saturation change by up to ``amount``.
    """
    grid = F.affine_grid(_crops(len(pictures), chance, least), list(pictures.shape), align_corners=False)
    x = F.grid_sample(pictures.float(), grid, padding_mode="reflection", align_corners=False)
    bright, contrast, colour = (_uniform(len(x), 1 - amount, 1 + amount, chance).view(-1, 1, 1, 1) for _ in range(3))
    grey, mean = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
    return (((x - grey) * colour + grey - mean) * contrast + mean * bright).clamp(0, 255)


def _crops(n: int, chance: torch.Generator, least: float) -> Tensor:
    """Return affine maps (n, 2, 3) of random crops."""
    scale, stretch = _uniform(n, least, 1, chance), _uniform(n, -0.2, 0.2, chance).exp()
    wide, high = (scale * stretch).clamp(max=1), (scale / stretch).clamp(max=1)
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0] = wide * (1 - 2 * (_uniform(n, 0, 1, chance) < 0.5).float())
    maps[:, 1, 1] = high
    maps[:, 0, 2] = _uniform(n, -1, 1, chance) * (1 - wide)
    maps[:, 1, 2] = _uniform(n, -1, 1, chance) * (1 - high)
    return maps


def _uniform(n: int, low: float, high: float, chance: torch.Generator) -> Tensor:
    return torch.rand(n, generator=chance) * (high - low) + low
