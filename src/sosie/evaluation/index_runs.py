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
from sosie.indexes.recall import count_found, interval_of
from sosie.registry import resolve_index, usable_indexes
from sosie.types import FloatMatrix

__all__ = ["IndexScore", "measure_indexes", "score_indexes"]

_LEAST_SECONDS = 0.25  # of searching, all rounds together, so that a rate means something
_ROUNDS = 5
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

    The queries are vectors of the collection that are held out of the indexes, at most a tenth of them. All settings
    are timed in turn, round by round, so that what else the machine does meets each of them alike.
    """
    chosen = tuple(kinds) or usable_indexes()
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
    settings = [setting for kind in chosen for setting in _built(kind, bench, note)]
    rows = _timed(settings, bench, note)
    return write_run(folder, config, arrays={"exact_scores": bench.exact_scores}, tables={"settings": rows})


def _bench(vectors: FloatMatrix, *, k: int, queries: int, seed: int) -> _Bench:
    if len(vectors) < 20:
        raise UsageError(f"{len(vectors)} pictures are too few to compare indexes: add at least 20")
    order = np.random.default_rng(seed).permutation(len(vectors))
    held = max(1, min(queries, len(vectors) // 10))
    asked, kept = vectors[np.sort(order[:held])], vectors[np.sort(order[held:])]
    return _Bench(kept, asked, top_k(kept, asked, k)[1], k)


@dataclass(frozen=True, slots=True)
class _Setting:
    """An index that is built, with one of its search settings, and what was measured of it so far."""

    index: Index
    changes: Mapping[str, Any]
    measured: Mapping[str, Any]

    @property
    def words(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.changes.items()) or "default"


def _built(kind: str, bench: _Bench, note: Callable[[str], None]) -> Iterator[_Setting]:
    """Build one kind and measure the recall of each setting; a kind that is not installed is noted and left out."""
    try:
        index = resolve_index(kind)()
        started = time.perf_counter()
        index.build(np.arange(len(bench.vectors)), bench.vectors)
    except (SosieError, ImportError) as error:
        note(f"{kind} is left out: {error}")
        return
    built, size = time.perf_counter() - started, _size(index)
    for changes in _settings(index):
        tuned = index.tuned(changes) if changes and isinstance(index, Tunable) else index
        recall, low, high = _recall(tuned, bench)
        found = {"recall": recall, "recall_low": low, "recall_high": high, "build_s": built, "size_mib": size}
        yield _Setting(tuned, changes, found)


def _timed(settings: Sequence[_Setting], bench: _Bench, note: Callable[[str], None]) -> list[dict[str, Any]]:
    """Time all settings in rounds, each round in an order of its own; return a row for each."""
    single: list[list[float]] = [[] for _ in settings]
    together: list[list[float]] = [[] for _ in settings]
    for turn in range(_ROUNDS):
        for at in np.random.default_rng(turn).permutation(len(settings)):
            single[at].append(_one_by_one(settings[at].index, bench))
            together[at].append(_all_at_once(settings[at].index, bench))
    rows = []
    for setting, ones, alls in zip(settings, single, together, strict=True):
        kind = setting.index.kind
        row = {"kind": kind, "setting": setting.words, **setting.measured, **_rates(ones, alls, len(bench.queries))}
        spread = f"{row['one_query_ms_low']:.3f} to {row['one_query_ms_high']:.3f}"
        note(f"{kind} {setting.words}: recall@{bench.k} {row['recall']:.3f}, {row['one_query_ms']:.3f} ms ({spread})")
        rows.append({**row, "params": dict(setting.index.params)})
    return rows


def _settings(index: Index) -> list[Mapping[str, Any]]:
    space = index.knobs if isinstance(index, Tunable) else {}
    if not space:
        return [{}]
    every = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    if len(every) <= _SETTINGS:
        return list(every)
    return [every[at] for at in np.unique(np.linspace(0, len(every) - 1, _SETTINGS).astype(int))]


def _recall(index: Index, bench: _Bench) -> tuple[float, float, float]:
    """Return recall@k and its interval, by exact scores of the index's own metric."""
    bench = bench.by(metric_of(index))
    ids, _ = index.search(bench.queries, bench.k)
    true = score_rows(bench.vectors, bench.queries, ids, bench.metric)  # ids are rows here
    shares = count_found(true, bench.exact_scores) / bench.k
    return index_recall(ids, true, bench.exact_scores, k=bench.k), *interval_of(shares, bench.k)


def _one_by_one(index: Index, bench: _Bench) -> float:
    """Return the median time of a query that is asked alone, in seconds, over one round."""
    index.search(bench.queries[:1], bench.k)
    times: list[float] = []
    while sum(times) < _LEAST_SECONDS / _ROUNDS:
        for query in bench.queries:
            started = time.perf_counter()
            index.search(query[None], bench.k)
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def _all_at_once(index: Index, bench: _Bench) -> float:
    started = time.perf_counter()
    index.search(bench.queries, bench.k)
    return time.perf_counter() - started


def _rates(single: Sequence[float], together: Sequence[float], queries: int) -> dict[str, float]:
    """Return rates by the median of the rounds, and the fastest and slowest round of single queries."""
    one = float(np.median(single))
    return {
        "queries_per_second": 1 / one,
        "batched_per_second": queries / float(np.median(together)),
        "one_query_ms": one * 1000,
        "one_query_ms_low": min(single) * 1000,
        "one_query_ms_high": max(single) * 1000,
    }


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
    words = ("kind", "setting", "params")
    return {name: value if name in words else float(value) for name, value in row.items()}


def _beats(other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    pair = ("recall", "queries_per_second")
    return all(other[name] >= row[name] for name in pair) and any(other[name] > row[name] for name in pair)
