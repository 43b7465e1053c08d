"""Every measure agrees with a naive loop, and with scikit-learn where that has it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    ndcg_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from sosie.errors import UsageError
from sosie.evaluation import metrics
from sosie.evaluation.intervals import bootstrap, paired_bootstrap
from sosie.evaluation.metrics import Ranks, ranks_of_answers

CASES = 1000
CLOSE = {"rel": 1e-9, "abs": 1e-9}


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """One query: scores with many ties, relevance that may be empty, and a k that may be larger than n."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    scores = rng.integers(0, int(rng.integers(1, 30)) + 1, n) / 8
    relevant = rng.random(n) < rng.choice([0.0, 0.1, 0.5, 1.0])
    return scores, relevant, int(rng.integers(1, 50))


def worst_order(scores: np.ndarray, relevant: np.ndarray) -> list[bool]:
    return [truth for _, truth in sorted(zip(-scores, relevant.tolist(), strict=True))]


def naive_average_precision(order: list[bool], total: int, k: int | None = None) -> float:
    if total == 0:
        return float("nan")
    right, summed = 0, 0.0
    for place, truth in enumerate(order, start=1):
        if k is not None and place > k:
            break
        if truth:
            right += 1
            summed += right / place
    return summed / (total if k is None else min(total, k))


def one_query(scores: np.ndarray, relevant: np.ndarray) -> Ranks:
    return ranks_of_answers(relevant[None], scores[None], np.array([relevant.sum()]))


def expected(order: list[bool], k: int) -> dict[str, float]:
    total = sum(order)
    if total == 0:
        return dict.fromkeys(["AP", "AP@k", "hit", "found", "precision", "R", "MRR"], float("nan"))
    first = order.index(True) + 1
    return {
        "AP": naive_average_precision(order, total),
        "AP@k": naive_average_precision(order, total, k),
        "hit": float(any(order[:k])),
        "found": sum(order[:k]) / total,
        "precision": sum(order[:k]) / k,
        "R": sum(order[:total]) / total,
        "MRR": 1 / first,
    }


def test_ranked_measures_agree_with_naive_loops_on_1000_cases() -> None:
    for seed in range(CASES):
        scores, relevant, k = random_case(seed)
        ranks = one_query(scores, relevant)
        got = {
            "AP": metrics.average_precision(ranks)[0],
            "AP@k": metrics.average_precision(ranks, k)[0],
            "hit": metrics.hits(ranks, k)[0],
            "found": metrics.found(ranks, k)[0],
            "precision": metrics.precision(ranks, k)[0],
            "R": metrics.r_precision(ranks)[0],
            "MRR": metrics.reciprocal_rank(ranks)[0],
        }
        assert got == pytest.approx(expected(worst_order(scores, relevant), k), nan_ok=True, **CLOSE)


def test_many_queries_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(1)
    scores, relevant = rng.integers(0, 9, (50, 30)) / 4, rng.random((50, 30)) < 0.2
    together = metrics.ranked_measures(ranks_of_answers(relevant, scores, relevant.sum(axis=1)), (1, 5, 40))
    for at in range(50):
        alone = metrics.ranked_measures(one_query(scores[at], relevant[at]), (1, 5, 40))
        for name, values in together.items():
            assert values[at] == pytest.approx(alone[name][0], nan_ok=True, **CLOSE)


def test_average_precision_agrees_with_scikit_learn_on_1000_cases() -> None:
    for seed in range(CASES):
        scores, relevant, _ = random_case(seed)
        if not relevant.any():
            continue
        # scikit-learn gives equal scores one threshold; distinct scores in the worst order ask the same of both
        order = np.lexsort((relevant, -scores))
        distinct = np.empty(len(scores))
        distinct[order] = -np.arange(len(scores))
        truth = average_precision_score(relevant, distinct)
        assert metrics.average_precision(one_query(scores, relevant))[0] == pytest.approx(truth, **CLOSE)
        assert metrics.micro_average_precision(scores, relevant, relevant.sum()) == pytest.approx(truth, **CLOSE)


def test_micro_average_precision_with_shared_thresholds_agrees_with_scikit_learn_on_ties() -> None:
    for seed in range(CASES):
        scores, relevant, _ = random_case(seed)
        if relevant.any():
            got = metrics.micro_average_precision(scores, relevant, relevant.sum(), grouped_ties=True)
            assert got == pytest.approx(average_precision_score(relevant, scores), **CLOSE)


