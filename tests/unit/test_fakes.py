"""The fakes of `sosie.testing` keep the contracts of what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.contracts import Embedder, Source
from sosie.registry import EMBEDDERS, Entry
from sosie.testing.fakes import MemorySource, ToyEmbedder, fill_with_vectors
from sosie.testing.indexes import clustered
from sosie.testing.sources import SOURCE_CHECKS, Make
from sosie.types import Picture
from tests.pictures import jpeg


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_a_source_in_memory_is_a_source(check: Callable[[Make], None]) -> None:
    assert isinstance(MemorySource({}), Source)
    check(MemorySource)


def test_the_toy_is_an_embedder_of_unit_vectors() -> None:
    toy = ToyEmbedder()
    assert isinstance(toy, Embedder)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    vectors = toy.embed([Picture(each, 60, 40) for each in [*pixels, np.zeros((8, 8, 3), np.uint8)]])
    assert (vectors.shape, vectors.dtype, toy.embedded) == ((4, toy.spec.dim), np.float32, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_library_needs_neither_folder_nor_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDERS, "toy", Entry("sosie.testing.fakes:ToyEmbedder"))
    source = MemorySource({f"{n}.jpg": jpeg(n) for n in range(4)})
    with sosie.open(tmp_path, model="toy") as library:
        assert library.add(source, workers=1).indexed == 4
        assert [hit.uri for hit in library.search(jpeg(2), k=1)] == ["memory:///2.jpg"]
        assert library.add(source, workers=1).indexed == 0
        assert library.embedder.embedded == 5  # four pictures and one question


def test_a_library_of_vectors_finds_them(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library:
        fill_with_vectors(library, clustered(1_200, 320))
        ids, vectors = library.vectors()
        assert len(ids) == 1_200
        np.testing.assert_allclose(vectors, clustered(1_200, 320), atol=1e-3)  # stored in half precision
