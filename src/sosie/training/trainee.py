"""What learns, and what it makes of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sosie.evaluation.metrics import average_precision, mean
from sosie.evaluation.ranking import Blocks, ranks_of_scores
from sosie.training.examples import Examples, Rows
from sosie.training.extractor import Extractor
from sosie.training.heads import OwnHead
from sosie.training.objective import Objective
from sosie.training.objectives import targets_of
from sosie.training.store import Store

__all__ = ["JUDGES", "Trainee", "embed", "embeddings", "judge"]

JUDGES = 4000  # pictures that are measured after each epoch, at most
_TOGETHER = 512  # stored views embedded at once
_NEAR = 10  # neighbours that codes without labels are to keep


@dataclass(frozen=True)
class Trainee:
    """What learns: the extractor and the objective's own weights."""

    extractor: Extractor
    objective: Objective

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return next(self.extractor.head.parameters()).device

    def state(self) -> dict[str, Any]:
        parts = {"extractor": self.extractor, "objective": self.objective}
        return {name: {k: v.detach().clone() for k, v in part.state_dict().items()} for name, part in parts.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.extractor.load_state_dict(state["extractor"])
        self.objective.load_state_dict(state["objective"])

    @contextmanager
    def held_to(self, start: Mapping[str, Any], share: float) -> Iterator[dict[str, Any]]:
        """Be, for a while, the average with what it was at the start; give those weights.

        On the way from one to the other, what is learned comes before what is lost (Wortsman et al., Robust
        fine-tuning of zero-shot models, CVPR 2022). A head that began with random weights is not averaged.
        """
        learned = self.state()
        share = share if isinstance(self.extractor.head, OwnHead) else 0.0
        held = {part: _average(start[part], learned[part], share) for part in learned}
        self.load(held)
        yield held
        self.load(learned)


def _average(start: Mapping[str, Tensor], learned: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    return {
        name: share * start[name] + (1 - share) * value if value.is_floating_point() else value
        for name, value in learned.items()
    }


def embed(net: Extractor, maps: Tensor, pooled: Tensor) -> Tensor:
    """Return embeddings (n, dim) of a batch of stored views."""
    if net.trunk.cut == 0:
        raw: Tensor = net(maps)
        return raw
    return net.learning(maps.float(), pooled)


@torch.no_grad()
def embeddings(trainee: Trainee, store: Store, rows: Rows) -> Tensor:
    """Return the embeddings (n, dim) of pictures as they are, not of unit length."""
    trainee.extractor.eval()
    trainee.objective.eval()
    parts = []
    for at in range(0, len(rows), _TOGETHER):
        maps, pooled, _ = store.batch(rows[at : at + _TOGETHER])
        parts.append(embed(trainee.extractor, maps.to(trainee.device), pooled.to(trainee.device)).float().cpu())
    return torch.cat(parts) if parts else torch.empty(0, trainee.extractor.dim)


@torch.no_grad()
def judge(trainee: Trainee, store: Store, examples: Examples, validation: Rows) -> dict[str, float]:
    """Return the mAP of held-out pictures among themselves, and the objective's own measures."""
    rows = validation[:JUDGES]
    raw = embeddings(trainee, store, rows)
    targets = targets_of(examples, rows)
    vectors = trainee.objective.vectors(raw).numpy()
    measured = trainee.objective.measures(raw.to(trainee.device), targets.to(trainee.device))
    return {"mAP": _map(vectors, targets.numpy(), store.batch(rows)[2].numpy()), **measured}


def _map(vectors: Any, member: Any, seen: Any) -> float:
    """Return the mAP of pictures among themselves, by labels in common; without labels, by the start's neighbours."""
    blocks = Blocks(vectors, vectors, np.arange(len(vectors)))
    values = []
    for rows, scores in blocks:
        relevant = member[rows] @ member.T > 0 if member.shape[1] else _neighbours(seen, rows)
        values.append(average_precision(ranks_of_scores(scores, relevant)))
    value = mean(np.concatenate(values)) if values else math.nan
    return 0.0 if math.isnan(value) else value


def _neighbours(seen: Any, rows: slice, k: int = _NEAR) -> Any:
    likeness = seen[rows] @ seen.T
    likeness[np.arange(len(likeness)), np.arange(len(seen))[rows]] = -2
    return likeness >= np.partition(likeness, -k, axis=1)[:, -k][:, None]
