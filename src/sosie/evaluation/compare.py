"""``evaluate compare``: the same measure of several set-ups, side by side, over the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.errors import UsageError
from sosie.evaluation.copy_scores import micro_statistic, pool_of
from sosie.evaluation.intervals import Interval, bootstrap, paired_bootstrap
from sosie.evaluation.labels import score_labels
from sosie.evaluation.metrics import mean
from sosie.evaluation.runs import Run, differences

__all__ = ["Comparison", "compare_runs"]


@dataclass(frozen=True)
class Comparison:
    """One row for each measure of each set-up: its value, and its difference to the first with an interval."""

    names: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    differing: Sequence[str]  # what the configurations differ in


def compare_runs(runs: Mapping[str, Run], *, draws: int = 2000, seed: int = 0) -> Comparison:
    """Compare runs of one protocol over equal queries, each with the first; a copies run may hold several methods.

    Raises UsageError where the runs did not ask the same queries.
    """
    protocols = {run.protocol for run in runs.values()}
    if len(protocols) != 1 or not protocols <= {"labels", "copies"}:
        raise UsageError(f"runs of one protocol, labels or copies, can be compared, not {', '.join(sorted(protocols))}")
    rows = _labels(runs, draws, seed) if protocols == {"labels"} else _copies(runs, min(draws, 500), seed)
    first, *others = [run.config for run in runs.values()]
    differing = [line for other in others for line in differences(first, other)]
    return Comparison(tuple(dict.fromkeys(row["set-up"] for row in rows)), rows, tuple(dict.fromkeys(differing)))


def _row(measure: str, name: str, value: float, change: Interval | None) -> dict[str, Any]:
    return {
        "measure": measure,
        "set-up": name,
        "value": value,
        "difference": change.value if change else None,
        "low": change.low if change else None,
        "high": change.high if change else None,
        "clear": change is not None and (change.low > 0 or change.high < 0),
    }


def _labels(runs: Mapping[str, Run], draws: int, seed: int) -> list[dict[str, Any]]:
    shared = _shared_queries({name: [row["key"] for row in run.table("queries")] for name, run in runs.items()})
    scores = {name: score_labels(run).per_query for name, run in runs.items()}
    values = {name: {m: each[shared[name]] for m, each in scores[name].items()} for name in runs}
    baseline = next(iter(runs))
    rows = []
    for measure in ("mAP", "mAP@20", "recall@1", "precision@10", "R-precision", "nDCG@10"):
        for name in runs:
            first, mine = values[baseline][measure], values[name][measure]
            change = paired_bootstrap(first, mine, draws=draws, seed=seed) if name != baseline else None
            rows.append(_row(measure, name, mean(mine), change))
    return rows


def _shared_queries(keys: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return for each run the rows of the queries that all runs asked, in one order."""
    common = set.intersection(*(set(each) for each in keys.values()))
    if not common:
        raise UsageError("the runs have no query in common: measure the same pictures with each set-up")
    ordered = sorted(common)
    places = {name: {key: row for row, key in enumerate(each)} for name, each in keys.items()}
    return {name: np.array([place[key] for key in ordered]) for name, place in places.items()}


def _copies(runs: Mapping[str, Run], draws: int, seed: int) -> list[dict[str, Any]]:
    tables = {name: run.table("queries") for name, run in runs.items()}
    asked = {name: [(r["uri"], r["alteration"], r["record"]) for r in table] for name, table in tables.items()}
    if len({str(each) for each in asked.values()}) != 1:
        raise UsageError("the runs altered other pictures: use the same library, sample and seed")
    pools = {}
    for name, run in runs.items():
        answers, queries = run.table("answers"), tables[name]
        for method in run.config["methods"]:
            label = method if len(runs) == 1 else f"{name} {method}"
            pools[label] = pool_of(answers, queries, method)
    count = len(next(iter(tables.values())))
    statistics = {name: micro_statistic(pool, count) for name, pool in pools.items()}
    baseline = next(iter(pools))
    rows = []
    for name, mine in statistics.items():
        first = statistics[baseline]
        change = (
            bootstrap(lambda at, f=first, m=mine: m(at) - f(at), count, draws=draws, seed=seed)  # type: ignore[misc]
            if name != baseline
            else None
        )
        rows.append(_row("micro_ap", name, mine(np.arange(count)), change))
    for measure in ("recall@p90", "recall_before_false", "recall@1"):
        rows += [_row(measure, name, pool.measures()[measure], None) for name, pool in pools.items()]
    return rows
