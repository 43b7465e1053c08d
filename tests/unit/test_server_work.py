"""The queue of work: bounded, and what is alike is made together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future

import pytest

from sosie.decode.pool import CALLER
from sosie.server.problems import Problem, problem_of
from sosie.server.work import WorkQueue

PATIENCE = 60.0


class Maker:
    """Doubles numbers, with a gate; ``made`` says what each call was given. -1 cannot be doubled."""

    def __init__(self) -> None:
        self.open, self.made = threading.Event(), list[list[int]]()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.made.append(list(items))
        assert self.open.wait(PATIENCE)
        if -1 in items:
            raise ValueError("not -1")
        return [2 * each for each in items]


@pytest.fixture
def queue() -> Iterator[WorkQueue]:
    made = WorkQueue(threads=2, waiting=8, name="test")
    yield made
    made.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.001)


async def occupied(queue: WorkQueue, maker: Maker) -> list[asyncio.Task[int]]:
    """Let two calls take both threads."""
    tasks = []
    for number in (1, 2):
        tasks.append(asyncio.create_task(queue.run_alike("key", number, maker)))
        await until(lambda: len(maker.made) == len(tasks))
    return tasks


def test_what_waits_and_is_alike_is_made_together(queue: WorkQueue) -> None:
    async def ask() -> None:
        maker = Maker()
        tasks = await occupied(queue, maker)
        tasks += [asyncio.create_task(queue.run_alike("key", number, maker)) for number in (3, 4, 5)]
        tasks.append(asyncio.create_task(queue.run_alike("other", 6, maker)))
        await until(lambda: queue.depth == 6)
        maker.open.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12]
        assert [3, 4, 5] in maker.made and [6] in maker.made

    asyncio.run(ask())


def test_each_gets_its_own_error(queue: WorkQueue) -> None:
    async def ask() -> None:
        maker = Maker()
        tasks = await occupied(queue, maker)
        tasks += [asyncio.create_task(queue.run_alike("key", number, maker)) for number in (3, -1, 5)]
        await until(lambda: queue.depth == 5)
        maker.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:3] == [2, 4, 6] and found[4] == 10
        assert isinstance(found[3], ValueError)

    asyncio.run(ask())


def test_what_comes_first_has_a_place_and_no_thread(queue: WorkQueue) -> None:
    async def ask() -> None:
        maker, first, failing, dropped = Maker(), Future[int](), Future[int](), Future[int]()
        maker.open.set()
        tasks = [
            asyncio.create_task(queue.run_alike("key", 1, maker, after=each)) for each in (first, failing, dropped)
        ]
        await until(lambda: queue.depth == 3)
        assert await queue.run(lambda: "free") == "free"
        assert maker.made == []
        first.set_result(0)
        failing.set_exception(ValueError("no picture"))
        dropped.cancel()
        assert await tasks[0] == 2
        with pytest.raises(ValueError, match="no picture"):
            await tasks[1]
        with pytest.raises(Problem, match="closing"):
            await tasks[2]
        assert maker.made == [[1]] and queue.depth == 0

    asyncio.run(ask())


def test_a_full_queue_refuses_at_once_whoever_holds_it(queue: WorkQueue) -> None:
    async def ask() -> None:
        maker, never = Maker(), Future[int]()
        tasks = await occupied(queue, maker)
        tasks += [asyncio.create_task(queue.run_alike("key", 1, maker, after=never)) for _ in range(4)]
        tasks += [asyncio.create_task(queue.run_alike("key", 1, maker)) for _ in range(4)]
        await until(lambda: queue.depth == 10)
        for call in (queue.run(lambda: 1), queue.run_alike("key", 1, maker), queue.run_alike("new", 1, maker)):
            with pytest.raises(Problem) as refused:
                await call
            assert refused.value.status_code == 503
        tasks[-1].cancel()  # a caller that goes away: its work still waits, and keeps its place
        await until(tasks[-1].done)
        assert queue.depth == 10
        maker.open.set()
        never.set_result(0)
        await asyncio.gather(*tasks[:-1])
        assert queue.depth == 0

    asyncio.run(ask())


def test_nothing_is_kept_of_keys_that_nobody_asks_with(queue: WorkQueue) -> None:
    async def ask() -> None:
        maker = Maker()
        maker.open.set()
        for number in range(50):
            await queue.run_alike(number, number, maker)
        assert not queue._alike and not queue._making

    asyncio.run(ask())


def test_one_caller_leaves_a_thread_to_others(queue: WorkQueue) -> None:
    async def ask() -> None:
        gate, order = threading.Event(), list[str]()

        def call() -> None:
            order.append(CALLER.get())
            assert CALLER.get() == "other" or gate.wait(PATIENCE)

        async def as_caller(name: str) -> None:
            CALLER.set(name)
            await queue.run(call)

        greedy = [asyncio.create_task(as_caller("greedy")) for _ in range(4)]
        await until(lambda: queue.depth == 4)
        await asyncio.wait_for(as_caller("other"), PATIENCE)
        assert order == ["greedy", "other"]
        gate.set()
        await asyncio.gather(*greedy)
        assert order.count("greedy") == 4

    asyncio.run(ask())


def test_one_caller_leaves_room_to_others(queue: WorkQueue) -> None:
    async def ask() -> None:
        gate = threading.Event()
        CALLER.set("greedy")
        held = [asyncio.create_task(queue.run(lambda: gate.wait(PATIENCE))) for _ in range(8)]
        await until(lambda: queue.depth == 8)
        with pytest.raises(Problem):
            await queue.run(gate.set)
        CALLER.set("other")
        await queue.run(gate.set)
        await asyncio.gather(*held)

    asyncio.run(ask())


async def closed_under(queue: WorkQueue) -> Problem:
    """Return what one is told whose call the closing queue drops before it began."""
    gate = threading.Event()
    held = [asyncio.create_task(queue.run(lambda: gate.wait(PATIENCE))) for _ in range(2)]
    await until(lambda: queue.depth == 2)
    dropped = asyncio.create_task(queue.run(lambda: None))
    await until(lambda: queue.depth == 3)
    threading.Timer(0.2, gate.set).start()
    await asyncio.to_thread(queue.close)
    with pytest.raises(Problem) as told:
        await dropped
    await asyncio.gather(*held)
    return told.value


def test_what_a_closing_server_drops_may_be_sent_again() -> None:
    told = asyncio.run(closed_under(WorkQueue(threads=2, waiting=8, name="test")))
    assert (told.status_code, told.code) == (503, "closing")


def test_workers_that_end_before_a_request_are_no_defect() -> None:
    assert problem_of(CancelledError()).status_code == 503
