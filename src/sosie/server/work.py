"""A bounded queue of work: so many calls run, so many wait, and the next is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sosie.server.problems import Problem

__all__ = ["WorkQueue"]

T = TypeVar("T")


class WorkQueue:
    """Run blocking calls on a few threads, so that the event loop stays free.

    ``waiting`` None never refuses.
    """

    def __init__(self, *, threads: int, waiting: int | None, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"sosie-{name}")
        self._room = None if waiting is None else threads + waiting
        self._held = 0

    @property
    def depth(self) -> int:
        """How many calls run or wait."""
        return self._held

    async def run(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns; raise Problem 503 at once when the queue is full."""
        if self._room is not None and self._held >= self._room:
            raise Problem(
                503, "busy", "the server has all the work it can hold: try again", headers={"Retry-After": "1"}
            )
        self._held += 1
        job = asyncio.get_running_loop().run_in_executor(self._pool, call)
        # Counted down when the call ends, not when its caller goes away: a thread cannot be interrupted.
        job.add_done_callback(self._done)
        return await asyncio.shield(job)

    def _done(self, job: asyncio.Future[T]) -> None:
        self._held -= 1
        if not job.cancelled():
            job.exception()  # a caller that went away would leave it unread

    def close(self) -> None:
        """Refuse new calls and wait for those that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)
