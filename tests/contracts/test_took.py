"""How long an answer took is what was waited for, in parts."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.client import Client
from sosie.library import Library
from sosie.present.duration import duration, milliseconds
from tests.serving import running

_PARTS = {"decode", "embed", "search"}


def _jpeg(seed: int, size: int = 1200) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size // 8, size // 8, 3), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(target, "jpeg")
    return target.getvalue()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("took")
    for seed in range(4):
        (folder / f"{seed}.jpg").write_bytes(_jpeg(seed))
    with sosie.open(folder / "library", model="histogram") as library:
        library.add(folder)
        yield library


def test_the_total_is_what_was_waited_for_and_decoding_is_in_it(library: Library, tmp_path: Path) -> None:
    (tmp_path / "q.jpg").write_bytes(_jpeg(9, 3000))
    started = time.perf_counter()
    result = library.search(tmp_path / "q.jpg", k=2)
    waited = (time.perf_counter() - started) * 1000
    assert set(result.took) >= _PARTS | {"total"}
    assert result.took["decode"] > 5  # nine million pixels
    assert result.took["decode"] <= result.took_ms == result.took["total"] <= waited
    assert result.took_ms > 0.9 * waited
    assert "decode" in duration(result)
    assert result.to_json()["took"]["total"] == result.to_json()["took_ms"]


def test_a_stored_picture_is_not_decoded(library: Library) -> None:
    assert library.search(1, k=2, verify=False).took["decode"] == 0


def test_the_server_tells_from_the_request_to_the_answer(library: Library) -> None:
    with running(library) as address:
        client = Client(address)
        started = time.perf_counter()
        found = client.search(_jpeg(10, 3000), k=2)
        waited = (time.perf_counter() - started) * 1000
        metrics = httpx.get(f"{address}/metrics").text
    assert set(found.took) >= _PARTS | {"total"}
    assert 5 < found.took["decode"] <= found.took_ms == found.took["total"] <= waited
    assert 'sosie_search_part_seconds_count{part="decode"} 1' in metrics


@pytest.mark.parametrize(("value", "text"), [(0.0512, "0.0512"), (23.44, "23.4"), (285.1, "285"), (3674.2, "3674")])
def test_milliseconds_are_written_in_full(value: float, text: str) -> None:
    assert milliseconds(value) == text
