"""What Sosie exports for Annoy is an ordinary Annoy file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.errors import UsageError
from sosie.indexes.annoy import AnnoyIndex
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered

annoy = pytest.importorskip("annoy")


@pytest.mark.parametrize("metric", ["angular", "euclidean", "dot", "manhattan", "hamming"])
def test_plain_annoy_finds_equal_neighbours(tmp_path: Path, metric: str) -> None:
    vectors, ids = clustered(800, 12), np.arange(800) * 7
    index = AnnoyIndex(metric=metric, n_trees=10, search_k=4_000)  # type: ignore[arg-type]
    index.build(ids, vectors)
    path = index.export(tmp_path)
    assert path.name == f"12-{metric}-10.ann"
    plain = annoy.AnnoyIndex(12, metric)
    plain.load(str(path))
    beside = np.load(tmp_path / "ids.npy")
    items = np.load(tmp_path / "vectors.npy")
    for at in range(20):
        item = (items[at] > 0).astype(np.float32) if metric == "hamming" else items[at]
        theirs, far = plain.get_nns_by_vector(item, 10, 4_000, include_distances=True)
        ours, scores = index.search(items[at : at + 1], 10)
        if metric in ("manhattan", "hamming"):
            np.testing.assert_allclose(-scores[0], far, rtol=1e-4, atol=1e-4)
        if metric != "hamming":  # so many signs tie
            assert set(beside[theirs]) == set(ours[0])


@pytest.mark.parametrize("metric", ["angular", "euclidean", "dot"])
def test_the_command_writes_what_plain_annoy_answers_as_the_library_does(tmp_path: Path, metric: str) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(500, 320))
        library.remove([3, 4])
        searched = library.view().search(library.vectors()[1][:20], 10)[0]
    arguments = ["index", "export", str(tmp_path / "out"), "--metric", metric, "--trees", "20", "--json"]
    told = json.loads(sosie_command(*arguments, "--library", str(tmp_path / "library")))
    assert told == {
        "path": str(tmp_path / "out" / f"320-{metric}-20.ann"),
        "metric": metric,
        "trees": 20,
        "vectors": 498,
    }
    plain = annoy.AnnoyIndex(320, metric)
    plain.load(told["path"])
    ids, vectors = (np.load(tmp_path / "out" / name) for name in ("ids.npy", "vectors.npy"))
    assert plain.get_n_items() == len(ids) == len(vectors) == 498
    for at in range(20):
        assert set(ids[plain.get_nns_by_vector(vectors[at], 10, 10_000)]) == set(searched[at])


def test_an_unknown_metric_is_one_line(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(10, 320))
    done = run_sosie("index", "export", str(tmp_path), "--metric", "jaccard", "--library", str(tmp_path / "library"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "annoy knows angular, euclidean, dot, manhattan, hamming, not 'jaccard'" in done.stderr


def test_an_empty_library_has_nothing_to_export(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library, pytest.raises(UsageError, match="sosie add"):
        library.indexes.export_annoy(tmp_path / "out")


def run_sosie(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sosie", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def sosie_command(*arguments: str) -> str:
    done = run_sosie(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_metrics_are_the_distances_they_are_named_after() -> None:
    vectors = clustered(300, 12)
    for metric, far in (
        ("manhattan", np.abs(vectors - vectors[0]).sum(axis=1)),
        ("hamming", ((vectors > 0) != (vectors[0] > 0)).sum(axis=1)),
    ):
        index = AnnoyIndex(metric=metric, search_k=10_000)  # type: ignore[arg-type]
        index.build(np.arange(300), vectors)
        np.testing.assert_allclose(-index.search(vectors[:1], 20)[1][0], np.sort(far)[:20], rtol=1e-5)
