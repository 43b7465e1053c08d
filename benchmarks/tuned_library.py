"""Tune the index of a library of many vectors, then measure its recall from outside.

    python benchmarks/tuned_library.py make  LIBRARY --n 100000     # a library of made vectors; no pictures behind them
    sosie index tune --library LIBRARY --recall 0.95
    python benchmarks/tuned_library.py check LIBRARY

``check`` asks for points that were never in the library and counts against its own matrix product.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from vectors import embedding_like

import sosie
from sosie.catalogue import AddContent, ContentRow
from sosie.types import ImageRef

K = 10
QUERIES = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "check"])
    parser.add_argument("library", type=Path)
    parser.add_argument("--n", type=int, default=100_000)
    args = parser.parse_args()
    if args.step == "make":
        make(args.library, args.n)
    else:
        check(args.library)


def make(path: Path, n: int) -> None:
    with sosie.open(path) as library:
        space = library.space
        vectors = embedding_like(n + QUERIES, dim=space.dim)
        for start in range(0, n, 5_000):
            changes = [
                AddContent(row(at), ImageRef(f"file:///made/{at}.jpg"), {space.id: vectors[at]})
                for at in range(start, min(n, start + 5_000))
            ]
            library.catalogue.apply(changes, root="file:///made/")
        print(f"{n} vectors of {space.dim} in {path}")


def row(at: int) -> ContentRow:
    digest = hashlib.sha256(str(at).encode()).digest()
    return ContentRow(digest, 1_000, "JPEG", 64, 64, digest[:16], digest, 80)


def check(path: Path) -> None:
    with sosie.open(path, create=False) as library:
        ids, vectors = library.vectors()
        # What make() drew with the library's vectors and left out.
        queries = embedding_like(len(ids) + QUERIES, dim=vectors.shape[1])[len(ids) :]
        view = library.view()
        found = np.concatenate([view.search(queries[at : at + 100], K)[0] for at in range(0, QUERIES, 100)])
        hits = 0
        for at in range(0, QUERIES, 100):
            true = ids[np.argpartition(-(queries[at : at + 100] @ vectors.T), K, axis=1)[:, :K]]
            hits += sum(len(np.intersect1d(one, other)) for one, other in zip(found[at : at + 100], true, strict=True))
        said = view.description
        print(f"{said['kind']}: stored recall {said['recall']}, measured here {hits / (K * QUERIES):.4f}")


if __name__ == "__main__":
    main()
