"""What a person sets, holds; what no kind takes is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import sosie
from sosie.errors import UsageError
from sosie.indexes.base import RowIndex
from sosie.indexes.lsh import LshIndex
from sosie.indexes.params import check_params, read_params
from sosie.indexes.tune import calibrate
from sosie.registry import local_indexes, resolve
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from tests.serving import running

VECTORS = clustered(1_200, 32)
WIDE = clustered(1_200, 320)  # what a library takes
IDS = np.arange(len(VECTORS))
GIVEN: dict[str, dict[str, Any]] = {
    "annoy": {"search_k": 50},
    "hnsw": {"ef": 16},
    "symqg": {"ef": 16},
    "lsh": {"probes": 1},
    "ivf": {"rerank": 3},
    "binary": {"rerank": 2},
}


@pytest.mark.parametrize("kind", GIVEN)
def test_calibration_leaves_what_was_given(kind: str) -> None:
    if kind == "annoy":
        pytest.importorskip("annoy")
    index = resolve("indexes", kind)(**GIVEN[kind])
    index.build(IDS, VECTORS)
    tuned, _ = calibrate(index, VECTORS, IDS, recall=0.99, queries=40, given=GIVEN[kind])
    assert {name: tuned.params[name] for name in GIVEN[kind]} == GIVEN[kind]


def test_what_is_left_open_is_still_tuned() -> None:
    index = resolve("indexes", "ivf")(lists=30, rerank=12)
    index.build(IDS, VECTORS)
    low, _ = calibrate(index, VECTORS, IDS, recall=0.1, queries=100, given=["rerank"])
    high, _ = calibrate(index, VECTORS, IDS, recall=0.995, queries=100, given=["rerank"])
    assert low.params["probes"] < high.params["probes"]


@pytest.mark.parametrize("kind", local_indexes())
def test_each_kind_refuses_names_and_values_by_the_same_check(kind: str) -> None:
    cls = resolve("indexes", kind)
    with pytest.raises(UsageError, match="has no parameter 'nosuch'"):
        check_params(cls, {"nosuch": 1})
    for name, value in cls().params.items():
        wrong = {"not": "a value"}
        with pytest.raises(UsageError, match=f"{kind} takes {name} as .*, not"):
            check_params(cls, {name: wrong})
        check_params(cls, {name: value})


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("annoy", {"serch_k": 50}, "did you mean 'search_k'"),
        ("annoy", {"search_k": 0}, "from 1 up, or -1"),
        ("annoy", {"search_k": "many"}, "a whole number, not 'many'"),
        ("hnsw", {"ef": True}, "a whole number, not True"),
        ("hnsw", {"ef": -3}, "from 1 up"),
        ("hnsw", {"codes": "pq"}, "'flat', 'sq8', not 'pq'"),
        ("lsh", {"ef": 3}, "has no parameter 'ef'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, kind: str, params: dict[str, Any], said: str) -> None:
    with sosie.open(tmp_path, model="histogram") as library, pytest.raises(UsageError, match=said):
        fill_with_vectors(library, WIDE[:20])
        library.indexes.build(kind, params)


@pytest.mark.parametrize("pairs", [["ef"], ["=3"], ["ef="], ["ef=1", "ef=2"], ["ef=["]])
def test_what_is_no_parameter_is_refused(pairs: list[str]) -> None:
    with pytest.raises(UsageError):
        read_params(pairs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a library with an index whose ``ef`` a person set."""
    folder = tmp_path_factory.mktemp("library")
    with sosie.open(folder, model="histogram") as library:
        fill_with_vectors(library, WIDE)
    built = command("index", "build", "--kind", "hnsw", "-p", "ef=16", "--json", place=folder)
    assert json.loads(built.stdout)["params"]["ef"] == 16
    return folder


