"""Annoy's search_k and trees, and LSH's bits, tables and probes: recall by ids against milliseconds.

    python benchmarks/trade_offs.py annoy --vectors real.npz [--out docs/images/annoy-3900.svg]
    python benchmarks/trade_offs.py lsh --n 100000

Annoy is asked through Sosie and, on the very same file, by the annoy package alone. Recall is the share of the ten
exact nearest by the metric, by ids; where several are equally far (hamming), any of them counts. Times are medians of
single queries. Prints a table of Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import annoy
import numpy as np
from vectors import given_or_drawn

from sosie.indexes.annoy import METRICS, AnnoyIndex
from sosie.indexes.flat import score_rows, top_k
from sosie.indexes.lsh import LshIndex
from sosie.indexes.recall import count_found
from sosie.present.charts import Series, line_chart
from sosie.present.label_plots import alone

K = 10
TREES = (10, 25, 50, 100)
SEARCH_K = (50, 250, 1_000, 10_000, 100_000)
BITS, TABLES, PROBES = (8, 10, 14), (5, 10, 20), (1, 4, 16, 64)


@dataclass(frozen=True)
class Point:
    """What one setting reached."""

    who: str
    setting: str
    effort: float
    recall: float
    ms: float


@dataclass(frozen=True)
class Bench:
    """Vectors and queries that are not among them."""

    vectors: np.ndarray
    queries: np.ndarray

    def point(self, who: str, setting: str, effort: float, metric: Any, ask: Callable[[np.ndarray], Any]) -> Point:
        """Ask one query after the other and compare with exact search by a metric."""
        found, times = np.full((len(self.queries), K), -1, np.int64), []
        for at, query in enumerate(self.queries):
            started = time.perf_counter()
            near = ask(query)
            times.append(time.perf_counter() - started)
            found[at, : len(near)] = near
        truth = top_k(self.vectors, self.queries, K, metric)[1]
        scores = score_rows(self.vectors, self.queries, found, metric)
        return Point(who, setting, effort, float(count_found(scores, truth).mean() / K), 1000 * float(np.median(times)))


def annoy_points(bench: Bench, metrics: tuple[str, ...]) -> Iterator[Point]:
    """Ask Sosie and plain Annoy on one file, for each metric, number of trees and search_k."""
    for metric in metrics:
        for trees in TREES:
            index = AnnoyIndex(metric=metric, n_trees=trees)  # type: ignore[arg-type]
            index.build(np.arange(len(bench.vectors)), bench.vectors)
            with tempfile.TemporaryDirectory() as folder:
                plain = annoy.AnnoyIndex(bench.vectors.shape[1], metric)
                plain.load(str(index.export(Path(folder))))
                for search_k in SEARCH_K:
                    tuned, setting = index.tuned({"search_k": search_k}), f"{metric}, {trees} trees"

                    def ours(query: np.ndarray, tuned: Any = tuned) -> Any:
                        ids = tuned.search(query[None], K)[0][0]
                        return ids[ids >= 0]

                    def theirs(query: np.ndarray, plain: Any = plain, wide: int = search_k, by: str = metric) -> Any:
                        return plain.get_nns_by_vector((query > 0) if by == "hamming" else query, K, wide)

                    yield bench.point("Sosie", setting, search_k, index.metric, ours)
                    yield bench.point("plain Annoy", setting, search_k, index.metric, theirs)


def lsh_points(bench: Bench) -> Iterator[Point]:
    """Ask LSH with each number of bits, tables and probes; short answers are not filled up."""
    for bits in BITS:
        for tables in TABLES:
            index = LshIndex(bits=bits, tables=tables, centre=True)
            index.build(np.arange(len(bench.vectors)), bench.vectors)
            for probes in PROBES:
                tuned = index.tuned({"probes": probes})

                def ask(query: np.ndarray, tuned: Any = tuned) -> Any:
                    ids = tuned.search(query[None], K)[0][0]
                    return ids[ids >= 0]

                yield bench.point("Sosie", f"{bits} bits, {tables} tables", probes, index.metric, ask)


def table(points: list[Point], effort: str) -> str:
    """Return one line a setting; columns are efforts."""
    efforts = list(dict.fromkeys(point.effort for point in points))
    lines = [
        f"| setting | | {' | '.join(f'{effort} {each:,.0f}' for each in efforts)} |",
        "|---" * (len(efforts) + 2) + "|",
    ]
    for setting, who in dict.fromkeys((point.setting, point.who) for point in points):
        mine = [point for point in points if (point.setting, point.who) == (setting, who)]
        lines.append(f"| {setting} | {who} | {' | '.join(f'{p.recall:.3f}, {p.ms:.2g} ms' for p in mine)} |")
    return "\n".join(lines)


def plot(points: list[Point], groups: dict[str, Callable[[Point], bool]], effort: str) -> str:
    """Return one chart a group: recall over effort, a line for each setting and who was asked."""
    charts = []
    for title, fits in groups.items():
        lines = []
        for setting, who in dict.fromkeys((p.setting, p.who) for p in points if fits(p)):
            mine = [point for point in points if (point.setting, point.who) == (setting, who)]
            lines.append(Series(f"{setting}, {who}", [p.effort for p in mine], [p.recall for p in mine]))
        charts.append(
            line_chart(lines, title=title, x_label=effort, y_label=f"recall@{K}", log_x=True, y_range=(0.0, 1.0))
        )
    return alone(charts)


def main() -> None:
    """Measure, print the table, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["annoy", "lsh"])
    parser.add_argument("--vectors", type=Path, help="an .npz of `sosie export-vectors`")
    parser.add_argument("--n", type=int, default=100_000, help="so many drawn vectors, like embeddings")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--metrics", default=",".join(METRICS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    vectors = given_or_drawn(given.vectors, given.n + given.queries)
    order = np.random.default_rng(0).permutation(len(vectors))
    bench = Bench(np.ascontiguousarray(vectors[order[given.queries :]]), vectors[order[: given.queries]])
    print(f"{len(bench.vectors)} vectors of {bench.vectors.shape[1]} numbers, {given.queries} queries\n")
    if given.what == "annoy":
        metrics = tuple(given.metrics.split(","))
        points, effort = list(annoy_points(bench, metrics)), "search_k"
        groups = {f"Annoy, {name}": lambda p, name=name: p.setting.startswith(f"{name},") for name in metrics}
    else:
        points, effort = list(lsh_points(bench)), "probes"
        groups = {f"LSH, {bits} bits": lambda p, bits=bits: p.setting.startswith(f"{bits} bits") for bits in BITS}
    print(table(points, effort))
    if given.out:
        given.out.write_text(plot(points, groups, effort), encoding="utf-8")


if __name__ == "__main__":
    main()
