"""What an index reaches on a library's own vectors: recall with its confidence, latency, memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sosie.contracts import Index
from sosie.indexes.flat import Metric, Row, Vectors, score_rows, tolerance, top_k
from sosie.indexes.recall import count_found, interval_of
from sosie.types import FloatMatrix, Ids

__all__ = [
    "Bench",
    "FilteredRecall",
    "Measured",
    "hold_out",
    "measure",
    "measure_as_it_is",
    "meets",
    "memory_of",
    "metric_of",
    "saved_size",
]

_SINGLE = 200  # queries asked one by one
_PATIENCE = 0.3  # seconds spent on the latency of one setting


@dataclass(frozen=True, slots=True)
class Bench:
    """Queries (q, dim) that are not among the ``vectors`` (n, dim) of ``ids`` (n,), and the true scores.

    ``truth`` (q, k) are the scores of each query's true neighbours by ``metric``, best first.
    """

    queries: FloatMatrix
    ids: Ids
    vectors: Vectors
    k: int
    metric: Metric
    truth: FloatMatrix

    def by(self, metric: Metric) -> Bench:
        """Return the same queries with the truth of another metric."""
        if metric == self.metric:
            return self
        return replace(self, metric=metric, truth=top_k(self.vectors, self.queries, self.k, metric)[1])


@dataclass(frozen=True, slots=True)
class FilteredRecall:
    """The recall over queries with a filter that allows a ``share`` of the vectors, and lies in some ``way``."""

    share: float
    way: str
    recall: float

    def to_json(self) -> dict[str, Any]:
        """Return one row of what the manifest keeps as ``measured.filtered``."""
        return {**asdict(self), "recall": round(self.recall, 4)}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: recall@k with its 95 % interval, times of one query in ms, and throughput."""

    recall: float
    low: float
    high: float
    k: int
    queries: int
    p50_ms: float
    p99_ms: float
    per_second: float
    filtered: tuple[FilteredRecall, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps as ``measured``."""
        return {
            "recall": round(self.recall, 4),
            "recall_interval": [round(self.low, 4), round(self.high, 4)],
            "k": self.k,
            "queries": self.queries,
            "p50_ms": round(self.p50_ms, 4),
            "p99_ms": round(self.p99_ms, 4),
            "per_second": round(self.per_second, 1),
            **({"filtered": [each.to_json() for each in self.filtered]} if self.filtered else {}),
        }


@runtime_checkable
class HasMetric(Protocol):
    """An index whose scores are of a metric of its own; without it they are inner products."""

    @property
    def metric(self) -> Metric: ...


@runtime_checkable
class KnowsSize(Protocol):
    """An index that knows how many bytes a search keeps in memory; without it that is taken to be what it saves."""

    def structure_size(self) -> int: ...


def metric_of(index: object) -> Metric:
    """Return what the scores of an index are."""
    return index.metric if isinstance(index, HasMetric) else "dot"


def memory_of(index: Index) -> int:
    """Return how many bytes a search keeps in memory."""
    return index.structure_size() if isinstance(index, KnowsSize) else saved_size(index)


def saved_size(index: Index) -> int:
    """Return how many bytes an index writes."""
    with tempfile.TemporaryDirectory(prefix="sosie-size-") as folder:
        index.save(folder)
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def hold_out(
    vectors: FloatMatrix, ids: Ids, *, queries: int, k: int, seed: int, metric: Metric = "dot"
) -> tuple[Bench, FloatMatrix, Ids]:
    """Take ``queries`` vectors out of those of ascending ``ids``; return the bench and what remains of both."""
    chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), queries, replace=False))
    remain = np.ones(len(vectors), bool)
    remain[chosen] = False
    rest, asked = vectors[remain], vectors[chosen]
    scores = top_k(rest, asked, k, metric)[1]
    bench = Bench(asked, ids[remain], rest, k=scores.shape[1], metric=metric, truth=scores)
    return bench, rest, bench.ids


def measure(index: Index, bench: Bench) -> Measured:
    """Search ``bench`` with ``index``: all at once for recall and throughput, then one by one for latency.

    Recall is measured by the index's own metric, and by exact scores of the ids that it returns, not by its own.
    """
    bench = bench.by(metric_of(index))
    index.search(bench.queries[:8], bench.k)  # the first search reads pages and starts threads
    started = time.perf_counter()
    found, _ = index.search(bench.queries, bench.k)
    took = time.perf_counter() - started
    share = _recalls(found, bench)
    mean = float(share.mean())
    low, high = interval_of(share, bench.k)
    times = _latencies(index, bench.queries, bench.k)
    return Measured(
        recall=mean,
        low=low,
        high=high,
        k=bench.k,
        queries=len(share),
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
        per_second=len(share) / took,
    )


def _recalls(found: Ids, bench: Bench) -> Row:
    """Return the share of true neighbours among ``found`` (q, k)."""
    rows = np.where(found >= 0, np.searchsorted(bench.ids, found), -1)
    scores = score_rows(bench.vectors, bench.queries, rows, bench.metric)
    recalls: Row = (count_found(scores, bench.truth) / bench.k).astype(np.float32)
    return recalls


def _latencies(index: Index, queries: FloatMatrix, k: int) -> Row:
    """Return milliseconds of single searches; a slow index is asked fewer."""
    times = []
    begun = time.perf_counter()
    for at in range(min(_SINGLE, len(queries))):
        started = time.perf_counter()
        index.search(queries[at : at + 1], k)
        ended = time.perf_counter()
        times.append(ended - started)
        if ended - begun > _PATIENCE and len(times) >= 20:
            break
    return np.array(times, np.float32) * 1000


def measure_as_it_is(
    search: Callable[[FloatMatrix, int], tuple[Ids, FloatMatrix]],
    ids: Ids,
    vectors: FloatMatrix,
    *,
    queries: int = 200,
    k: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the recall at ``k`` of an index that cannot be built without its queries, against exact search.

    The queries are vectors of the library moved by 0.3 in a random direction: a query that is itself a node of the
    graph would lead straight to its neighbours. Ties count as found.
    """
    rng = np.random.default_rng(seed)
    chosen = vectors[rng.choice(len(vectors), min(queries, len(vectors)), replace=False)]
    noise = rng.standard_normal(chosen.shape).astype(np.float32)
    moved = chosen + 0.3 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    asked: FloatMatrix = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    k = min(k, len(ids))
    least = np.sort(asked @ vectors.T, axis=1)[:, -k]  # the score of the last that exact search would give
    _, scores = search(asked, k)
    shares = (scores >= (least - tolerance(least))[:, None]).mean(axis=1)
    interval = [round(end, 4) for end in interval_of(shares, k)]
    return {"recall": float(shares.mean()), "recall_interval": interval, "k": k, "queries": len(asked)}


def meets(found: Measured, *, recall: float, size: float, limits: Mapping[str, float | None]) -> bool:
    """Say whether a setting surely reaches ``recall`` within the limits on memory (bytes) and latency (ms, p99)."""
    memory, latency = limits.get("memory"), limits.get("latency")
    return found.low >= recall and (memory is None or size <= memory) and (latency is None or found.p99_ms <= latency)
