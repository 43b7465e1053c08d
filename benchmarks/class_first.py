"""Class first, then likeness, against likeness alone: mAP and time on pictures that the classifier never had.

    python benchmarks/class_first.py LIBRARY PACKAGE QUERIES.csv [--min-class 0.5 …]

LIBRARY holds labelled pictures; PACKAGE is a classifier that was trained without those whose paths QUERIES.csv lists in
its column `path`. Each of them is asked about by its bytes, and is no answer to itself. Prints JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

import sosie
from sosie.library import Library
from sosie.query.class_first import ClassFirst


def main() -> None:
    """Ask every query with and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("package", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--min-class", type=float, nargs="*", default=[0.0, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--label", default="label")
    options = parser.parse_args()
    with options.queries.open(encoding="utf-8") as file:
        wanted = {Path(row["path"]).name for row in csv.DictReader(file)}
    with sosie.open(options.library, create=False, read_only=True) as lib:
        truth = {record.id: record.labels[options.label] for record in lib.pictures()}
        queries = [record.id for record in lib.pictures() if record.uris[0].rpartition("/")[2] in wanted]
        lib.engine.warm_up()
        lib.search(lib.read(queries[0]), class_first=ClassFirst(0.5, str(options.package)))
        rows = [{"search": "all pictures", **measure(lib, queries, truth, None)}]
        for least in options.min_class:
            how = ClassFirst(least, str(options.package))
            rows.append({"search": f"class first, at least {least:g}", **measure(lib, queries, truth, how)})
    print(json.dumps({"pictures": len(truth), "queries": len(queries), "rows": rows}, indent=1))


def measure(lib: Library, queries: list[int], truth: dict[int, object], how: ClassFirst | None) -> dict[str, float]:
    """Return mAP, precision at 10, the median time of a query, and how the classes were."""
    precisions, firsts, times, within, right = [], [], [], 0, 0
    counts = {value: list(truth.values()).count(value) for value in set(truth.values())}
    for query in queries:
        data = lib.read(query)
        started = time.perf_counter()
        found = lib.search(data, k=len(truth), class_first=how or False, verify=False)
        times.append(1000 * (time.perf_counter() - started))
        relevant = np.array([truth[hit.id] == truth[query] for hit in found if hit.id != query])
        hits = np.flatnonzero(relevant)
        precisions.append(((np.arange(len(hits)) + 1) / (hits + 1)).sum() / (counts[truth[query]] - 1))
        firsts.append(relevant[:10].sum() / 10)
        told = found.asked.get("class", {})
        within += bool(told.get("searched"))
        right += bool(told.get("searched")) and told["name"] == truth[query]
    figures = {"mAP": np.mean(precisions), "precision@10": np.mean(firsts), "median ms": np.median(times)}
    shares = {"within a class": within / len(queries), "of those right": right / max(1, within)} if how else {}
    return {name: round(float(value), 4) for name, value in {**figures, **shares}.items()}


if __name__ == "__main__":
    main()
