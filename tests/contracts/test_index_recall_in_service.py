"""A library that is asked to checks a share of its searches against exact search, and shows an index that drifts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import sosie
from sosie.client import Client
from sosie.library import Library
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from sosie.types import number_text
from tests.serving import running

VECTORS = clustered(3_000, 320)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram", check_recall=1.0) as made:
        fill_with_vectors(made, VECTORS)
        yield made


def served_recall(library: Library) -> float:
    """Ask for 50 pictures, fewer than may wait, and return the recall once every check is done."""
    for picture in range(1, 51):
        library.search(picture, k=10)
    library.view().close()
    running = library.view().recall_in_service
    assert running is not None
    assert (running.checked, running.failed, running.dropped) == (50, 0, 0), running
    assert running.recall is not None
    return running.recall


def test_a_good_index_keeps_its_recall(library: Library) -> None:
    library.indexes.build("hnsw", recall=0.99)
    assert served_recall(library) > 0.95


def test_an_index_that_misses_is_seen(library: Library) -> None:
    library.indexes.build("binary", {"bits": 16, "codes": "random"}, recall=0.3)
    with sosie.open(library.path, read_only=True) as unwatched:
        # a picture is not an answer to itself, so one more
        found = unwatched.view().search(library.vectors()[1][:50], 11)[0]
    ids, vectors = library.vectors()
    truth = ids[np.argsort(-(vectors[:50] @ vectors.T), axis=1)[:, :11]]
    true_recall = np.mean([len(set(a) & set(b)) / 11 for a, b in zip(found, truth, strict=True)])
    assert true_recall < 0.9
    assert served_recall(library) == pytest.approx(true_recall, abs=0.03)


def test_pictures_added_after_the_answer_are_no_misses(library: Library) -> None:
    library.indexes.build("hnsw", recall=0.99)
    for picture in range(1, 51):
        library.search(picture, k=10)
    library.remove(list(range(60, 3_000)))
    library.view().close()
    running = library.view().recall_in_service
    assert running is not None
    assert running.checked == 50
    assert running.recall is not None and running.recall > 0.95


def test_nothing_is_checked_unless_asked(tmp_path: Path) -> None:
    with sosie.open(tmp_path, model="histogram") as library:
        assert library.view().recall_in_service is None
        assert library.stats()["recall_in_service"] is None


def test_the_server_tells_it(library: Library) -> None:
    library.indexes.build("hnsw", recall=0.99)
    with running(library) as address, Client(address) as client:
        for picture in range(1, 21):
            client.search(picture)
        library.view().close()
        told = client.info()
        metrics = httpx.get(f"{address}/metrics").text
    assert (told["pictures"], told["index"]["kind"]) == (3_000, "hnsw")
    assert told["recall_in_service"]["checked"] == 20
    assert f"sosie_recall_in_service {number_text(told['recall_in_service']['recall'])}\n" in metrics
    assert "sosie_recall_checked 20\n" in metrics