def test_precision_and_recall_at_k_agree_with_scikit_learn() -> None:
    for seed in range(CASES):
        scores, relevant, k = random_case(seed)
        if not relevant.any():
            continue
        k = min(k, len(scores))
        first = np.zeros(len(scores), dtype=bool)
        first[np.lexsort((relevant, -scores))[:k]] = True
        ranks = one_query(scores, relevant)
        assert metrics.precision(ranks, k)[0] == pytest.approx(precision_score(relevant, first), **CLOSE)
        assert metrics.found(ranks, k)[0] == pytest.approx(recall_score(relevant, first), **CLOSE)


def test_ndcg_agrees_with_scikit_learn_on_1000_cases_with_and_without_ties() -> None:
    for seed in range(CASES):
        scores, _, k = random_case(seed)
        rng = np.random.default_rng(seed)
        gains = rng.integers(0, 4, len(scores)) / 3
        if len(scores) < 2 or not gains.any():
            continue
        ideal = np.sort(gains)[None, ::-1]
        tied = metrics.ndcg(gains[None], scores[None], ideal, k, averaged_ties=True)[0]
        assert tied == pytest.approx(ndcg_score([gains], [scores], k=k), **CLOSE)
        distinct = rng.permutation(len(scores)).astype(float)
        plain = metrics.ndcg(gains[None], distinct[None], ideal, k)[0]
        assert plain == pytest.approx(ndcg_score([gains], [distinct], k=k, ignore_ties=True), **CLOSE)


def test_ndcg_puts_ties_in_the_worst_order() -> None:
    gains, scores = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert metrics.ndcg(gains, scores, np.array([[1.0, 0.0]]), 1)[0] == 0


def naive_recall_at_precision(scores: np.ndarray, truth: np.ndarray, total: int, least: float) -> float:
    best = 0.0
    for threshold in set(scores.tolist()):
        said = scores >= threshold
        if (said & truth).sum() / said.sum() >= least:
            best = max(best, (said & truth).sum() / total)
    return best


def test_recall_at_precision_agrees_with_naive_loops_and_its_threshold_reaches_it() -> None:
    for seed in range(CASES):
        scores, truth, _ = random_case(seed)
        total = int(truth.sum()) + seed % 3
        if total == 0:
            assert np.isnan(metrics.recall_at_precision(scores, truth, 0)[0])
            continue
        recall, threshold = metrics.recall_at_precision(scores, truth, total, 0.9)
        assert recall == pytest.approx(naive_recall_at_precision(scores, truth, total, 0.9), **CLOSE)
        said = scores >= threshold
        assert (said & truth).sum() == pytest.approx(recall * total)
        assert not said.any() or (said & truth).sum() / said.sum() >= 0.9


def test_recall_at_precision_agrees_with_scikit_learn() -> None:
    for seed in range(CASES):
        scores, truth, _ = random_case(seed)
        if truth.any():
            p, r, _ = precision_recall_curve(truth, scores)
            best = r[:-1][p[:-1] >= 0.9].max(initial=0)
            got = metrics.recall_at_precision(scores, truth, int(truth.sum()), 0.9)[0]
            assert got == pytest.approx(best, **CLOSE)


def test_recall_before_the_first_false_answer_agrees_with_a_naive_loop() -> None:
    for seed in range(CASES):
        scores, truth, _ = random_case(seed)
        order = worst_order(scores, truth)
        first = order.index(False) if False in order else len(order)
        wanted = first / sum(order) if any(order) else float("nan")
        assert metrics.recall_before_false(scores, truth, int(truth.sum())) == pytest.approx(
            wanted, nan_ok=True, **CLOSE
        )


def test_unfound_true_pairs_lower_the_pooled_measures() -> None:
    scores, truth = np.array([0.9, 0.8]), np.array([True, True])
    assert metrics.micro_average_precision(scores, truth, 4) == 0.5
    assert metrics.recall_at_precision(scores, truth, 4)[0] == 0.5


def test_calibration_error_agrees_with_a_naive_loop() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        said = rng.integers(0, 21, 80) / 20
        truth = rng.random(80) < said**2
        error = 0.0
        for at in range(15):
            last = at == 14
            inside = (said * 15 >= at) & ((said * 15 < at + 1) | last)
            if inside.any():
                error += abs(said[inside].mean() - truth[inside].mean()) * inside.mean()
        assert metrics.calibration_error(said, truth) == pytest.approx(error, **CLOSE)


def naive_index_recall(ids: np.ndarray, scores: np.ndarray, exact: np.ndarray, k: int) -> float:
    right = wanted = 0
    for row, value, best in zip(ids, scores, exact, strict=True):
        there = [v for v in best[:k] if v > -np.inf]
        last = there[-1] if there else np.inf
        mine = {int(i): v for i, v in zip(row[:k], value[:k], strict=True) if i >= 0}
        sure = sum(v > last + 1e-6 for v in mine.values())
        tied = sum(abs(v - last) <= 1e-6 for v in mine.values())
        places = len(there) - sum(v > last + 1e-6 for v in there)
        right, wanted = right + sure + min(tied, places), wanted + len(there)
    return right / wanted if wanted else float("nan")


