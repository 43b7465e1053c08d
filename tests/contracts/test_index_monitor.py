"""The recall of a service is sampled, checked against exact search, and kept."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.indexes.exact import ExactIndex
from sosie.indexes.monitor import RecallMonitor
from sosie.testing.indexes import clustered
from sosie.types import FloatMatrix, Ids

VECTORS = clustered(500, 16)


@pytest.fixture
def exact() -> ExactIndex:
    index = ExactIndex()
    index.build(np.arange(500), VECTORS)
    return index


def test_perfect_answers_keep_a_recall_of_one(exact: ExactIndex) -> None:
    monitor = RecallMonitor(share=1.0)
    for at in range(0, 50, 10):
        queries = VECTORS[at : at + 10]
        assert monitor.offer(queries, 5, None, exact.search(queries, 5)[1], exact=exact.search)
    monitor.close()
    running = monitor.running()
    assert (running.recall, running.checked, running.failed) == (1.0, 50, 0)


def test_drift_is_seen(exact: ExactIndex) -> None:
    monitor = RecallMonitor(share=1.0)
    stale = np.arange(0, 500, 2)  # an index that lost every other picture
    monitor.offer(VECTORS[:100], 5, None, exact.search(VECTORS[:100], 5, stale)[1], exact=exact.search)
    monitor.close()
    recall = monitor.running().recall
    assert recall is not None
    assert 0.2 < recall < 0.8


def test_filters_are_part_of_the_check(exact: ExactIndex) -> None:
    monitor = RecallMonitor(share=1.0)
    allow = np.arange(3)
    monitor.offer(VECTORS[:10], 5, allow, exact.search(VECTORS[:10], 5, allow)[1], exact=exact.search)
    monitor.close()
    assert monitor.running().recall == 1.0


def test_only_the_share_is_sampled(exact: ExactIndex) -> None:
    monitor = RecallMonitor(share=0.1)
    scores = exact.search(VECTORS[:1], 5)[1]
    sampled = 0
    for _ in range(500):
        sampled += monitor.offer(VECTORS[:1], 5, None, scores, exact=exact.search)
    monitor.close()
    assert 20 < sampled + monitor.running().dropped < 90


def test_a_check_that_fails_is_counted_and_the_next_one_runs(exact: ExactIndex) -> None:
    broken = iter([True, False])

    def sometimes(queries: FloatMatrix, k: int, allow: Ids | None) -> tuple[Ids, FloatMatrix]:
        if next(broken):
            raise RuntimeError("disk away")
        return exact.search(queries, k, allow)

    monitor = RecallMonitor(share=1.0)
    for _ in range(2):
        monitor.offer(VECTORS[:1], 5, None, exact.search(VECTORS[:1], 5)[1], exact=sometimes)
    monitor.close()
    running = monitor.running()
    assert (running.failed, running.checked) == (1, 1)
    assert "disk away" in running.last_error


def test_a_share_out_of_range_is_refused(exact: ExactIndex) -> None:
    with pytest.raises(UsageError, match="share"):
        RecallMonitor(share=2)


def test_closing_does_not_wait_for_a_rest(exact: ExactIndex) -> None:
    monitor = RecallMonitor(share=1.0, rest=1e9)
    for _ in range(3):
        monitor.offer(VECTORS[:1], 5, None, exact.search(VECTORS[:1], 5)[1], exact=exact.search)
    monitor.close()
    assert monitor.running().checked == 3
    assert not monitor.offer(VECTORS[:1], 5, None, exact.search(VECTORS[:1], 5)[1], exact=exact.search)
