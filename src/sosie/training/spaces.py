"""What of a recipe can be tuned, and between which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sosie.training.settings import Settings

__all__ = ["INDEX", "Choice", "space_of"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, or, with ``steady``, any number between two, by its logarithm."""

    values: tuple[Any, ...]
    steady: bool = False

    def draw(self, trial: Any, name: str) -> Any:
        """Let a trial draw a value. Heads are drawn by their text, as journals hold no tuples."""
        if self.steady:
            low, high = self.values
            return trial.suggest_float(name, low, high, log=True)
        if any(isinstance(value, tuple) for value in self.values):
            texts = [",".join(map(str, value)) or "own" for value in self.values]
            drawn = trial.suggest_categorical(name, texts)
            return self.values[texts.index(drawn)]
        return trial.suggest_categorical(name, list(self.values))


_COMMON = {
    "rate": Choice((1e-3, 2e-2), steady=True),
    "dropout": Choice((0.0, 0.2, 0.5)),
    "optimiser": Choice(("adamw", "sgd")),
}
_HEADS = {"head": Choice(((), (256,), (512, 256), (1024, 512, 256)))}
_RECIPES: Mapping[str, Mapping[str, Choice]] = {
    "classifier": {**_COMMON, **_HEADS},
    "metric": {
        **_COMMON,
        **_HEADS,
        "margin": Choice((0.05, 0.1, 0.2, 0.4)),
        "mining": Choice(("random", "semi-hard", "hard")),
    },
    "hash": {"rate": _COMMON["rate"], "bits": Choice((32, 64, 128)), "alpha": Choice((0.01, 1.0), steady=True)},
}

INDEX: Mapping[str, Mapping[str, Choice]] = {
    "lsh": {"tables": Choice((4, 8, 16, 32)), "bits": Choice((8, 10, 12, 14, 16)), "probes": Choice((1, 4, 16, 64))},
    "hnsw": {"links": Choice((8, 16, 32)), "ef": Choice((16, 32, 64, 128, 256))},
    "binary": {"bits": Choice((64, 128, 256)), "rerank": Choice((2, 5, 10, 20, 50))},
}


def space_of(settings: Settings) -> Mapping[str, Choice]:
    """Return what is drawn for a recipe; a start without a head of its own cannot keep it."""
    space = dict(_RECIPES[settings.recipe])
    if settings.start != "bundled" and "head" in space:
        space["head"] = Choice(tuple(value for value in space["head"].values if value))
    return space
