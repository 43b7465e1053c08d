"""Losses of the copy vector: contrast between a picture and its altered copy, and spreading out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["contrast", "entropy"]


def contrast(copies_md: Tensor, all_nd: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Return the InfoNCE loss of copies whose originals are the first m rows of `all_nd` (SSCD, Pizzi et al., 2022)."""
    scores = copies_md @ all_nd.T / temperature
    return F.cross_entropy(scores, torch.arange(len(copies_md), device=scores.device))


def entropy(unit_nd: Tensor) -> Tensor:
    """Return the entropy term that spreads vectors out: minus the log distance to the nearest (KoLeo, SSCD)."""
    likeness = unit_nd @ unit_nd.T
    itself = torch.eye(len(unit_nd), dtype=torch.bool, device=unit_nd.device)
    nearest = likeness.masked_fill(itself, -2).max(1).values
    return -torch.log((2 - 2 * nearest).clamp(min=1e-6).sqrt()).mean()
