"""Scores of ``evaluate copies``: all pairs (query, reference, score) pooled, as DISC21 does (Douze et al., 2021)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.alterations import names
from sosie.evaluation.intervals import Interval, bootstrap
from sosie.evaluation.metrics import (
    Bools,
    Floats,
    Ints,
    calibration_error,
    micro_average_precision,
    recall_at_precision,
    recall_before_false,
)
from sosie.evaluation.runs import Run, write_csv

__all__ = [
    "CopyScore",
    "Pool",
    "micro_interval",
    "micro_statistic",
    "pool_of",
    "record_of",
    "score_copies",
    "sources_of",
]

_SURE = 0.95  # a probability that is acted on


@dataclass(frozen=True)
class Pool:
    """All pairs of one method, each (m,), and the queries ``asked`` that have a true reference, found or not."""

    query: Ints
    reference: Ints
    rank: Ints
    score: Floats
    truth: Bools
    asked: Ints
    probability: Floats  # NaN where the method gives none

    @property
    def total(self) -> int:
        """How many true pairs there are."""
        return len(self.asked)

    def of(self, queries: Ints) -> Pool:
        """Return the pairs of some queries."""
        kept = np.isin(self.query, queries)
        return Pool(
            query=self.query[kept],
            reference=self.reference[kept],
            rank=self.rank[kept],
            score=self.score[kept],
            truth=self.truth[kept],
            asked=np.intersect1d(self.asked, queries),
            probability=self.probability[kept],
        )

    def measures(self) -> dict[str, float]:
        """Return the pooled measures."""
        recall, threshold = recall_at_precision(self.score, self.truth, self.total, 0.9)
        return {
            "micro_ap": micro_average_precision(self.score, self.truth, self.total),
            "recall@p90": recall,
            "threshold@p90": threshold,
            "recall_before_false": recall_before_false(self.score, self.truth, self.total),
            "recall@1": _first_right(self, 1),
            "recall@10": _first_right(self, 10),
            **self._certainty(),
        }

    def _certainty(self) -> dict[str, float]:
        """Judge the probability of the first answers: how far off, and how many false ones are called sure."""
        first = (self.rank == 1) & ~np.isnan(self.probability)
        if not first.any():
            return {}
        said, truth = self.probability[first], self.truth[first]
        sure = int((~truth & (said >= _SURE)).sum())
        return {"calibration_error": calibration_error(said, truth), f"false_at_{_SURE}": float(sure)}


def _first_right(pool: Pool, k: int) -> float:
    return float((pool.truth & (pool.rank <= k)).sum() / pool.total) if pool.total else float("nan")


@dataclass(frozen=True)
class CopyScore:
    """What scoring found, for each method."""

    metrics: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Interval]
    per_alteration: Sequence[Mapping[str, Any]]
    pools: Mapping[str, Pool]
    queries: Sequence[Mapping[str, str]]
    misses: Mapping[str, Ints]
    notes: Sequence[str]

    @property
    def first(self) -> str:
        """The method that is reported first."""
        return next(iter(self.metrics))


def score_copies(run: Run, *, draws: int = 500) -> CopyScore:
    """Score stored answers, reading nothing but the run folder, and write score.json and the tables beside them."""
    queries = run.table("queries")
    answers = run.table("answers")
    pools = {name: pool_of(answers, queries, name) for name in run.config["methods"]}
    metrics = {name: pool.measures() for name, pool in pools.items()}
    score = CopyScore(
        metrics=metrics,
        intervals={name: micro_interval(pool, queries, draws=draws) for name, pool in pools.items()},
        per_alteration=_per_alteration(pools, metrics, queries),
        pools=pools,
        queries=queries,
        misses={name: _misses(pool, metrics[name]["threshold@p90"], queries) for name, pool in pools.items()},
        notes=_notes(run),
    )
    run.write_score(
        {
            "metrics": metrics[score.first],
            "method": score.first,
            "methods": metrics,
            "intervals": {name: {"micro_ap": each.to_json()} for name, each in score.intervals.items()},
            "notes": list(score.notes),
        }
    )
    write_csv(run.folder / "per_alteration.csv", score.per_alteration)
    write_csv(run.folder / "methods.csv", [{"method": name} | dict(each) for name, each in metrics.items()])
    return score


def pool_of(answers: Sequence[Mapping[str, str]], queries: Sequence[Mapping[str, str]], method: str) -> Pool:
    """Return the pairs that one method answered, from the stored tables."""
    mine = [row for row in answers if row["method"] == method]
    query = np.array([int(row["query"]) for row in mine], dtype=np.int64)
    reference = np.array([int(row["reference"]) for row in mine], dtype=np.int64)
    source = np.array([int(row["source"]) if row["true"] == "1" else -1 for row in queries], dtype=np.int64)
    return Pool(
        query=query,
        reference=reference,
        rank=np.array([int(row["rank"]) for row in mine], dtype=np.int64),
        score=np.array([float(row["score"]) for row in mine]),
        truth=source[query] == reference,
        asked=np.flatnonzero(source >= 0),
        probability=np.array([float(row["probability"] or "nan") for row in mine]),
    )


def micro_interval(pool: Pool, queries: Sequence[Mapping[str, str]], *, draws: int = 500, seed: int = 0) -> Interval:
    """Return micro-AP with its bootstrap intervals, over queries and over the pictures that they were made of."""
    statistic = micro_statistic(pool, len(queries))
    return bootstrap(statistic, len(queries), clusters=sources_of(queries), draws=draws, seed=seed)


def sources_of(queries: Sequence[Mapping[str, str]]) -> Ints:
    """Return for each query the number of the picture that it was made of (q,)."""
    _, numbers = np.unique([row["uri"] for row in queries], return_inverse=True)
    return np.asarray(numbers, np.int64)


def micro_statistic(pool: Pool, queries: int) -> Callable[[Ints], float]:
    """Return a function from drawn rows of queries to micro-AP; each pair counts as often as its query was drawn."""
    order = np.lexsort((pool.truth, -pool.score))
    query, truth = pool.query[order], pool.truth[order]

    def statistic(rows: Ints) -> float:
        times = np.bincount(rows, minlength=queries)
        right = np.repeat(truth, times[query])
        at = np.cumsum(right) / np.arange(1, len(right) + 1)
        return float(at[right].sum() / max(1, times[pool.asked].sum()))

    return statistic


def _per_alteration(
    pools: Mapping[str, Pool], metrics: Mapping[str, Mapping[str, float]], queries: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Score the queries of each alteration together with all negatives."""
    negatives = np.array([at for at, row in enumerate(queries) if row["true"] != "1"], dtype=np.int64)
    table: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["alteration"] for row in queries):
        mine = np.array([at for at, r in enumerate(queries) if r["alteration"] == name and r["true"] == "1"], np.int64)
        if not len(mine):
            continue
        row: dict[str, Any] = {"alteration": name, "queries": len(mine)}
        for method, pool in pools.items():
            part = pool.of(np.concatenate([mine, negatives]))
            found = part.truth & (part.score >= metrics[method]["threshold@p90"])
            row[f"{method} micro_ap"] = micro_average_precision(part.score, part.truth, part.total)
            row[f"{method} recall@1"] = _first_right(part, 1)
            row[f"{method} recall@p90"] = float(found.sum() / part.total)
        table.append(row)
    order = {name: at for at, name in enumerate(names())}
    return sorted(table, key=lambda row: order.get(row["alteration"], len(order)))


def _misses(pool: Pool, threshold: float, queries: Sequence[Mapping[str, str]]) -> Ints:
    """Return the true queries whose source was not found above the threshold."""
    found = set(pool.query[pool.truth & (pool.score >= threshold)].tolist())
    return np.array([at for at, row in enumerate(queries) if row["true"] == "1" and at not in found], dtype=np.int64)


def _notes(run: Run) -> tuple[str, ...]:
    if run.config["negatives"]["outside"]:
        return ()
    return (
        "negatives are altered pictures of the library with their own source taken out of the answers: where the "
        "library holds near-duplicates of them, a right answer is counted as false",
    )


def record_of(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the exact record of the alteration that made a query."""
    return dict(json.loads(row["record"]))
