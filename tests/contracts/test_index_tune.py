"""Tuning measures every kind on held-out queries and picks what surely reaches the target."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.errors import UnknownName, UsageError
from sosie.indexes.exact import ExactIndex
from sosie.indexes.hnsw import HnswIndex
from sosie.indexes.lsh import LshIndex
from sosie.indexes.measure import hold_out, measure
from sosie.indexes.tune import EXACT_UNTIL, TuneReport, calibrate, choose, tune
from sosie.registry import resolve
from sosie.testing.indexes import clustered

N, DIM = 3_000, 24
VECTORS = clustered(N, DIM)
IDS = np.arange(N) * 2


@pytest.fixture(scope="module")
def report() -> TuneReport:
    return tune(VECTORS, IDS, recall=0.9, kinds=("exact", "lsh", "binary"))


def test_a_winner_surely_reaches_the_target(report: TuneReport) -> None:
    assert report.winner is not None
    assert report.winner.measured.low >= 0.9
    assert report.winner.pareto


def test_the_winner_reaches_it_when_measured_independently(report: TuneReport) -> None:
    assert report.winner is not None
    index = resolve("indexes", report.winner.kind)(**report.winner.params)
    queries, library = VECTORS[:200], VECTORS[200:]
    index.build(IDS[200:], library)
    found = index.search(queries, 10)[0]
    near = np.argsort(-(queries @ library.T), axis=1)[:, :10]
    hits = [len(set(row) & set(IDS[200:][true])) for row, true in zip(found, near, strict=True)]
    assert np.mean(hits) / 10 >= 0.87


def test_every_kind_that_was_named_is_in_the_table(report: TuneReport) -> None:
    assert {trial.kind for trial in report.trials} == {"exact", "lsh", "binary"}
    assert sum(trial.winner for trial in report.trials) == 1


def test_recall_is_the_same_each_time(report: TuneReport) -> None:
    again = tune(VECTORS, IDS, recall=0.9, kinds=("exact", "lsh", "binary"))

    def recalls(one: TuneReport) -> dict[str, float]:
        return {f"{trial.kind} {trial.params}": trial.measured.recall for trial in one.trials}

    assert recalls(again) == recalls(report)


def test_limits_that_nothing_meets_leave_no_winner() -> None:
    found = tune(VECTORS[:500], IDS[:500], kinds=("exact",), memory=10)
    assert found.winner is None
    assert found.to_json()["winner"] is None


def test_exact_search_measures_as_perfect() -> None:
    index = ExactIndex()
    bench, rest, rest_ids = hold_out(VECTORS, IDS, queries=100, k=10, seed=0)
    index.build(rest_ids, rest)
    assert measure(index, bench).recall == 1


def test_ties_count_as_found() -> None:
    index = HnswIndex()
    bench, rest, rest_ids = hold_out(np.tile(VECTORS[:1], (400, 1)), np.arange(400), queries=20, k=5, seed=0)
    index.build(rest_ids, rest)
    assert measure(index, bench).recall == 1


def test_calibration_leaves_the_index_whole() -> None:
    index = LshIndex()
    index.build(IDS, VECTORS)
    tuned, _ = calibrate(index, VECTORS, IDS, recall=0.8, queries=100)
    assert len(tuned) == N


def test_calibration_takes_the_least_that_reaches_the_target() -> None:
    index = LshIndex(bits=10, tables=5)
    index.build(IDS, VECTORS)
    low, reached = calibrate(index, VECTORS, IDS, recall=0.6, queries=100)
    high, better = calibrate(index, VECTORS, IDS, recall=0.97, queries=100)
    assert low.params["probes"] < high.params["probes"]
    assert reached.low >= 0.6 and better.low >= 0.97


def test_small_libraries_are_searched_exactly() -> None:
    assert choose(EXACT_UNTIL - 1) == ("exact", {})
    assert choose(EXACT_UNTIL)[0] == "symqg"


@pytest.mark.parametrize("recall", [0.0, 1.1])
def test_a_target_out_of_range_is_refused(recall: float) -> None:
    with pytest.raises(UsageError, match="recall"):
        tune(VECTORS, IDS, recall=recall)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="hnsw"):
        tune(VECTORS, IDS, kinds=("hnws",))


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        tune(VECTORS[:50], IDS[:50])
