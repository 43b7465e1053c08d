"""Numbers are told as they are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sosie
from sosie.errors import UnknownName
from sosie.evaluation.collection import from_library
from sosie.evaluation.labels import _chance, predict_labels
from sosie.evaluation.metrics import average_precision, ranks_of_answers
from sosie.evaluation.relevance import label_sets
from sosie.indexes.recall import wilson
from sosie.server.metrics import Metrics
from sosie.server.views import counts_within, where_of
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from sosie.types import number_text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_the_same(value: float) -> None:
    assert float(number_text(value)) == value


def test_whole_numbers_have_no_point() -> None:
    assert [number_text(each) for each in (1999.0, -3.0, 1234567.89, 0.1)] == ["1999", "-3", "1234567.89", "0.1"]


def test_numbers_that_differ_are_counted_apart_and_found(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library:
        fill_with_vectors(library, clustered(3, 320))
        library.catalogue.set_labels_of_each({1: {"n": 1234567.89}, 2: {"n": 1234567.9}, 3: {"n": 1234567.9}})
        counts = library.labels()["n"]
        assert counts == {"1234567.9": 2, "1234567.89": 1}
        for value, count in counts.items():
            assert len(library.pictures(where=f"n = {value}")) == count


def test_facets_count_what_choosing_them_gives(tmp_path: Path) -> None:
    """Values of one label are alternatives, so the others of a label that was chosen from do not go to nought."""
    with sosie.open(tmp_path, model="histogram") as library:
        fill_with_vectors(library, clustered(12, 320))
        labels = {
            i: {"colour": "red" if i % 2 else "blue", "size": "large" if i % 3 else "small"} for i in range(1, 13)
        }
        library.catalogue.set_labels_of_each(labels)
        for where, chosen in (
            (None, []),
            ("size = 'large'", []),
            (None, ["colour:red"]),
            ("size = 'small'", ["colour:blue"]),
        ):
            for name, values in counts_within(library, where, chosen).items():
                others = [pair for pair in chosen if not pair.startswith(f"{name}:")]
                for value, count in values.items():
                    expression = where_of(where, [*others, f"{name}:{value}"])
                    assert count == len(library.pictures(where=expression)), (where, chosen, name, value)
        assert counts_within(library, "size = 'small'", ["size:large"])["size"] == {"small": 4, "large": 0}


def test_counters_go_on_above_a_million() -> None:
    metrics = Metrics()
    metrics.count("sosie_requests_total", {}, 1_234_567)
    metrics.count("sosie_requests_total", {})
    assert "sosie_requests_total 1234568\n" in metrics.text({})


def test_the_random_baseline_is_what_random_orders_have() -> None:
    labels = [{"label": name} for name in "aaabbbbcd"]
    sets = label_sets(labels, ["label"])
    own, rng = np.arange(9), np.random.default_rng(0)
    drawn = []
    for _ in range(4_000):
        for query in range(7):  # those with something relevant
            others = [i for i in range(9) if i != query]
            right = np.array([[labels[i] == labels[query] for i in rng.permutation(others)]])
            ranks = ranks_of_answers(right, -np.arange(8.0)[None], right.sum(axis=1))
            drawn.append(float(average_precision(ranks)[0]))
    assert _chance(sets, sets, own) == pytest.approx(np.mean(drawn), abs=0.005)


def test_an_interval_of_a_share_is_not_empty_at_its_ends() -> None:
    low, high = wilson(1.0, 398)
    assert high == 1.0 and low == pytest.approx(398 / (398 + 1.96**2))
    assert wilson(0.0, 398) == pytest.approx((0.0, 1 - low))
    assert math.isclose(sum(wilson(0.5, 100)), 1.0)


def test_a_label_that_no_picture_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(30, 320))
        library.catalogue.set_labels_of_each({i: {"label": "ab"[i % 2]} for i in range(1, 31)})
        with pytest.raises(UnknownName, match="did you mean 'label'"):
            predict_labels(tmp_path / "run", from_library(library), keys=("labl",))


def test_the_library_is_asked_for_k_answers(tmp_path: Path) -> None:
    asked = []
    with sosie.open(tmp_path / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(60, 320))
        library.catalogue.set_labels_of_each({i: {"label": "ab"[i % 2]} for i in range(1, 61)})

        def search(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            asked.append(k)
            return np.zeros((len(rows), k), np.int64), np.zeros((len(rows), k), np.float32)

        predict_labels(tmp_path / "run", from_library(library), search=search, k=10)
    assert asked == [11]
