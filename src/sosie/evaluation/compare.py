"""``evaluate compare``: the same measure of several set-ups, side by side, over the same queries."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.errors import UsageError
from sosie.evaluation.copy_scores import micro_statistic, pool_of, sources_of
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


def compare_runs(
    runs: Mapping[str, Run], *, only: Container[str] | None = None, draws: int = 2000, seed: int = 0
) -> Comparison:
    """Compare runs of one protocol over equal queries, each with the first; a copies run may hold several methods.

    ``only`` leaves out the queries whose key (of copies: the URI of the picture that was altered) is not in it.
    Raises UsageError where the runs did not ask the same queries.
    """
    protocols = {run.protocol for run in runs.values()}
    if len(protocols) != 1 or not protocols <= {"labels", "copies"}:
        raise UsageError(f"runs of one protocol, labels or copies, can be compared, not {', '.join(sorted(protocols))}")
    few = min(draws, 500)
    rows = _labels(runs, only, draws, seed) if protocols == {"labels"} else _copies(runs, only, few, seed)
    first, *others = [run.config for run in runs.values()]
    differing = [line for other in others for line in differences(first, other)]
    return Comparison(tuple(dict.fromkeys(row["set-up"] for row in rows)), rows, tuple(dict.fromkeys(differing)))


def _row(measure: str, name: str, value: float, change: Interval | None, queries: int) -> dict[str, Any]:
    return {
        "measure": measure,
        "set-up": name,
        "queries": queries,
        "value": value,
        "difference": change.value if change else None,
        "low": change.low if change else None,
        "high": change.high if change else None,
        "cluster_low": change.cluster_low if change else None,
        "cluster_high": change.cluster_high if change else None,
        "clear": change is not None and change.clear,
    }


def _labels(runs: Mapping[str, Run], only: Container[str] | None, draws: int, seed: int) -> list[dict[str, Any]]:
    shared = _shared_queries({name: [row["key"] for row in run.table("queries")] for name, run in runs.items()}, only)
    scored = {name: score_labels(run) for name, run in runs.items()}
    values = {name: {m: each[shared[name]] for m, each in scored[name].per_query.items()} for name in runs}
    baseline = next(iter(runs))
    classes = scored[baseline].queries.clusters[shared[baseline]]
    rows = []
    for measure in ("mAP", "mAP@20", "recall@1", "precision@10", "R-precision", "nDCG@10"):
        for name in runs:
            first, mine = values[baseline][measure], values[name][measure]
            change = None
            if name != baseline:
                change = paired_bootstrap(first, mine, clusters=classes, draws=draws, seed=seed)
            rows.append(_row(measure, name, mean(mine), change, int((~np.isnan(mine)).sum())))
    return rows


def _shared_queries(keys: Mapping[str, Sequence[str]], only: Container[str] | None) -> dict[str, Any]:
    """Return for each run the rows of the queries that all runs asked, in one order."""
    common = set.intersection(*(set(each) for each in keys.values()))
    if not common:
        raise UsageError("the runs have no query in common: measure the same pictures with each set-up")
    ordered = sorted(common if only is None else (key for key in common if key in only))
    places = {name: {key: row for row, key in enumerate(each)} for name, each in keys.items()}
    return {name: np.array([place[key] for key in ordered], np.int64) for name, place in places.items()}


def _copies(runs: Mapping[str, Run], only: Container[str] | None, draws: int, seed: int) -> list[dict[str, Any]]:
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
    table = next(iter(tables.values()))
    count, asked_of = len(table), [at for at, row in enumerate(table) if only is None or row["uri"] in only]
    of, sources = np.array(asked_of, np.int64), sources_of(table)
    statistics = {name: micro_statistic(pool, count) for name, pool in pools.items()}
    baseline = next(iter(pools))
    rows = []
    for name, mine in statistics.items():
        first = statistics[baseline]
        change = (
            bootstrap(
                lambda at, f=first, m=mine: m(of[at]) - f(of[at]),  # type: ignore[misc]
                len(of),
                clusters=sources[of],
                draws=draws,
                seed=seed,
            )
            if name != baseline
            else None
        )
        rows.append(_row("micro_ap", name, mine(of), change, len(of)))
    for measure in ("recall@p90", "recall_before_false", "recall@1"):
        rows += [_row(measure, name, pool.of(of).measures()[measure], None, len(of)) for name, pool in pools.items()]
    return rows
