"""What is learned: a loss over embeddings, and how embeddings are compared afterwards. One class a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sosie.errors import UsageError
from sosie.training.examples import Examples
from sosie.training.objective import Objective
from sosie.training.settings import Settings
from sosie.training.triplets import graded_triplets, overlap

__all__ = ["Classes", "Likeness", "make_objective", "targets_of"]


class Classes(Objective):
    """Classes by the angle to a learned direction each: cross-entropy for one label, binary for several.

    The scale is learned (NormFace, Wang et al., 2017), so that what is trained is what search compares.
    """

    weights: Tensor

    def __init__(self, dim: int, examples: Examples, settings: Settings) -> None:
        super().__init__()
        targets = torch.from_numpy(examples.targets[examples.training])
        self.several = examples.several
        self.directions = nn.Parameter(F.normalize(torch.randn(len(examples.names), dim), dim=1))
        self.scale = nn.Parameter(torch.tensor(3.0))  # its exponential, about 20, multiplies cosines
        self.bias = nn.Parameter(_log_odds(targets) if self.several else torch.zeros(len(examples.names)))
        weights = 1 / targets.mean(0).clamp(min=1e-4)
        self.register_buffer("weights", weights / weights.mean() if settings.balance == "weight" else torch.ones(1))

    def begin(self, head: nn.Module, raw: Callable[[], Tensor], seen: Tensor, targets: Tensor) -> None:
        """Point each direction to the mean of its class, so that training begins with what the start knows."""
        vectors = self.vectors(raw())
        with torch.no_grad():
            own = targets.T @ vectors - targets.mean(0)[:, None] * vectors.sum(0)
            self.directions.copy_(F.normalize(own, dim=1))

    def logits(self, unit: Tensor) -> Tensor:
        return self.scale.exp() * unit @ F.normalize(self.directions, dim=1).T + self.bias

    def loss(self, raw: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        logits = self.logits(self.vectors(raw))
        weights = self.weights.expand(targets.shape[1])
        if self.several:
            return F.binary_cross_entropy_with_logits(logits, targets, weight=weights)
        return F.cross_entropy(logits, targets.argmax(1), weight=weights, label_smoothing=0.05)

    def measures(self, raw: Tensor, targets: Tensor) -> Mapping[str, float]:
        logits = self.logits(self.vectors(raw))
        right = ((logits > 0) == (targets > 0)) if self.several else logits.argmax(1) == targets.argmax(1)
        return {"accuracy": float(right.float().mean())}

    def forward(self, unit: Tensor) -> Tensor:
        """Return probabilities (n, classes) of unit vectors, for the export."""
        logits = self.logits(unit)
        return logits.sigmoid() if self.several else logits.softmax(1)


def _log_odds(targets: Tensor) -> Tensor:
    share = targets.mean(0).clamp(1e-3, 1 - 1e-3)
    return (share / (1 - share)).log()


class Likeness(Objective):
    """Distances: triplets over graded labels, or the losses of pytorch-metric-learning for single ones."""

    def __init__(self, dim: int, examples: Examples, settings: Settings) -> None:
        super().__init__()
        if examples.several and settings.loss != "triplet":
            raise UsageError(f"{settings.loss} takes one label a picture; for several take --loss triplet")
        self.mining, self.margin, self.kind = settings.mining, settings.margin, settings.loss
        self.inner, self.miner = _metric_loss(settings, dim, len(examples.names))

    def loss(self, raw: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        vectors = self.vectors(raw)
        if self.kind == "triplet":
            return self._triplets(vectors, targets)
        labels = targets.argmax(1)
        pairs = self.miner(vectors, labels) if self.miner is not None else None
        value: Tensor = self.inner(vectors, labels, pairs) if pairs is not None else self.inner(vectors, labels)
        return value

    def _triplets(self, vectors: Tensor, targets: Tensor) -> Tensor:
        graded = overlap(targets)
        distance = torch.cdist(vectors, vectors)
        a, p, n = graded_triplets(distance.detach(), graded, mining=self.mining, margin=self.margin)
        if not len(a):
            return vectors.sum() * 0
        margin = self.margin * (graded[a, p] - graded[a, n])
        each = F.relu(distance[a, p] - distance[a, n] + margin)
        return each.sum() / (each > 0).sum().clamp(min=1)

    def measures(self, raw: Tensor, targets: Tensor) -> Mapping[str, float]:
        vectors, graded = self.vectors(raw), overlap(targets)
        distance = torch.cdist(vectors, vectors)
        a, p, n = graded_triplets(distance, graded, mining="random", margin=self.margin, many=16)
        met = distance[a, p] - distance[a, n] + self.margin * (graded[a, p] - graded[a, n]) <= 0
        return {"margin satisfied": float(met.float().mean()) if len(a) else float("nan")}


def _metric_loss(settings: Settings, dim: int, classes: int) -> tuple[Any, Any]:
    from pytorch_metric_learning import losses, miners

    if settings.loss == "contrastive":
        return losses.ContrastiveLoss(pos_margin=0, neg_margin=2.5 * settings.margin), None
    if settings.loss == "arcface":
        degrees = 57.3 * settings.margin
        return losses.ArcFaceLoss(num_classes=classes, embedding_size=dim, margin=degrees, scale=16), None
    if settings.loss == "multi-similarity":
        return losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5), miners.MultiSimilarityMiner(epsilon=0.1)
    return None, None


def make_objective(dim: int, examples: Examples, settings: Settings) -> Objective:
    """Return the objective of a recipe."""
    if settings.recipe == "classifier":
        return Classes(dim, examples, settings)
    if settings.recipe == "metric":
        return Likeness(dim, examples, settings)
    from sosie.training.codes import AutoEncoder, Supervised

    if settings.codes == "supervised":
        return Supervised(dim, settings)
    return AutoEncoder(dim, settings)


def targets_of(examples: Examples, rows: Any) -> Tensor:
    """Return the targets of some pictures."""
    return torch.from_numpy(np.ascontiguousarray(examples.targets[rows]))
