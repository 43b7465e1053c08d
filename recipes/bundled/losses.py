"""Losses: distillation from a teacher, and contrast between a picture and its altered copy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["class_distillation", "contrast", "cosine", "entropy", "relational"]


def cosine(ours_nd: Tensor, theirs_nd: Tensor) -> Tensor:
    """Return the mean cosine distance between two lists of unit vectors."""
    return (1 - (ours_nd * theirs_nd).sum(1)).mean()


def relational(ours_nd: Tensor, theirs_nd: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return the divergence between the likenesses inside the batch, ours from the teacher's (Park et al., 2019)."""
    itself = torch.eye(len(ours_nd), dtype=torch.bool, device=ours_nd.device)
    ours = F.log_softmax((ours_nd @ ours_nd.T / temperature).masked_fill(itself, -1e4), 1)
    theirs = F.softmax((theirs_nd @ theirs_nd.T / temperature).masked_fill(itself, -1e4), 1)
    return F.kl_div(ours, theirs, reduction="batchmean")


def class_distillation(scores_nc: Tensor, probabilities_nc: Tensor) -> Tensor:
    """Return the cross-entropy of our class scores with the teacher's probabilities (Hinton et al., 2015)."""
    return -(probabilities_nc * F.log_softmax(scores_nc.float(), 1)).sum(1).mean()


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
