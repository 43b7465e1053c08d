"""Alterations on batches of pictures, cheap enough for two CPU cores."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["edit", "vary"]


def _uniform(n: int, low: float, high: float, like: Tensor) -> Tensor:
    return torch.empty(n, device=like.device).uniform_(low, high)


def _warp(x: Tensor, theta: Tensor, side: int, *, padding: str) -> Tensor:
    grid = F.affine_grid(theta, [len(x), 3, side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)


def _crop(x: Tensor, *, least: float, stretch: float) -> Tensor:
    """Return affine maps (n, 2, 3) of a random crop, stretched and mirrored at random."""
    n = len(x)
    scale, aspect = _uniform(n, least, 1, x), _uniform(n, -stretch, stretch, x).exp()
    sx, sy = (scale * aspect).clamp(max=1), (scale / aspect).clamp(max=1)
    theta = torch.zeros(n, 2, 3, device=x.device)
    theta[:, 0, 0] = sx * ((_uniform(n, 0, 1, x) < 0.5).float() * 2 - 1)
    theta[:, 1, 1] = sy
    theta[:, 0, 2] = _uniform(n, -1, 1, x) * (1 - sx)
    theta[:, 1, 2] = _uniform(n, -1, 1, x) * (1 - sy)
    return theta


def _colour(x: Tensor, *, amount: float) -> Tensor:
    """Change brightness, contrast and saturation by up to `amount`."""
    n = len(x)
    bright, contrast = (_uniform(n, 1 - amount, 1 + amount, x).view(-1, 1, 1, 1) for _ in range(2))
    saturation = _uniform(n, 1 - 1.6 * amount, 1 + 0.8 * amount, x).clamp(min=0).view(-1, 1, 1, 1)
    grey, mean = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
    return ((x - grey) * saturation + grey - mean) * contrast + mean * bright


def vary(pictures: Tensor, side: int, *, least: float = 0.6) -> Tensor:
    """Return uint8 pictures (n, 3, h, w) as float, mildly cropped, mirrored and coloured, at `side` pixels."""
    x = pictures.float()
    x = _warp(x, _crop(x, least=least, stretch=0.2), side, padding="reflection")
    return _colour(x, amount=0.25).clamp(0, 255)


def edit(pictures: Tensor, side: int) -> Tensor:
    """Return uint8 pictures strongly altered, as people edit them: crop, turn, pad, blur, noise, overlays, colours."""
    x = pictures.float()
    x = _warp(x, _turn(x, _crop(x, least=0.45, stretch=0.35)), side, padding="zeros")
    x = _colour(x, amount=0.4)
    x = _some(x, 0.15, lambda p: p.mean(1, keepdim=True).expand_as(p))
    x = _some(x, 0.25, _blur)
    x = _some(x, 0.2, lambda p: F.interpolate(p[:, :, ::4, ::4], size=p.shape[-2:], mode="nearest"))
    x = _some(x, 0.3, lambda p: p + torch.randn_like(p) * 20)
    x = _some(x, 0.35, _overlay)
    x = _some(x, 0.2, _stick)
    return x.clamp(0, 255)


def _turn(x: Tensor, theta: Tensor) -> Tensor:
    """Turn one in two by up to 25 degrees and one in eight by a quarter; widen one in five, which pads it."""
    n = len(x)
    small = _uniform(n, -25, 25, x) * (_uniform(n, 0, 1, x) < 0.5)
    quarter = 90 * torch.randint(1, 4, (n,), device=x.device) * (_uniform(n, 0, 1, x) < 0.125)
    angle = (small + quarter) * math.pi / 180
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    wide = torch.where(_uniform(n, 0, 1, x) < 0.2, _uniform(n, 1, 1.6, x), torch.ones(n, device=x.device))
    return torch.cat([theta[:, :, :2] @ turn * wide.view(-1, 1, 1), theta[:, :, 2:]], 2)


def _some(x: Tensor, share: float, change: object) -> Tensor:
    """Apply a change to a random share of the pictures."""
    chosen = torch.rand(len(x), device=x.device) < share
    if not bool(chosen.any()):
        return x
    x = x.clone()
    x[chosen] = change(x[chosen])  # type: ignore[operator]
    return x


def _blur(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, stride=1)


def _overlay(x: Tensor) -> Tensor:
    """Put a plain box, like a caption or a sticker, somewhere on each picture."""
    n, _, h, w = x.shape
    high, wide = _uniform(n, 0.1, 0.35, x) * h, _uniform(n, 0.2, 1.0, x) * w
    top, left = _uniform(n, 0, 1, x) * (h - high), _uniform(n, 0, 1, x) * (w - wide)
    rows = torch.arange(h, device=x.device).view(1, 1, h, 1)
    columns = torch.arange(w, device=x.device).view(1, 1, 1, w)
    top, left, high, wide = (v.view(-1, 1, 1, 1) for v in (top, left, high, wide))
    inside = (rows >= top) & (rows < top + high) & (columns >= left) & (columns < left + wide)
    return torch.where(inside, _uniform(n * 3, 0, 255, x).view(n, 3, 1, 1), x)


def _stick(x: Tensor) -> Tensor:
    """Shrink each picture onto a neighbour's, as in a screenshot or collage."""
    n = len(x)
    theta = torch.zeros(n, 2, 3, device=x.device)
    grow = _uniform(n, 1.15, 1.7, x)
    theta[:, 0, 0], theta[:, 1, 1] = grow, grow
    theta[:, 0, 2] = _uniform(n, -1, 1, x) * (grow - 1)
    theta[:, 1, 2] = _uniform(n, -1, 1, x) * (grow - 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    inside = (grid.abs() <= 1).all(-1).unsqueeze(1)
    return torch.where(inside, F.grid_sample(x, grid, align_corners=False), x.roll(1, 0))
