"""The loop: epochs over stored views, measured on held-out pictures, stopped early, resumed where it broke off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sosie.errors import UsageError
from sosie.training.batches import batches
from sosie.training.checkpoint import load_checkpoint, save_checkpoint
from sosie.training.examples import Examples, Rows
from sosie.training.heads import DenseHead
from sosie.training.objectives import targets_of
from sosie.training.settings import Settings
from sosie.training.store import Store
from sosie.training.trainee import JUDGES, Trainee, embed, embeddings, judge

__all__ = ["Epoch", "History", "fit"]

_BACKBONE = 0.1  # the rate of the backbone's layers, as a share of the head's
_WARM = 0.1  # share of the epochs in which the rate rises
_SEEDS = 100_003  # apart: seed and epoch together make the chance of an epoch
_STEEPEST = 5.0  # norm of a gradient

Epoch = dict[str, float]


@dataclass(slots=True)
class History:
    """What each epoch measured, the first being that before any training; ``best`` is the epoch that is kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0

    def add(self, epoch: Epoch) -> bool:
        """Add an epoch and say whether it is the best so far."""
        self.epochs.append(epoch)
        if epoch["mAP"] > self.epochs[self.best]["mAP"]:
            self.best = len(self.epochs) - 1
        return self.best == len(self.epochs) - 1


def fit(
    trainee: Trainee,
    store: Store,
    examples: Examples,
    settings: Settings,
    *,
    folder: Path | None = None,
    report: Callable[[Epoch], None] = lambda _epoch: None,
) -> History:
    """Train, keep the epoch whose held-out mAP is best, and leave its weights in ``trainee``.

    What is measured and kept are the learned weights averaged with the start's, by ``settings.keep``.
    ``report`` is told of each epoch and may raise to end the run. A run in ``folder`` that broke off goes on; one of
    other settings is refused with what differs (UsageError).
    """
    torch.manual_seed(settings.seed)
    training, validation = store.readable(examples.training), store.readable(examples.validation)
    _begin(trainee, store, examples, training)
    optimiser = _optimiser(trainee, settings)
    history, start = History(), trainee.state()
    kept = start
    known = load_checkpoint(folder, settings, trainee) if folder else None
    if known is not None:
        history, kept = History(known["epochs"], known["best"]), known["kept"]
        trainee.load(known["state"])
        optimiser.load_state_dict(known["optimiser"])
    else:
        history.add({"epoch": 0.0, **judge(trainee, store, examples, validation)})
        report(history.epochs[0])
    for epoch in range(len(history.epochs), settings.epochs + 1):
        if epoch - 1 - history.best >= settings.patience:
            break
        loss = _learn(trainee, store, examples, training, settings, optimiser=optimiser, epoch=epoch)
        with trainee.held_to(start, settings.keep) as held:
            measured = {"epoch": float(epoch), "loss": loss, **judge(trainee, store, examples, validation)}
        kept = held if history.add(measured) else kept
        if folder:
            state = {"epochs": history.epochs, "best": history.best, "optimiser": optimiser.state_dict()}
            save_checkpoint(folder, settings, trainee, {**state, "kept": kept})
        report(measured)
    trainee.load(kept)
    return history


def _learn(
    trainee: Trainee,
    store: Store,
    examples: Examples,
    training: Rows,
    settings: Settings,
    *,
    optimiser: torch.optim.Optimizer,
    epoch: int,
) -> float:
    """Run one epoch and return its mean loss."""
    # from seed and epoch alone, so that a run that broke off goes on as if it had not
    torch.manual_seed(settings.seed * _SEEDS + epoch)
    chance = torch.Generator().manual_seed(settings.seed * _SEEDS + epoch)
    trainee.extractor.train()
    trainee.objective.train()
    losses = []
    drawn = batches(examples.targets[training], settings, chance)
    for step, chosen in enumerate(drawn):
        _set_rate(optimiser, settings, (epoch - 1 + step / len(drawn)) / settings.epochs)
        rows = training[chosen]
        maps, pooled, seen = (each.to(trainee.device) for each in store.batch(rows, chance))
        raw = _forward(trainee, maps, pooled, settings.precision)
        loss = trainee.objective.loss(raw, seen, targets_of(examples, rows).to(trainee.device))
        if not bool(loss.isfinite()):
            raise UsageError(f"the loss is no number any more at epoch {epoch}: take a lower --rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], _STEEPEST)
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _forward(trainee: Trainee, maps: Tensor, pooled: Tensor, precision: str) -> Tensor:
    kind = trainee.device.type
    half = precision == "bfloat16" or (precision == "auto" and kind == "cuda")
    with torch.autocast(kind, torch.bfloat16, enabled=half):
        return embed(trainee.extractor, maps, pooled).float()


def _begin(trainee: Trainee, store: Store, examples: Examples, training: Rows) -> None:
    """Fit to the training pictures what needs no steps: scales of features, directions of classes, planes of codes."""
    some = training[:JUDGES]
    net, head = trainee.extractor, trainee.extractor.head
    if isinstance(head, DenseHead) and not net.trunk.own:  # what a convolution will give is not known yet
        with torch.no_grad():
            maps, pooled, _ = (each.to(trainee.device) for each in store.batch(some[:512]))
            still = net.still(maps) if net.trunk.cut == 0 else (maps.float(), pooled)
            head.standardise(net.trunk.learning(*still)[1])
    trainee.objective.begin(
        head, lambda: embeddings(trainee, store, some), store.batch(some)[2], targets_of(examples, some)
    )


def _optimiser(trainee: Trainee, settings: Settings) -> torch.optim.Optimizer:
    own = [p for block in trainee.extractor.trunk.own for p in block.parameters()]
    fresh = [*own, *trainee.extractor.head.parameters(), *trainee.objective.parameters()]
    head, known = [p for p in fresh if p.requires_grad], {id(p) for p in own}
    trunk = [p for p in trainee.extractor.trunk.parameters() if p.requires_grad and id(p) not in known]
    groups = [{"params": head, "share": 1.0}, {"params": trunk, "share": _BACKBONE}]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.rate, momentum=0.9, weight_decay=settings.decay, nesterov=True)
    return torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.decay)


# The share of the rate that is left when a share of the epochs is done.
_SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),  # Loshchilov and Hutter, 2017
    "constant": lambda _done: 1.0,
    "step": lambda done: 0.1 ** ((done >= 0.5) + (done >= 0.75)),  # He et al., 2016
    "exponential": lambda done: 0.01**done,
}


def _set_rate(optimiser: torch.optim.Optimizer, settings: Settings, progress: float) -> None:
    """Rise, then go by the schedule; ``progress`` is the share of the epochs that are done."""
    done = min(1.0, progress)
    rate = settings.rate * min(1.0, (done + 1e-3) / _WARM) * _SCHEDULES[settings.schedule](done)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
