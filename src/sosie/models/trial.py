"""What a model measured on a library, beside the one in use; kept in the catalogue, by the model's spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sosie.catalogue import Store
from sosie.errors import UsageError

__all__ = [
    "ALL",
    "OUTSIDE",
    "UNSEEN",
    "Figure",
    "Trial",
    "TrialPart",
    "read_figure",
    "read_trial",
    "require_better",
    "write_trial",
]

ALL, OUTSIDE, UNSEEN = "all", "outside training", "unseen classes"
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
class TrialPart:
    """Both models by the queries of one part of the library: ``all``, or what training did not use."""

    name: str
    queries: int
    candidate: float
    in_use: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate beside the model in use, over the same pictures; ``difference`` has a paired bootstrap interval.

    The figures are those of ``judged_by``, one of the ``parts``: where one of the models was trained on pictures of
    the library, of the queries that were not; ``fair`` is false where there are none. ``away`` pictures could not be
    read and were left out.
    """

    candidate: Figure
    in_use: Figure
    difference: float
    low: float
    high: float
    away: int = 0
    judged_by: str = ALL
    parts: Sequence[TrialPart] = ()
    fair: bool = True

    @property
    def better(self) -> bool:
        """Whether the candidate measured better, by pictures that it was not trained on."""
        return self.fair and self.difference > 0

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference excludes none."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """Return the trial with plain JSON types."""
        figures = {"candidate": self.candidate.to_json(), "in_use": self.in_use.to_json()}
        interval = {"difference": self.difference, "low": self.low, "high": self.high}
        judged = {"judged_by": self.judged_by, "fair": self.fair, "parts": [asdict(part) for part in self.parts]}
        return {**figures, **interval, "better": self.better, "clear": self.clear, "away": self.away, **judged}


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
    judged = {name: raw[name] for name in ("judged_by", "fair") if name in raw}  # trials of earlier versions have none
    parts = tuple(TrialPart(**part) for part in raw.get("parts", ()))
    return Trial(Figure(**raw["candidate"]), Figure(**raw["in_use"]), **numbers, **judged, parts=parts)


def read_figure(catalogue: Store, spec_hash: str) -> Mapping[str, Any] | None:
    """Return the last figure of a model on this library as JSON, or None."""
    found: Mapping[str, Any] | None = catalogue.record(_FIGURE + spec_hash)
    return found


def require_better(trial: Trial | None, *, name: str, in_use: str, spec_hash: str) -> None:
    """Raise UsageError unless a model measured better on this library than the one in use (``spec_hash``)."""
    if trial is None or trial.in_use.spec_hash != spec_hash:
        raise UsageError(f"{name} was not measured beside {in_use} here: `sosie models try {name}`, or add --force")
    if not trial.fair:
        raise UsageError(
            f"{name} was trained on all pictures that could judge it: add others with labels and "
            f"`sosie models try {name}` again, or add --force"
        )
    if not trial.better:
        one, other = trial.candidate, trial.in_use
        raise UsageError(
            f"{name} measured {one.measure} {one.value:.3f} on this library, {in_use} {other.value:.3f}: "
            "it stays in use; add --force to take the other all the same"
        )
