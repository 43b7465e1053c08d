"""With a filter that lies along, across or against the query, the nearest that are allowed come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.indexes.base import RowIndex
from sosie.indexes.filtered import measure_filtered, recall_at_share
from sosie.indexes.measure import hold_out
from sosie.indexes.tune import calibrate
from sosie.registry import resolve
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered

N = 6_000
VECTORS = clustered(N + 40, 64)
IDS = np.arange(N) * 2 + 1


@pytest.fixture(scope="module", params=["symqg", "hnsw", "ivf", "annoy", "binary"])
def index(request: pytest.FixtureRequest) -> RowIndex:
    if request.param == "annoy":
        pytest.importorskip("annoy")
    made: RowIndex = resolve("indexes", request.param)()
    made.build(IDS, VECTORS[:N])
    made, _ = calibrate(made, VECTORS[:N], IDS, recall=0.95, queries=100)
    made.few = 1  # else so few vectors are always gone through exactly
    return made


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("way", ["along", "across", "against"])
def test_the_nearest_that_are_allowed_come_back(index: RowIndex, share: float, way: str) -> None:
    size, found = int(share * N), []
    for query in VECTORS[N:]:
        order = np.argsort(VECTORS[:N] @ query)
        chosen = {"along": order[-size:], "against": order[:size], "across": np.arange(0, N, int(1 / share))}[way]
        allow = IDS[np.sort(chosen)]
        truth = IDS[chosen[np.argsort(-(VECTORS[chosen] @ query), kind="stable")[:10]]]
        found.append(len(np.intersect1d(index.search(query[None], 10, allow)[0][0], truth)) / 10)
    assert np.mean(found) >= 0.93


def test_what_is_measured_with_filters_is_what_brute_force_says(index: RowIndex) -> None:
    bench, rest, rest_ids = hold_out(VECTORS[:N], IDS, queries=12, k=10, seed=3)
    twin = type(index)(**index.params)
    twin.few = 1
    twin.build(rest_ids, rest)
    for row in measure_filtered(twin, bench):
        assert 0.85 <= row.recall <= 1.0, row


def test_the_least_of_filters_about_as_wide_is_said() -> None:
    rows = [{"share": 0.5, "recall": 0.97}, {"share": 0.5, "recall": 0.91}, {"share": 0.01, "recall": 0.6}]
    assert recall_at_share(rows, 0.4) == 0.91
    assert recall_at_share(rows, 0.001) == 0.6
    assert recall_at_share([], 0.4) is None


def test_an_answer_says_what_recall_its_filter_has(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library:
        fill_with_vectors(library, clustered(1_200, 320))
        built = library.indexes.build("hnsw")
        assert {row["way"] for row in built.measured["filtered"]} == {"along", "across", "against"}
        library.catalogue.set_labels_of_each({i: {"half": "a" if i % 2 else "b"} for i in range(1, 1_201)})
        assert library.search(5, where="half = 'a'").index["recall_filtered"] == 1.0  # few: gone through exactly
        main = library.view()._current().main.index  # type: ignore[attr-defined]
        main.few = 10
        told = library.search(5, where="half = 'a'").index["recall_filtered"]
        assert told == min(row["recall"] for row in built.measured["filtered"] if row["share"] == 0.5)
        assert "recall_filtered" not in library.search(5).index
