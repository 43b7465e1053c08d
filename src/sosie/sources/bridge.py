"""Iterate, in plain code, what an event loop in another thread produces."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import TypeVar

__all__ = ["iterate"]

T = TypeVar("T")

_END = object()
_POLL = 0.02  # seconds between looks at a full queue


def iterate(make: Callable[[], AsyncGenerator[T, None]], *, room: int) -> Iterator[T]:
    """Yield what ``make()`` yields; at most ``room`` items wait. Closing the iterator cancels the rest."""
    items: queue.Queue[object] = queue.Queue(maxsize=room)
    closed = threading.Event()

    async def put(item: object) -> None:
        while True:
            if closed.is_set():  # nobody takes it any more, so nothing more may be made and be taken for delivered
                raise asyncio.CancelledError
            try:
                return items.put_nowait(item)
            except queue.Full:
                await asyncio.sleep(_POLL)

    async def pump() -> None:
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(_cancel_when(closed, task))
        try:
            async with aclosing(make()) as made:
                async for item in made:
                    await put(item)
            await put(_END)
        except asyncio.CancelledError:
            if not closed.is_set():
                raise
        except BaseException as error:
            with suppress(asyncio.CancelledError):
                await put(error)
        finally:
            watcher.cancel()

    thread = threading.Thread(target=asyncio.run, args=(pump(),), name="sosie-crawl", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()


async def _cancel_when(closed: threading.Event, task: asyncio.Task[None]) -> None:
    while not closed.is_set():
        await asyncio.sleep(0.05)
    task.cancel()
