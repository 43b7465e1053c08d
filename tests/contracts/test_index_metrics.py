"""One arithmetic for scores: whatever kind answers, by whatever metric, with a tail, deletions and a filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import sosie
from sosie.indexes.measure import Bench, hold_out, measure
from sosie.indexes.recall import count_found
from sosie.library import Library
from sosie.registry import local_indexes, resolve
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered, recall
from sosie.types import FloatMatrix

N, TAIL, DIM, K = 1_500, 60, 320, 10
VECTORS = clustered(N + TAIL + 40, DIM)
QUERIES = VECTORS[N + TAIL :]
METRICS = {"exact": ("dot", "manhattan", "hamming"), "lsh": ("cosine", "euclidean", "hamming")}
METRICS["annoy"] = ("angular", "euclidean", "dot", "manhattan", "hamming")
CASES = [(kind, metric) for kind in local_indexes() for metric in METRICS.get(kind, (None,))]


def by_hand(vectors: FloatMatrix, query: FloatMatrix, metric: str | None) -> Any:
    """Return the scores of all vectors with a query, in double precision and written out."""
    rows, one = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "manhattan":
        return -np.abs(rows - one).sum(axis=1)
    if metric == "hamming":
        return -((rows > 0) != (one > 0)).sum(axis=1).astype(np.float64)
    return (rows * one).sum(axis=1)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(filter(None, case)))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, str]]:
    """Return a library with a main index, a tail beside it, and deletions in both."""
    kind, metric = request.param
    if kind == "annoy":
        pytest.importorskip("annoy")
    with sosie.open(tmp_path_factory.mktemp("library"), model="histogram") as library:
        fill_with_vectors(library, VECTORS[:N])
        filled = {"fill": "exact", "centre": True} if kind == "lsh" else {}
        library.indexes.build(kind, {**filled, **({"metric": metric} if metric else {})})
        fill_with_vectors(library, VECTORS[: N + TAIL])
        ids = library.vectors()[0].tolist()
        library.remove([*ids[3:N:9], ids[N + 1], ids[N + 4]])
        yield library, metric


def asked(library: Library) -> FloatMatrix:
    queries = QUERIES[:, : library.space.dim]
    unit: FloatMatrix = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("share", [None, 2, 20])
def test_the_answer_is_that_of_brute_force(made: tuple[Library, str], share: int | None) -> None:
    library, metric = made
    queries, (ids, vectors) = asked(library), library.vectors()
    assert library.view().description["tail"] == TAIL - 2
    allow = ids if share is None else ids[::share]
    found, scores = library.view().search(queries, K, None if share is None else allow)
    assert np.isin(found, allow).all(), "k keep coming back, all of them living and allowed"
    assert (np.diff(scores, axis=1) <= 0).all()
    found_share, there = [], vectors[np.isin(ids, allow)]
    for query, mine, values in zip(queries, found, scores, strict=True):
        assert len(set(mine)) == K
        np.testing.assert_allclose(values, by_hand(vectors[np.searchsorted(ids, mine)], query, metric), atol=1e-5)
        least = np.sort(by_hand(there, query, metric))[-K]
        found_share.append((values >= least - 1e-5).mean())
    assert np.mean(found_share) >= 0.9


def test_answers_come_from_the_tail_no_more_than_they_should(made: tuple[Library, str]) -> None:
    library, metric = made
    ids, vectors = library.vectors()
    last = library.vectors()[0][-(TAIL - 2)]
    found = library.view().search(asked(library), K)[0]
    near = [ids[np.argsort(-by_hand(vectors, query, metric), kind="stable")[:K]] for query in asked(library)]
    assert abs((found >= last).mean() - (np.array(near) >= last).mean()) < 0.05


def test_what_is_printed_names_the_metric(made: tuple[Library, str]) -> None:
    library, metric = made
    told = library.search(1, k=3).index
    assert told["metric"] == (metric if metric in ("manhattan", "hamming") else "dot")


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda value: value or "")
def test_recall_is_measured_by_the_metric_that_the_index_has(kind: str, metric: str | None) -> None:
    if kind == "annoy":
        pytest.importorskip("annoy")
    index = resolve("indexes", kind)(**({"metric": metric} if metric else {}))
    bench, rest, rest_ids = hold_out(VECTORS, np.arange(len(VECTORS)) * 3, queries=60, k=K, seed=1)
    index.build(rest_ids, rest)
    assert measure(index, bench).recall == pytest.approx(recall_by_hand(index, bench, metric), abs=2e-3)


def recall_by_hand(index: Any, bench: Bench, metric: str | None) -> float:
    """Return the recall by ids; where scores tie with the k-th, by those."""
    found = index.search(bench.queries, K)[0]
    shares = []
    for query, mine in zip(bench.queries, found, strict=True):
        scores = by_hand(bench.vectors, query, metric)
        best = np.argsort(-scores, kind="stable")[:K]
        tied = np.flatnonzero(np.abs(scores - scores[best[-1]]) < 1e-9)
        surely, maybe = set(bench.ids[best]) - set(bench.ids[tied]), set(bench.ids[tied])
        shares.append((len(surely & set(mine)) + min(len(maybe & set(mine)), K - len(surely))) / K)
    return float(np.mean(shares))


def test_a_kind_whose_scores_are_rough_is_measured_by_its_ids() -> None:
    annoy = pytest.importorskip("annoy")
    assert annoy
    index = resolve("indexes", "annoy")(n_trees=20, search_k=20_000)
    bench, rest, rest_ids = hold_out(VECTORS, np.arange(len(VECTORS)), queries=50, k=K, seed=0)
    index.build(rest_ids, rest)
    truth = rest_ids[np.argsort(-(bench.queries @ rest.T), axis=1)[:, :K]]
    assert recall(index.search(bench.queries, K)[0], truth) == measure(index, bench).recall == 1.0


def test_more_ties_do_not_stand_for_a_neighbour_that_was_missed() -> None:
    truth = np.array([[0.9, 0.8, 0.5, 0.5]])
    assert count_found(np.array([[0.8, 0.5, 0.5, 0.5]]), truth).tolist() == [3]
    assert count_found(np.array([[0.9, 0.8, 0.5, 0.5]]), truth).tolist() == [4]
    assert count_found(np.array([[0.9, -np.inf, -np.inf, -np.inf]]), truth).tolist() == [1]
