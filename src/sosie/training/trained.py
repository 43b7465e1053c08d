"""What a run of training has in its hands: what its epochs need, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sosie.models.trained_on import TrainedOn
from sosie.training.examples import Examples
from sosie.training.loop import History
from sosie.training.measure import Gain
from sosie.training.settings import Settings
from sosie.training.starts import Start
from sosie.training.store import Store

__all__ = ["Prepared", "Trained"]


@dataclass(frozen=True)
class Prepared:
    """All that epochs need: what to learn, from where, and the stored views. ``extractor`` is as the start is."""

    examples: Examples
    start: Start
    store: Store
    folder: Path
    trained_on: TrainedOn
    read: Callable[[int], bytes]  # a picture by its id


@dataclass(frozen=True)
class Trained:
    """A finished run and the package that it left."""

    folder: Path
    name: str
    settings: Settings
    examples: Examples
    start: Start
    history: History
    gains: tuple[Gain, ...]
    accuracy: dict[str, float]
    difference: float  # of ONNX and torch
    refused: dict[str, int]

    @property
    def description(self) -> Path:
        """The description that `sosie models add` takes."""
        return self.folder / "model.json"
