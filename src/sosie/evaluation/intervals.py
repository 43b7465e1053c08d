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
    """A figure and the interval that holds it in ``level`` of the resamplings of queries.

    ``cluster_low`` and ``cluster_high`` are the interval of resampling ``clusters``, each with all of its queries: the
    queries of one class, or made of one picture, succeed and fail together, and the first is too narrow for them.
    """

    value: float
    low: float
    high: float
    level: float
    clusters: int = 0
    cluster_low: float = float("nan")
    cluster_high: float = float("nan")

    @property
    def clear(self) -> bool:
        """Whether no interval holds 0."""
        by_query = self.low > 0 or self.high < 0
        return by_query and (self.clusters < 2 or self.cluster_low > 0 or self.cluster_high < 0)

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def bootstrap(
    statistic: Callable[[Ints], float],
    queries: int,
    *,
    clusters: Ints | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Resample queries and return the statistic of the rows as they are, with its percentile intervals.

    ``statistic`` gets row numbers (q,), repeated as drawn. ``clusters`` (q,) tells which cluster a query belongs to.
    """
    rng = np.random.default_rng(seed)
    value = float(statistic(np.arange(queries)))
    if not queries:
        return Interval(value, float("nan"), float("nan"), level)
    drawn = np.array([statistic(np.sort(rng.integers(0, queries, queries))) for _ in range(draws)])
    low, high = _percentiles(drawn, level)
    if clusters is None or len(members := _members(clusters)) < 2:
        return Interval(value, low, high, level)
    by_cluster = [
        statistic(np.sort(np.concatenate([members[at] for at in rng.integers(0, len(members), len(members))])))
        for _ in range(draws)
    ]
    return Interval(value, low, high, level, len(members), *_percentiles(np.array(by_cluster), level))


def paired_bootstrap(
    first: Floats,
    second: Floats,
    *,
    clusters: Ints | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of second - first over the same queries (q,), with its percentile intervals.

    Queries that have no value in either (NaN) are left out. An interval that excludes 0 means that the difference
    is unlikely to come from the choice of queries. ``clusters`` (q,) tells which cluster a query belongs to.
    """
    if first.shape != second.shape:
        raise UsageError(f"paired values must be of the same queries, not {first.shape} and {second.shape}")
    judged = ~np.isnan(first) & ~np.isnan(second)
    difference = (second - first)[judged]
    if len(difference) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), level)
    rng = np.random.default_rng(seed)
    value, one = float(difference.mean()), np.ones(len(difference))
    low, high = _percentiles(_means(difference, one, rng, draws), level)
    if clusters is None or len(members := _members(clusters[judged])) < 2:
        return Interval(value, low, high, level)
    sums = np.array([difference[rows].sum() for rows in members])
    sizes = np.array([len(rows) for rows in members], np.float64)
    return Interval(value, low, high, level, len(members), *_percentiles(_means(sums, sizes, rng, draws), level))


def _means(sums: Floats, sizes: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Return the mean of each of ``draws`` resamplings of units with these sums and sizes."""
    means = []
    for batch in _batches(draws, len(sums)):
        drawn = rng.integers(0, len(sums), (batch, len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def _percentiles(drawn: Floats, level: float) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _members(clusters: Ints) -> list[Ints]:
    """Return the rows of each cluster."""
    order = np.argsort(clusters, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1)


def _batches(draws: int, size: int) -> list[int]:
    step = max(1, 4_000_000 // max(1, size))
    return [min(step, draws - start) for start in range(0, draws, step)]
