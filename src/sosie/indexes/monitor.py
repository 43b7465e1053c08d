"""Recall in service: a sampled share of the queries is checked against exact search, beside the service."""

from __future__ import annotations

import collections
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from sosie.errors import UsageError
from sosie.indexes.recall import count_found, count_true
from sosie.types import FloatMatrix, Ids

__all__ = ["RecallMonitor", "Running"]

Search: TypeAlias = Callable[[FloatMatrix, int, Ids | None], tuple[Ids, FloatMatrix]]

_WAITING = 64  # samples that may wait; more are let go, so that the service never waits for its monitor


@dataclass(frozen=True, slots=True)
class Running:
    """The recall of the last ``window`` checked queries; None before the first. ``failed`` checks raised."""

    recall: float | None
    checked: int
    dropped: int
    failed: int
    last_error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what `sosie serve` tells."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Sample:
    exact: Search
    queries: FloatMatrix
    k: int
    allow: Ids | None
    scores: FloatMatrix


class RecallMonitor:
    """Keep the running recall of a service.

    ``share`` of the calls are sampled, with a seed, and checked in one background thread, which starts with the first
    sample. After each check the thread rests ``rest`` times as long as the check took: 49 leaves it a fiftieth of one
    processor, however many queries come.
    """

    def __init__(self, *, share: float = 0.01, window: int = 1_000, rest: float = 49.0, seed: int = 0) -> None:
        if not 0 <= share <= 1 or window < 1 or rest < 0:
            raise UsageError("a share lies between 0 and 1, a window holds at least one query, and a rest is >= 0")
        self._share = share
        self._rest = rest
        self._closing = threading.Event()
        self._random = random.Random(seed)  # noqa: S311 - sampling, no secret
        self._recalls: collections.deque[float] = collections.deque(maxlen=window)
        self._waiting: queue.Queue[_Sample | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._checked = self._dropped = self._failed = 0
        self._last_error = ""

    def offer(self, queries: FloatMatrix, k: int, allow: Ids | None, scores: FloatMatrix, *, exact: Search) -> bool:
        """Say that the service answered ``queries`` with ``scores`` (q, k); return whether the call is sampled.

        ``exact`` has the arguments and answer of ``Index.search`` and searches exactly what the service searched: the
        library as it stood then, since pictures that came later would look like misses.
        """
        with self._lock:
            if self._closing.is_set() or self._random.random() >= self._share:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sosie-recall", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait(_Sample(exact, queries.copy(), k, allow, scores.copy()))
        except queue.Full:
            with self._lock:
                self._dropped += 1
            return False
        return True

    def running(self) -> Running:
        """Return what is known now."""
        with self._lock:
            recall = float(np.mean(self._recalls)) if self._recalls else None
            return Running(recall, self._checked, self._dropped, self._failed, self._last_error)

    def forget(self) -> None:
        """Begin the window anew: another index answers from now on."""
        with self._lock:
            self._recalls.clear()

    def close(self) -> None:
        """Finish the samples that wait, without rest, and end the thread."""
        with self._lock:
            self._closing.set()
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _run(self) -> None:
        while (sample := self._waiting.get()) is not None:
            started = time.perf_counter()
            try:
                recalls = _recalls(sample, sample.exact(sample.queries, sample.k, sample.allow)[1])
            except Exception as error:  # a failed check is counted and shown; it must not end the thread
                with self._lock:
                    self._failed += 1
                    self._last_error = f"{type(error).__name__}: {error}"
                continue
            with self._lock:
                self._recalls.extend(recalls)
                self._checked += len(recalls)
            self._closing.wait(self._rest * (time.perf_counter() - started))


def _recalls(sample: _Sample, truth: FloatMatrix) -> list[float]:
    there = count_true(truth)
    shares: list[float] = (count_found(sample.scores, truth)[there > 0] / there[there > 0]).tolist()
    return shares
