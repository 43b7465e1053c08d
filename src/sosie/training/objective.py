"""What is trained for: a loss over embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Objective"]


class Objective(nn.Module):
    """A loss over embeddings as the head gives them (n, dim), with what they were for the start and their targets."""

    def begin(self, head: nn.Module, raw: Callable[[], Tensor], seen: Tensor, targets: Tensor) -> None:
        """Fit to training pictures what needs no steps; ``raw`` gives their embeddings by the start."""

    def loss(self, raw: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError

    def vectors(self, raw: Tensor) -> Tensor:
        """Return what is compared by inner product: unit vectors (n, dim)."""
        return F.normalize(raw, dim=1)

    def measures(self, raw: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return measures of the held-out pictures besides loss and mAP."""
        return {}
