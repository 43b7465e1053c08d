"""What Sosie exports for Annoy is an ordinary Annoy file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sosie.indexes.annoy import AnnoyIndex
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


def test_the_metrics_are_the_distances_they_are_named_after() -> None:
    vectors = clustered(300, 12)
    for metric, far in (
        ("manhattan", np.abs(vectors - vectors[0]).sum(axis=1)),
        ("hamming", ((vectors > 0) != (vectors[0] > 0)).sum(axis=1)),
    ):
        index = AnnoyIndex(metric=metric, search_k=10_000)  # type: ignore[arg-type]
        index.build(np.arange(300), vectors)
        np.testing.assert_allclose(-index.search(vectors[:1], 20)[1][0], np.sort(far)[:20], rtol=1e-5)
