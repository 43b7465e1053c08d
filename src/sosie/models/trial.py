"""What a model measured on a library, beside the one in use; kept in the catalogue, by the model's spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sosie.catalogue import Store
from sosie.errors import UsageError

__all__ = ["Figure", "Trial", "read_figure", "read_trial", "require_better", "write_trial"]

_TRIAL, _FIGURE = "model/trial/", "model/figure/"


@dataclass(frozen=True, slots=True)
class Figure:
    """One model's figure on a library: ``measure`` (mAP, micro_ap) is higher where it is better; ``ms`` a picture.

    ``by`` says what it was judged by: names of labels, or none for altered copies.
    """

    model: str
    version: str
    spec_hash: str
    measure: str
    value: float
    ms: float
    pictures: int
    by: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "by": list(self.by)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate beside the model in use, over the same pictures; ``difference`` has a paired bootstrap interval.

    ``away`` pictures could not be read and were left out.
    """

    candidate: Figure
    in_use: Figure
    difference: float
    low: float
    high: float
    away: int = 0

    @property
    def better(self) -> bool:
        """Whether the candidate measured better."""
        return self.difference > 0

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference excludes none."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """Return the trial with plain JSON types."""
        figures = {"candidate": self.candidate.to_json(), "in_use": self.in_use.to_json()}
        interval = {"difference": self.difference, "low": self.low, "high": self.high}
        return {**figures, **interval, "better": self.better, "clear": self.clear, "away": self.away}


def write_trial(catalogue: Store, trial: Trial) -> None:
    """Keep a trial, and the figures of both models, in place of what was measured of them before."""
    for figure in (trial.candidate, trial.in_use):
        catalogue.put_record(_FIGURE + figure.spec_hash, figure.to_json())
    catalogue.put_record(_TRIAL + trial.candidate.spec_hash, trial.to_json())


def read_trial(catalogue: Store, spec_hash: str) -> Trial | None:
    """Return what was kept of a model's last trial."""
    raw = catalogue.record(_TRIAL + spec_hash)
    if raw is None:
        return None
    numbers = {name: raw[name] for name in ("difference", "low", "high", "away")}
    return Trial(Figure(**raw["candidate"]), Figure(**raw["in_use"]), **numbers)


def read_figure(catalogue: Store, spec_hash: str) -> Mapping[str, Any] | None:
    """Return the last figure of a model on this library as JSON, or None."""
    found: Mapping[str, Any] | None = catalogue.record(_FIGURE + spec_hash)
    return found


def require_better(trial: Trial | None, *, name: str, in_use: str, spec_hash: str) -> None:
    """Raise UsageError unless a model measured better on this library than the one in use (``spec_hash``)."""
    if trial is None or trial.in_use.spec_hash != spec_hash:
        raise UsageError(f"{name} was not measured beside {in_use} here: `sosie models try {name}`, or add --force")
    if not trial.better:
        one, other = trial.candidate, trial.in_use
        raise UsageError(
            f"{name} measured {one.measure} {one.value:.3f} on this library, {in_use} {other.value:.3f}: "
            "it stays in use; add --force to take the other all the same"
        )
