"""Bootstrap intervals: how far a figure would move with other queries (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from sosie.errors import UsageError
from sosie.evaluation.metrics import Floats, Ints

__all__ = ["Interval", "bootstrap", "paired_bootstrap"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval that holds it in ``level`` of the resamplings."""

    value: float
    low: float
    high: float
    level: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def bootstrap(
    statistic: Callable[[Ints], float], queries: int, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Resample queries and return the statistic of the rows as they are, with its percentile interval.

    ``statistic`` gets row numbers (q,), repeated as drawn.
    """
    rng = np.random.default_rng(seed)
    value = statistic(np.arange(queries))
    drawn = np.array([statistic(np.sort(rng.integers(0, queries, queries))) for _ in range(draws)])
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if queries else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high), level)


def paired_bootstrap(
    first: Floats, second: Floats, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of second - first over the same queries (q,), with its percentile interval.

    Queries that have no value in either (NaN) are left out. An interval that excludes 0 means that the difference
    is unlikely to come from the choice of queries.
    """
    if first.shape != second.shape:
        raise UsageError(f"paired values must be of the same queries, not {first.shape} and {second.shape}")
    difference = (second - first)[~np.isnan(first) & ~np.isnan(second)]
    if len(difference) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), level)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            difference[rng.integers(0, len(difference), (batch, len(difference)))].mean(axis=1)
            for batch in _batches(draws, len(difference))
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(difference.mean()), float(low), float(high), level)


def _batches(draws: int, size: int) -> list[int]:
    step = max(1, 4_000_000 // max(1, size))
    return [min(step, draws - start) for start in range(0, draws, step)]
