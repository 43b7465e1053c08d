"""Exact search is the yardstick, so it is held against the plainest possible computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.indexes import flat
from sosie.indexes.exact import ExactIndex
from sosie.testing.indexes import clustered

VECTORS = clustered(3_000, 16)


def plain(vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    scores = [(-float(np.einsum("d,d->", vector, query)), row) for row, vector in enumerate(vectors)]
    return [row for _, row in sorted(scores)[:k]]


@pytest.mark.parametrize("queries", [1, 3, 40])
def test_few_and_many_queries_give_the_plain_answer(queries: int) -> None:
    rows = flat.top_k(VECTORS, VECTORS[:queries], 10)[0]
    for at in range(queries):
        assert rows[at].tolist() == plain(VECTORS, VECTORS[at], 10)


@pytest.mark.parametrize("queries", [1, 10])
def test_more_ties_than_the_slack_holds_come_in_order_of_their_rows(queries: int) -> None:
    vectors = VECTORS.copy()
    same = np.arange(100, 2_900, 50)
    vectors[same] = vectors[100]
    rows, scores = flat.top_k(vectors, np.repeat(vectors[100:101], queries, axis=0), 30)
    assert (rows == same[:30]).all()
    assert (scores == scores[0, 0]).all()


def test_scores_do_not_depend_on_the_company() -> None:
    index = ExactIndex()
    index.build(np.arange(3_000), VECTORS)
    together = index.search(VECTORS[:50], 5)[1]
    for at in range(50):
        np.testing.assert_array_equal(index.search(VECTORS[at : at + 1], 5)[1][0], together[at])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 3_000), st.integers(0, 10**6))
def test_a_filter_gives_what_a_library_of_only_those_would(k: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(3_000, size, replace=False))
    queries = VECTORS[rng.choice(3_000, 5)]
    found, scores = flat.top_k_of(VECTORS, queries, k, rows)
    alone, alone_scores = flat.top_k(VECTORS[rows], queries, k)
    np.testing.assert_array_equal(found, rows[alone])
    np.testing.assert_array_equal(scores, alone_scores)


def test_many_rows_are_gone_through_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(0, 3_000, 2)
    whole = flat.top_k_of(VECTORS, VECTORS[:5], 10, rows)
    monkeypatch.setattr(flat, "_BLOCK", 100)
    parts = flat.top_k_of(VECTORS, VECTORS[:5], 10, rows)
    np.testing.assert_array_equal(whole[0], parts[0])
