"""A server that runs takes up what another process does to the indexes of its library."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

import sosie
from sosie.testing.fakes import fill_with_vectors
from tests.pictures import folder_of, jpeg
from tests.serving import running

PICTURES = 600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("follow")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 4), workers=1)
        vectors = np.random.default_rng(0).random((PICTURES - 4, made.space.dim), dtype=np.float32)
        fill_with_vectors(made, vectors)
        yield made


@pytest.fixture(scope="module")
def web(library: sosie.Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=f"{address}/api/v1", timeout=60) as client:
        yield client


def elsewhere(library: sosie.Library, *command: str) -> None:
    """Run a command of `sosie` as a process of its own."""
    subprocess.run([sys.executable, "-m", "sosie", *command, "-L", str(library.path)], check=True, timeout=120)


def index_of(web: httpx.Client) -> dict[str, Any]:
    index: dict[str, Any] = web.get("/info").raise_for_status().json()["index"]
    return index


def hits_of(web: httpx.Client) -> list[int]:
    return [hit["id"] for hit in web.get("/search", params={"id": 300, "k": 20}).raise_for_status().json()["hits"]]


def test_an_index_that_another_process_builds_swaps_and_drops_is_followed(
    web: httpx.Client, library: sosie.Library
) -> None:
    exactly = hits_of(web)
    assert index_of(web)["kind"] == "exact"
    elsewhere(library, "index", "build", "--kind", "hnsw")
    assert (index_of(web)["kind"], index_of(web)["tail"]) == ("hnsw", 0)
    assert hits_of(web) == exactly
    first = index_of(web)["generation"]
    elsewhere(library, "index", "build", "--kind", "hnsw")
    assert index_of(web)["generation"] > first
    added = web.post("/pictures", files={"picture": ("new.jpg", jpeg(77))}).json()["id"]
    assert index_of(web)["tail"] == 1
    found = web.post("/search", files={"picture": ("new.jpg", jpeg(77))}).json()["hits"][0]
    assert (found["id"], found["verdict"]) == (added, "identical")
    elsewhere(library, "index", "drop")
    assert (index_of(web)["kind"], hits_of(web)) == ("exact", exactly)


def test_no_search_fails_while_the_index_is_swapped(web: httpx.Client, library: sosie.Library) -> None:
    command = [sys.executable, "-m", "sosie", "index", "build", "--kind", "ivf", "-L", str(library.path)]
    build = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while index_of(web)["kind"] != "ivf":
        assert len(hits_of(web)) == 20
        assert time.monotonic() < deadline, "the server does not follow"
    assert build.wait(120) == 0
    assert len(hits_of(web)) == 20
