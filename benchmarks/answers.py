"""Which queries without an answer are told so: the curve of the cut-off of `sosie.query.likeness`.

    python benchmarks/answers.py --library LIBRARY --label label

Each picture with a value of the label is asked twice by its stored vector: among all others (its class is there), and
among those without its class. Printed for each cut-off: of the queries whose class is away, the share told that nothing
is like them; of those whose class is there, the share that lose it, because their likest picture of the class is below.
Nothing is fitted on the labels: the row marked * is what the library measured of itself. ``--among`` is a filter for
libraries that hold the same things under other labels.
"""

from __future__ import annotations

import argparse

import numpy as np

import sosie
from sosie.query.likeness import measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--label", default="label")
    parser.add_argument("--among", default=None, help="a filter: only pictures that meet it are asked and answer")
    options = parser.parse_args()
    with sosie.open(options.library, create=False, read_only=True) as library:
        records = library.pictures(where=options.among)
        classes = {each.id: str(each.labels.get(options.label, "")) for each in records}
        ids, vectors = library.catalogue.vectors_of(library.space, sorted(classes))
        background = measured(ids, library.catalogue, library.view())
    assert background is not None, "too few pictures to measure"
    there, away = likest(vectors, np.array([classes[i] for i in ids.tolist()]))
    print(f"{len(there)} queries, {len(ids)} pictures; area under the curve {area(there, away):.3f}")
    print("cut-off  class away: told so  class there: lost")
    for cut in sorted({*np.round(np.arange(0.2, 0.85, 0.05), 2).tolist(), round(background.cut_off, 4)}):
        mark = "*" if cut == round(background.cut_off, 4) else " "
        print(f"{cut:.3f} {mark}  {(away < cut).mean():19.3f}  {(there < cut).mean():17.3f}")


def likest(vectors: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosine of the likest picture of the class, and of the likest of all others, for each query (n,)."""
    there, away = [], []
    for row in np.flatnonzero(classes != ""):
        cosines, same = vectors @ vectors[row], classes == classes[row]
        same[row] = False
        if same.any():
            there.append(cosines[same].max())
            away.append(cosines[classes != classes[row]].max())
    return np.array(there), np.array(away)


def area(there: np.ndarray, away: np.ndarray) -> float:
    """Return how often a query with its class is more alike to something than one without."""
    order = np.concatenate([there, away]).argsort().argsort() + 1
    return float((order[: len(there)].sum() - len(there) * (len(there) + 1) / 2) / len(there) / len(away))


if __name__ == "__main__":
    main()
