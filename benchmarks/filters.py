"""Recall and time with filters: kind × metric × how much a filter allows × whether it lies with or against the query.

    python benchmarks/filters.py --vectors real.npz [--out docs/images/filters-3900.svg]
    python benchmarks/filters.py --n 100000

Each kind is built as a library builds it, tuned to a recall of 0.95 without a filter. A filter *along* the query allows
the nearest, one *across* a random share, one *against* the farthest. Recall is the share of the ten exact nearest that
are allowed, by the index's own metric, of equally far ones any; the time is the median of single queries. Prints a
table of Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from vectors import given_or_drawn

from sosie.contracts import Index
from sosie.indexes.filtered import WAYS
from sosie.indexes.flat import score_rows, top_k_of
from sosie.indexes.measure import metric_of
from sosie.indexes.recall import count_found
from sosie.indexes.tune import calibrate
from sosie.present.charts import Series, line_chart
from sosie.present.label_plots import alone
from sosie.registry import resolve_index

K = 10
SHARES = (0.001, 0.01, 0.1, 0.5, 0.9)
KINDS: tuple[tuple[str, str | None], ...] = (
    ("hnsw", None),
    ("ivf", None),
    ("symqg", None),
    ("binary", None),
    ("annoy", "angular"),
    ("annoy", "manhattan"),
    ("annoy", "hamming"),
    ("lsh", "cosine"),
    ("lsh", "hamming"),
)


@dataclass(frozen=True)
class Cell:
    """What was measured with filters of one share and way."""

    kind: str
    share: float
    way: str
    recall: float
    ms: float


def measure(kind: str, metric: str | None, vectors: np.ndarray, *, queries: int) -> Iterator[Cell]:
    """Build one kind without the queries and measure every share and way."""
    order = np.random.default_rng(0).permutation(len(vectors))
    asked, kept = vectors[order[:queries]], np.ascontiguousarray(vectors[order[queries:]])
    ids = np.arange(len(kept), dtype=np.int64)
    index: Index = resolve_index(kind)(**({"metric": metric} if metric else {}))
    index.build(ids, kept)
    index, _ = calibrate(index, kept, ids, given=("metric",))
    name = kind if metric is None else f"{kind} {metric}"
    near = np.argsort(kept @ asked.T, axis=0, kind="stable")  # (n, q), from far to near
    rng = np.random.default_rng(1)
    for share in SHARES:
        size = max(K, int(share * len(kept)))
        for way in WAYS:
            recalls, times = [], []
            for at in range(queries):
                if way == "across":
                    allow = np.sort(rng.choice(len(kept), size, replace=False))
                else:
                    allow = np.sort(near[-size:, at] if way == "along" else near[:size, at])
                truth = top_k_of(kept, asked[at : at + 1], K, allow, metric_of(index))[1]
                started = time.perf_counter()
                found = index.search(asked[at : at + 1], K, ids[allow])[0]
                times.append(time.perf_counter() - started)
                scores = score_rows(kept, asked[at : at + 1], found, metric_of(index))  # ids are rows here
                recalls.append(count_found(scores, truth)[0] / K)
            yield Cell(name, share, way, float(np.mean(recalls)), 1000 * float(np.median(times)))


def table(cells: list[Cell]) -> str:
    """Return recall and milliseconds, one line a kind and way."""
    lines = ["| kind | filter | " + " | ".join(f"{share:g}" for share in SHARES) + " |"]
    lines.append("|---|---|" + "---|" * len(SHARES))
    known = {(cell.kind, cell.way, cell.share): cell for cell in cells}
    for kind in dict.fromkeys(cell.kind for cell in cells):
        for way in WAYS:
            found = [known[kind, way, share] for share in SHARES]
            lines.append(f"| {kind} | {way} | " + " | ".join(f"{c.recall:.3f}, {c.ms:.2g} ms" for c in found) + " |")
    return "\n".join(lines)


def plot(cells: list[Cell]) -> str:
    """Return one chart a way: recall over the share that a filter allows, a line for each kind."""
    charts = []
    for way in WAYS:
        lines = []
        for kind in dict.fromkeys(cell.kind for cell in cells):
            mine = [cell for cell in cells if (cell.kind, cell.way) == (kind, way)]
            lines.append(Series(kind, [c.share for c in mine], [c.recall for c in mine]))
        title = f"recall@{K} with a filter {way} the query"
        charts.append(
            line_chart(lines, title=title, x_label="share allowed", y_label="recall", log_x=True, y_range=(0.0, 1.0))
        )
    return alone(charts)


def main() -> None:
    """Measure, print the table, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="an .npz of `sosie export-vectors`")
    parser.add_argument("--n", type=int, default=100_000, help="so many drawn vectors, like embeddings")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--kinds", default="", help="only these, with commas between")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    vectors = given_or_drawn(given.vectors, given.n + given.queries)
    cells: list[Cell] = []
    for kind, metric in KINDS:
        if not given.kinds or kind in given.kinds.split(","):
            cells += measure(kind, metric, vectors, queries=given.queries)
    print(f"{len(vectors) - given.queries} vectors, {given.queries} queries\n")
    print(table(cells))
    if given.out:
        given.out.write_text(plot(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
