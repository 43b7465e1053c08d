"""Callers that come while the network runs wait for it, and then go through it together.

On a server several searches embed a picture each. Runs side by side share the cores and cool each other's caches; one
run of what has gathered meanwhile costs less, and whoever comes alone is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition

from sosie.types import FloatMatrix, Picture

__all__ = ["MicroBatcher"]

_FEW = 4  # pictures of one call that others wait for; more are a batch already and run beside


@dataclass(eq=False, slots=True)
class _Call:
    """What one caller asked for, and what became of it."""

    pictures: Sequence[Picture]
    vectors: FloatMatrix | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.vectors is not None or self.error is not None


class MicroBatcher:
    """Calls ``run`` for one caller at a time, with all the pictures that wait by then. Thread-safe.

    It has no thread of its own: one of those who wait runs the network for all of them. ``run`` returns the vectors
    (n, dim) of its pictures, in their order. Where it raises, each call is run by itself and gets its own error.
    """

    def __init__(self, run: Callable[[Sequence[Picture]], FloatMatrix]) -> None:
        self._run = run
        self._waiting: list[_Call] = []
        self._running = False
        self._changed = Condition()

    @property
    def waiting(self) -> int:
        """How many calls wait for the next run."""
        return len(self._waiting)

    def __call__(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return the vectors (n, dim) of some pictures, run along with those of others; raise what ``run`` raises."""
        if len(pictures) > _FEW:
            return self._run(pictures)
        mine = _Call(pictures)
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.done or not self._running)
            if not mine.done:
                self._running, calls, self._waiting = True, self._waiting, []
        if not mine.done:
            self._lead(calls, mine)
        if mine.error is not None:
            raise mine.error
        assert mine.vectors is not None
        return mine.vectors

    def _lead(self, calls: Sequence[_Call], mine: _Call) -> None:
        try:
            self._answer(calls)
        finally:
            with self._changed:
                self._running = False
                # a leader that Ctrl-C takes away leaves the others to the next
                self._waiting[:0] = [each for each in calls if not each.done and each is not mine]
                self._changed.notify_all()

    def _answer(self, calls: Sequence[_Call]) -> None:
        try:
            vectors = self._run([picture for each in calls for picture in each.pictures])
        except Exception as error:
            if len(calls) == 1:
                calls[0].error = error
                return
            for each in calls:
                self._answer([each])
            return
        at = 0
        for each in calls:
            each.vectors = vectors[at : at + len(each.pictures)]
            at += len(each.pictures)
