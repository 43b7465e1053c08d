"""Callers that embed at the same time go through the network together, and none of them notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.together import MicroBatcher
from sosie.types import FloatMatrix, Picture

PATIENCE = 60.0


def picture(seed: int, side: int = 16) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Picture(pixels, side, side)


def means(pictures: Sequence[Picture]) -> FloatMatrix:
    return np.array([each.pixels.mean(axis=(0, 1)) for each in pictures], np.float32)


class Gated:
    """A network whose runs wait to be let through; ``sizes`` says how many pictures each had."""

    def __init__(self, run: Callable[[Sequence[Picture]], FloatMatrix] = means) -> None:
        self.open = threading.Event()
        self.sizes: list[int] = []
        self._run = run

    def __call__(self, pictures: Sequence[Picture]) -> FloatMatrix:
        self.sizes.append(len(pictures))
        assert self.open.wait(PATIENCE)
        return self._run(pictures)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def gather(
    network: Gated, together: MicroBatcher, asked: Sequence[Sequence[Picture]], callers: ThreadPoolExecutor
) -> list[Future[FloatMatrix]]:
    """Let the first call occupy the network, the others wait for it, and then all go."""
    found = [callers.submit(together, asked[0])]
    until(lambda: len(network.sizes) == 1)
    found += [callers.submit(together, each) for each in asked[1:]]
    until(lambda: together.waiting == len(asked) - 1)
    network.open.set()
    return found


def test_one_alone_runs_at_once() -> None:
    network = Gated()
    network.open.set()
    assert np.array_equal(MicroBatcher(network)([picture(1)]), means([picture(1)]))
    assert network.sizes == [1]


def test_those_that_come_during_a_run_share_the_next(callers: ThreadPoolExecutor) -> None:
    asked = [[picture(0)], [picture(1)], [picture(2), picture(3)], [picture(4)]]
    network = Gated()
    found = gather(network, MicroBatcher(network), asked, callers)
    for pictures, future in zip(asked, found, strict=True):
        assert np.array_equal(future.result(PATIENCE), means(pictures))
    assert network.sizes == [1, 4]


def test_what_the_network_cannot_take_fails_alone(callers: ThreadPoolExecutor) -> None:
    def picky(pictures: Sequence[Picture]) -> FloatMatrix:
        if any(each.width == 1 for each in pictures):
            raise ValueError("too small")
        return means(pictures)

    network = Gated(picky)
    asked = [[picture(0)], [picture(1)], [picture(2, side=1)], [picture(3)]]
    found = gather(network, MicroBatcher(network), asked, callers)
    with pytest.raises(ValueError, match="too small"):
        found.pop(2).result(PATIENCE)
    assert [future.result(PATIENCE).shape for future in found] == [(1, 3)] * 3


def test_a_caller_that_is_interrupted_leaves_the_others_to_the_next(callers: ThreadPoolExecutor) -> None:
    interrupts = iter([False, True])

    def interrupted(pictures: Sequence[Picture]) -> FloatMatrix:
        if next(interrupts, False):
            raise KeyboardInterrupt
        return means(pictures)

    network = Gated(interrupted)
    asked = [[picture(seed)] for seed in range(4)]
    errors = [future.exception(PATIENCE) for future in gather(network, MicroBatcher(network), asked, callers)]
    assert sorted(type(error).__name__ for error in errors) == ["KeyboardInterrupt", *["NoneType"] * 3]


def test_a_batch_neither_waits_nor_is_waited_for(callers: ThreadPoolExecutor) -> None:
    network = Gated()
    together = MicroBatcher(network)
    first = callers.submit(together, [picture(0)])
    until(lambda: len(network.sizes) == 1)
    batch = callers.submit(together, [picture(seed) for seed in range(32)])
    until(lambda: network.sizes == [1, 32])
    network.open.set()
    assert (len(first.result(PATIENCE)), len(batch.result(PATIENCE))) == (1, 32)


def test_the_bundled_network_gives_the_same_vectors_together_as_alone(callers: ThreadPoolExecutor) -> None:
    embedder = BundledEmbedder(threads=1)
    network = Gated(embedder.embed)
    asked = [[picture(seed, side=200)] for seed in range(6)]
    found = gather(network, MicroBatcher(network), asked, callers)
    for pictures, future in zip(asked, found, strict=True):
        assert np.abs(future.result(PATIENCE) - embedder.embed(pictures)).max() < 1e-6
    assert network.sizes == [1, 5]


def test_a_server_s_embedder_serves_callers_together(callers: ThreadPoolExecutor) -> None:
    embedder, alone = BundledEmbedder(), BundledEmbedder(threads=1)
    embedder.share_cores(1)
    found = [callers.submit(embedder.embed, [picture(seed, side=200)]) for seed in range(8)]
    for seed, future in enumerate(found):
        assert np.abs(future.result(PATIENCE) - alone.embed([picture(seed, side=200)])).max() < 1e-6