def command(*arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "sosie", *arguments, "--library", str(place)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_what_was_given_is_stored_with_the_index_and_shown(place: Path) -> None:
    told = json.loads(command("index", "list", "--json", place=place).stdout)
    assert told["given"] == {"ef": 16} and told["params"]["ef"] == 16
    assert "ef=16 (given)" in command("index", "list", place=place).stdout


def test_a_search_takes_the_parameters_of_its_index(place: Path) -> None:
    told = json.loads(command("search", "id:5", "-p", "ef=300", "--json", place=place).stdout)["index"]
    assert told["params"] == {"ef": 300} and told["recall"] is None
    with sosie.open(place) as library:
        wide = library.search(5, index_params={"ef": 1_000})
        ids, vectors = library.vectors()
        truth = ids[np.argsort(-(vectors @ vectors[4]), kind="stable")[1:11]]
        assert [hit.id for hit in wide] == truth.tolist()
        assert library.view().description["recall"] is not None


@pytest.mark.parametrize(("pair", "said"), [("eff=3", "mean 'ef'"), ("ef=x", "a whole number"), ("ef", "name=")])
def test_a_wrong_parameter_of_a_search_is_one_line(place: Path, pair: str, said: str) -> None:
    done = command("search", "id:5", "-p", pair, place=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_the_api_takes_them_too(place: Path) -> None:
    with sosie.open(place) as library, running(library) as address:
        there = httpx.get(f"{address}/api/v1/search?id=5&index_params=ef=200").json()
        wrong = httpx.get(f"{address}/api/v1/search?id=5&index_params=eff=200")
    assert there["index"]["params"] == {"ef": 200}
    assert wrong.status_code == 400 and "did you mean 'ef'" in wrong.text


def test_exact_search_takes_none(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library, pytest.raises(UsageError, match="search is exact"):
        fill_with_vectors(library, WIDE[:20])
        library.search(1, index_params={"ef": 3})


# ------------------------------------------------------------------------------------------------ hash tables


def in_the_buckets(index: RowIndex, query: Any) -> set[int]:
    """Return by hand what shares the signature of a query in some table: the side of each plane, through the origin."""
    rng = np.random.default_rng(0)
    planes = rng.standard_normal((index.params["tables"] * index.params["bits"], 32), dtype=np.float32)
    theirs = (VECTORS @ planes.T > 0).reshape(len(VECTORS), index.params["tables"], -1)
    mine = (planes @ query > 0).reshape(index.params["tables"], -1)
    return set(np.flatnonzero((theirs == mine).all(axis=2).any(axis=1)).tolist())


def test_a_plain_lookup_finds_what_shares_a_bucket_and_nothing_else() -> None:
    index = LshIndex(bits=10, tables=5, probes=1)
    index.build(IDS, VECTORS)
    fewer = 0
    for query in clustered(1_240, 32)[1_200:]:
        found = index.search(query[None], 10)[0][0]
        bucket = in_the_buckets(index, query)
        best = sorted(bucket, key=lambda row: -float(VECTORS[row] @ query))[:10]
        assert found[found >= 0].tolist() == best
        fewer += len(bucket) < 10
    assert fewer > 0, "no query shows that fewer than k are an answer"


def test_more_probes_find_more() -> None:
    index = LshIndex(bits=10, tables=5)
    index.build(IDS, VECTORS)
    counts = [(index.tuned({"probes": p}).search(VECTORS[:100], 100)[0] >= 0).sum() for p in (1, 2, 8, 32)]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_buckets_are_filled_up_where_that_is_asked_for() -> None:
    index = LshIndex(bits=14, tables=2, fill="exact")
    index.build(IDS, VECTORS)
    assert (index.search(VECTORS[:50], 10)[0] >= 0).all()


def test_an_answer_that_is_short_is_said_to_be(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library:
        fill_with_vectors(library, WIDE)
        library.indexes.build("lsh", {"bits": 20, "tables": 1, "probes": 1})
        answers = library.search_many([*range(1, 40)], k=10)
        assert any(len(each) < 10 for each in answers)
        assert all(each.index["complete"] is False for each in answers if len(each) < 10)
        library.indexes.build("lsh", {"bits": 20, "tables": 1, "probes": 1, "fill": "exact"})
        assert all(len(each) == 10 and "complete" not in each.index for each in library.search_many([*range(1, 40)]))
