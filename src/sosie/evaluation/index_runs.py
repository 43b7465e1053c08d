"""``evaluate index``: what each kind of index gives for what it costs, on the collection's own vectors."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sosie.contracts import Index, Tunable
from sosie.errors import SosieError, UsageError
from sosie.evaluation.collection import Collection
from sosie.evaluation.metrics import index_recall
from sosie.evaluation.runs import Run, open_run, write_csv, write_run
from sosie.indexes.flat import Metric, score_rows, top_k
from sosie.indexes.measure import metric_of, saved_size
from sosie.registry import local_indexes, resolve_index
from sosie.types import FloatMatrix

__all__ = ["IndexScore", "measure_indexes", "score_indexes"]

_LEAST_SECONDS = 0.25  # of searching, so that a rate means something
_SETTINGS = 16  # search settings tried for each kind, spread over what there is


@dataclass(frozen=True, slots=True)
class _Bench:
    """Vectors to index, queries that are not among them, and the exact answers by one metric."""

    vectors: FloatMatrix
    queries: FloatMatrix
    exact_scores: FloatMatrix
    k: int
    metric: Metric = "dot"

    def by(self, metric: Metric) -> _Bench:
        """Return the same queries with the exact answers of another metric."""
        if metric == self.metric:
            return self
        return replace(self, metric=metric, exact_scores=top_k(self.vectors, self.queries, self.k, metric)[1])


def measure_indexes(
    folder: Path,
    references: Collection,
    *,
    kinds: Sequence[str] = (),
    k: int = 10,
    queries: int = 500,
    seed: int = 0,
    setting: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> Run:
    """Build every kind asked for, search with every setting, and store recall@k, rates, build times and sizes.

    The queries are vectors of the collection that are held out of the indexes, at most a tenth of them.
    """
    chosen = tuple(kinds) or local_indexes()
    config = {
        "protocol": "index",
        "references": {"count": len(references), "digest": references.digest},
        "kinds": list(chosen),
        "k": k,
        "queries": queries,
        "seed": seed,
        **(setting or {}),
    }
    known = open_run(folder, expect=config)
    if known is not None:
        return known
    bench = _bench(references.vectors, k=k, queries=queries, seed=seed)
    rows = [row for kind in chosen for row in _measure(kind, bench, note)]
    return write_run(folder, config, arrays={"exact_scores": bench.exact_scores}, tables={"settings": rows})


def _bench(vectors: FloatMatrix, *, k: int, queries: int, seed: int) -> _Bench:
    if len(vectors) < 20:
        raise UsageError(f"{len(vectors)} pictures are too few to compare indexes: add at least 20")
    order = np.random.default_rng(seed).permutation(len(vectors))
    held = max(1, min(queries, len(vectors) // 10))
    asked, kept = vectors[np.sort(order[:held])], vectors[np.sort(order[held:])]
    return _Bench(kept, asked, top_k(kept, asked, k)[1], k)


def _measure(kind: str, bench: _Bench, note: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Build one kind and search with each setting; a kind that is not installed is noted and left out."""
    try:
        index = resolve_index(kind)()
        started = time.perf_counter()
        index.build(np.arange(len(bench.vectors)), bench.vectors)
    except (SosieError, ImportError) as error:
        note(f"{kind} is left out: {error}")
        return
    built = time.perf_counter() - started
    size = _size(index)
    for changes in _settings(index):
        tuned = index.tuned(changes) if changes and isinstance(index, Tunable) else index
        row = _search(tuned, bench)
        shown = ", ".join(f"{name}={value}" for name, value in changes.items()) or "default"
        note(f"{kind} {shown}: recall@{bench.k} {row['recall']:.3f}, {row['queries_per_second']:.0f} queries/s")
        params = dict(tuned.params)
        yield {"kind": kind, "setting": shown, **row, "build_s": built, "size_mib": size, "params": params}


def _settings(index: Index) -> list[Mapping[str, Any]]:
    space = index.knobs if isinstance(index, Tunable) else {}
    if not space:
        return [{}]
    every = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    if len(every) <= _SETTINGS:
        return list(every)
    return [every[at] for at in np.unique(np.linspace(0, len(every) - 1, _SETTINGS).astype(int))]


def _search(index: Index, bench: _Bench) -> dict[str, Any]:
    bench = bench.by(metric_of(index))
    ids, _ = index.search(bench.queries, bench.k)
    true = score_rows(bench.vectors, bench.queries, ids, bench.metric)  # ids are rows here
    recall = index_recall(ids, true, bench.exact_scores, k=bench.k)
    return {"recall": recall, **_rates(index, bench)}


def _rates(index: Index, bench: _Bench) -> dict[str, float]:
    """Time queries one by one, as users ask them, and all at once. The median is deaf to what else the machine does."""
    index.search(bench.queries[:1], bench.k)
    single: list[float] = []
    while sum(single) < _LEAST_SECONDS:
        for query in bench.queries:
            started = time.perf_counter()
            index.search(query[None], bench.k)
            single.append(time.perf_counter() - started)
    together = []
    for _ in range(5):
        started = time.perf_counter()
        index.search(bench.queries, bench.k)
        together.append(time.perf_counter() - started)
    one = float(np.median(single))
    batch = len(bench.queries) / float(np.median(together))
    return {"queries_per_second": 1 / one, "batched_per_second": batch, "one_query_ms": one * 1000}


def _size(index: Index) -> float:
    """Return how large the index is when saved, its vectors included, in MiB."""
    return saved_size(index) / 2**20


# ------------------------------------------------------------------------------------------------ scoring


@dataclass(frozen=True)
class IndexScore:
    """The measured settings, those on the Pareto front marked, and the fastest that reaches each recall."""

    rows: Sequence[Mapping[str, Any]]
    fastest: Mapping[str, Mapping[str, Any]]
    k: int


def score_indexes(run: Run) -> IndexScore:
    """Find the settings that none beats in both recall and rate; reads nothing but the run folder."""
    rows = [_numbers(row) for row in run.table("settings")]
    rows = [{**row, "pareto": not any(_beats(other, row) for other in rows)} for row in rows]
    fastest = {}
    for least in (0.9, 0.95, 0.99):
        good = [row for row in rows if row["recall"] >= least]
        if good:
            fastest[f"{least:g}"] = max(good, key=lambda row: row["queries_per_second"])
    score = IndexScore(rows, fastest, int(run.config["k"]))
    best = fastest.get("0.95")
    metrics = {f"recall@{score.k}": best["recall"], "queries_per_second": best["queries_per_second"]} if best else {}
    run.write_score({"metrics": metrics, "fastest": fastest, "settings": rows})
    write_csv(run.folder / "pareto.csv", [row for row in rows if row["pareto"]])
    return score


def _numbers(row: Mapping[str, str]) -> dict[str, Any]:
    measured = ("recall", "queries_per_second", "batched_per_second", "one_query_ms", "build_s", "size_mib")
    return {name: float(value) if name in measured else value for name, value in row.items()}


def _beats(other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    pair = ("recall", "queries_per_second")
    return all(other[name] >= row[name] for name in pair) and any(other[name] > row[name] for name in pair)
