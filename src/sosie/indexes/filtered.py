"""What an index reaches with a filter, which is another figure than without: measured along, across and against.

A filter lies along a query when what it allows is what is near, as a label of look-alikes does, and against it when
what is near is what it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sosie.contracts import Index
from sosie.indexes.flat import Rows, score_rows, top_k_of
from sosie.indexes.measure import Bench, FilteredRecall
from sosie.indexes.recall import count_found

__all__ = ["measure_filtered", "recall_at_share"]

SHARES = (0.5, 0.1, 0.01)
WAYS = ("along", "across", "against")
_QUERIES = 12  # of each way and share: each has a filter of its own


def measure_filtered(index: Index, bench: Bench, *, seed: int = 0) -> list[FilteredRecall]:
    """Measure ``index``, built over the vectors of ``bench``, with filters of several shares and ways."""
    rng = np.random.default_rng(seed)
    queries = bench.queries[:_QUERIES]
    orders = [np.argsort(bench.vectors @ query, kind="stable") for query in queries]
    measured = []
    for share in SHARES:
        size = max(bench.k, int(share * len(bench.vectors)))
        for way in WAYS:
            filters = [_allowed(order, size, way, rng) for order in orders]
            shares = [_recall(index, bench, at, rows) for at, rows in enumerate(filters)]
            measured.append(FilteredRecall(share, way, float(np.mean(shares))))
    return measured


def recall_at_share(measured: Sequence[Mapping[str, Any]], share: float) -> float | None:
    """Return the least recall that was measured of filters about as wide as ``share``; None where none was."""
    if not measured:
        return None
    nearest = min({row["share"] for row in measured}, key=lambda each: abs(np.log(each / max(share, 1e-9))))
    return min(float(row["recall"]) for row in measured if row["share"] == nearest)


def _allowed(order: Rows, size: int, way: str, rng: np.random.Generator) -> Rows:
    """Return the ascending rows that a filter allows, of all in the order from far to near."""
    if way == "across":
        return np.sort(rng.choice(len(order), size, replace=False))
    return np.sort(order[-size:] if way == "along" else order[:size])


def _recall(index: Index, bench: Bench, at: int, rows: Rows) -> float:
    query = bench.queries[at : at + 1]
    truth = top_k_of(bench.vectors, query, bench.k, rows, bench.metric)[1]
    found = index.search(query, bench.k, bench.ids[rows])[0]
    near = np.where(found >= 0, np.searchsorted(bench.ids, found), -1)
    return float(count_found(score_rows(bench.vectors, query, near, bench.metric), truth)[0] / bench.k)