def test_index_recall_agrees_with_a_naive_loop() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        k, n = int(rng.integers(1, 12)), 10
        truth = np.round(rng.random((4, n)) * 3) / 3  # many ties
        exact = np.sort(truth, axis=1)[:, ::-1]
        exact = np.pad(exact, ((0, 0), (0, max(0, k - n))), constant_values=-np.inf)
        ids = rng.integers(-1, n, (4, k))
        scores = np.where(ids >= 0, np.take_along_axis(truth, ids, axis=1), -np.inf)
        got = metrics.index_recall(ids, scores, exact, k=k)
        assert got == pytest.approx(naive_index_recall(ids, scores, exact, k), nan_ok=True)


def test_an_equally_near_answer_counts_and_a_repeated_one_does_not() -> None:
    exact = np.array([[0.9, 0.5]])
    assert metrics.index_recall(np.array([[3, 7]]), np.array([[0.9, 0.5]]), exact, k=2) == 1.0
    assert metrics.index_recall(np.array([[3, 3]]), np.array([[0.9, 0.9]]), exact, k=2) == 0.5


def test_one_score_for_all_earns_nothing_by_chance() -> None:
    relevant = np.array([True] + [False] * 99)
    assert metrics.average_precision(one_query(np.ones(100), relevant))[0] == pytest.approx(1 / 100)


def test_the_mean_leaves_out_queries_without_relevant_references() -> None:
    assert metrics.mean(np.array([1.0, np.nan, 0.0])) == 0.5
    assert np.isnan(metrics.mean(np.array([np.nan])))


def test_a_paired_interval_holds_the_difference_and_excludes_zero_when_it_is_clear() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200)
    result = paired_bootstrap(first, first + 0.1 + rng.normal(0, 0.05, 200))
    assert 0 < result.low < result.value < result.high < 0.2


def test_a_paired_interval_of_the_same_values_is_zero() -> None:
    values = np.random.default_rng(0).random(50)
    result = paired_bootstrap(values, values)
    assert (result.low, result.value, result.high) == (0, 0, 0)


def test_a_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        first, second = np.random.default_rng(seed).normal(0, 1, (2, 60))
        result = paired_bootstrap(first, second + 0.3, draws=300, seed=seed)
        covered += result.low <= 0.3 <= result.high
    assert 0.88 <= covered / 200 <= 0.99


def test_an_interval_over_clusters_covers_what_one_over_queries_is_too_narrow_for() -> None:
    """Queries of one class succeed and fail together: 12 classes of 20 have a mean of their own."""
    covered = {"queries": 0, "clusters": 0}
    classes = np.repeat(np.arange(12), 20)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        values = 0.5 + rng.normal(0, 0.2, 12)[classes] + rng.normal(0, 0.1, 240)
        result = paired_bootstrap(np.zeros(240), values, clusters=classes, draws=300, seed=seed)
        assert result.clusters == 12
        covered["queries"] += result.low <= 0.5 <= result.high
        covered["clusters"] += result.cluster_low <= 0.5 <= result.cluster_high
    assert covered["clusters"] / 150 > 0.85 > 0.6 > covered["queries"] / 150


def test_a_statistic_that_is_no_mean_has_an_interval_over_clusters_too() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 10), 10)
    clusters = np.repeat(np.arange(10), 10)
    result = bootstrap(lambda rows: float(np.median(values[rows])), 100, clusters=clusters, draws=300)
    assert result.cluster_high - result.cluster_low > result.high - result.low
    assert bootstrap(lambda rows: 1.0, 0, clusters=np.zeros(0, np.int64)).clusters == 0


def test_a_difference_that_one_class_makes_is_not_clear() -> None:
    gain, classes = np.repeat([0.0, 0.0, 0.0, 0.9], 25), np.repeat(np.arange(4), 25)
    result = paired_bootstrap(np.zeros(100), gain, clusters=classes)
    assert result.low > 0 == result.cluster_low
    assert not result.clear
    assert paired_bootstrap(np.zeros(100), gain).clear


def test_values_of_different_queries_cannot_be_paired() -> None:
    with pytest.raises(UsageError, match="same queries"):
        paired_bootstrap(np.zeros(3), np.zeros(4))


def test_the_bootstrap_of_a_mean_holds_it() -> None:
    values = np.random.default_rng(0).random(100)
    result = bootstrap(lambda rows: float(values[rows].mean()), 100, draws=300)
    assert result.value == pytest.approx(values.mean())
    assert result.low < result.value < result.high
