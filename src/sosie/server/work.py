"""A bounded queue of work: so many calls run, so many wait, and the next is refused at once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sosie.decode.pool import CALLER
from sosie.server.problems import Problem, closing

__all__ = ["WorkQueue"]

T = TypeVar("T")
_MOST = 4  # of what is made together: who comes first waits for the last, and memory is for all of them


@dataclass(frozen=True, slots=True)
class _Call:
    """Something to run for a caller, in the context of its request, and who waits for it."""

    caller: str
    context: Context
    call: Callable[[], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Item:
    """One of several things that are made alike, and who waits for it."""

    item: Any
    future: asyncio.Future[Any]


class WorkQueue:
    """Run blocking calls on a few threads, so that the event loop stays free.

    ``waiting`` None never refuses. All methods are for the event loop's own thread.
    """

    def __init__(self, *, threads: int, waiting: int | None, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"sosie-{name}")
        self._share = max(1, threads - 1)  # threads that the calls of one caller may occupy
        self._running: Counter[str] = Counter()
        self._postponed: deque[_Call] = deque()
        self._room = None if waiting is None else threads + waiting
        self._held, self._held_for = 0, Counter[str]()
        # More threads than cores would only take Python's lock from each other.
        self._at_once = min(threads, max(2, os.cpu_count() or 1))
        self._alike: dict[Hashable, deque[_Item]] = {}
        self._making: Counter[Hashable] = Counter()

    @property
    def depth(self) -> int:
        """How many calls run or wait."""
        return self._held

    async def run(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns; raise Problem 503 at once when the queue is full.

        The calls of one caller (`CALLER`) leave a thread to others: those beyond its share wait for its own.
        """
        self.check_room()
        mine = _Call(CALLER.get(), copy_context(), call, asyncio.get_running_loop().create_future())
        if mine.caller and self._running[mine.caller] >= self._share:
            self._postponed.append(mine)
        else:
            self._begin(mine)
        result: T = await self._held_by(mine.future)
        return result

    def _begin(self, call: _Call) -> None:
        self._running[call.caller] += 1
        job = asyncio.get_running_loop().run_in_executor(self._pool, call.context.run, call.call)
        job.add_done_callback(partial(self._ended, call))

    def _ended(self, call: _Call, job: asyncio.Future[Any]) -> None:
        self._running[call.caller] -= 1
        if not self._running[call.caller]:
            del self._running[call.caller]
        _settle(call.future, asyncio.CancelledError() if job.cancelled() else job.exception() or job.result())
        following = next((other for other in self._postponed if other.caller == call.caller), None)
        if following is not None:
            self._postponed.remove(following)
            self._begin(following)

    async def run_alike(
        self,
        key: Hashable,
        item: Any,
        make: Callable[[Sequence[Any]], Sequence[T]],
        *,
        after: Future[Any] | None = None,
    ) -> T:
        """Return what ``make`` returns for ``item``, among the others of one ``key`` that wait by then.

        Under load one call of ``make`` for several costs less than as many calls; whoever comes alone is made at once.
        Where it raises, each item is made by itself and gets its own error. ``after`` is waited for first, and keeps a
        place meanwhile, but no thread; what it raises is raised. Raise Problem 503 at once when the queue is full.
        """
        self.check_room()
        mine = _Item(item, asyncio.get_running_loop().create_future())
        if after is None:
            self._join(key, make, mine)
        else:
            asyncio.wrap_future(after).add_done_callback(partial(self._join, key, make, mine))
        result: T = await self._held_by(mine.future)
        return result

    def check_room(self) -> None:
        """Raise Problem 503 when the queue is full; for what begins elsewhere before it comes here."""
        if self._room is None:
            return
        caller = CALLER.get()
        # A quarter is left to others, where there are any.
        if self._held >= self._room or (caller and self._held_for[caller] >= self._room - self._room // 4):
            raise Problem(
                503, "busy", "the server has all the work it can hold: try again", headers={"Retry-After": "1"}
            )

    async def _held_by(self, job: asyncio.Future[T]) -> T:
        caller = CALLER.get()
        self._held += 1
        self._held_for[caller] += 1
        # Counted down when the call ends, not when its caller goes away: a thread cannot be interrupted.
        job.add_done_callback(partial(self._done, caller))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            if job.cancelled():  # by `close`, not by a caller that went away
                raise closing() from None
            raise

    def _done(self, caller: str, job: asyncio.Future[Any]) -> None:
        self._held -= 1
        self._held_for[caller] -= 1
        if not self._held_for[caller]:
            del self._held_for[caller]
        if not job.cancelled():
            job.exception()  # a caller that went away would leave it unread

    def _join(
        self,
        key: Hashable,
        make: Callable[[Sequence[Any]], Sequence[Any]],
        mine: _Item,
        after: asyncio.Future[Any] | None = None,
    ) -> None:
        if after is not None and (after.cancelled() or after.exception()):
            _settle(mine.future, asyncio.CancelledError() if after.cancelled() else after.exception())
            return
        self._alike.setdefault(key, deque()).append(mine)
        self._start(key, make)

    def _start(self, key: Hashable, make: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        waiting = self._alike[key]
        if waiting and self._making[key] < self._at_once:
            items = [waiting.popleft() for _ in range(min(_MOST, len(waiting)))]
            self._making[key] += 1
            job = asyncio.get_running_loop().run_in_executor(self._pool, _each, make, [each.item for each in items])
            job.add_done_callback(partial(self._made, key, make, items))
        elif not waiting and not self._making[key]:
            del self._alike[key], self._making[key]

    def _made(
        self,
        key: Hashable,
        make: Callable[[Sequence[Any]], Sequence[Any]],
        items: Sequence[_Item],
        job: asyncio.Future[Sequence[Any]],
    ) -> None:
        self._making[key] -= 1
        outcomes = [asyncio.CancelledError()] * len(items) if job.cancelled() else job.result()
        for each, outcome in zip(items, outcomes, strict=True):
            _settle(each.future, outcome)
        self._start(key, make)

    def close(self) -> None:
        """Refuse new calls and wait for those that run; what waits to be made together is dropped."""
        for call in self._postponed:
            call.future.cancel()
        self._postponed.clear()
        for waiting in self._alike.values():
            while waiting:
                waiting.popleft().future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _each(make: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]) -> Sequence[Any]:
    """Return the result for each item, or its exception."""
    try:
        return make(items)
    except Exception as error:
        if len(items) == 1:
            return [error]
        return [outcome for item in items for outcome in _each(make, [item])]


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if isinstance(outcome, asyncio.CancelledError):
        future.cancel()
    elif isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
