"""Decoding in worker processes that can be killed.

    submit ─→ queue ─→ feeder ═(pipe)═→ worker ═(pipe)═→ collector ─→ Future          one feeder, one collector a worker
                                          ↑ kill
                                       watchdog                                       one a pool

A worker is given the next picture while it still works on one, so that it never waits for the pool. When it dies, the
picture that it worked on is blamed (`fate`), the others go to the worker that takes its place.

A pool may start with fewer workers than it may have: the others are started when a caller's picture finds none idle.
Pictures of a named caller (`CALLER`) never occupy the last worker of several, nor wait in a pipe behind another's.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from sosie.decode.limits import Limits
from sosie.decode.process import Job, Worker, start_worker
from sosie.decode.wire import ProtocolError, read_answer
from sosie.errors import BadPicture, SosieError, UsageError

__all__ = ["CALLER", "DecodePool", "query_workers"]

T = TypeVar("T")
_DEPTH = 2  # pictures that a worker holds: one in work, one in the pipe
_STARTS = 3  # workers in a row that may die before they are ready
_START_DEADLINE = 120.0  # a machine that swaps needs long to import numpy
_TICK = 0.25
_REDUCED = 50_000_000  # pixels that are left of any picture that is decoded at reduced scale
_DEFAULT = Limits()

CALLER: ContextVar[str] = ContextVar("CALLER", default="")
"""Whose picture is submitted: a server sets it for each request; elsewhere there is one caller, without a name."""


class DecodePool:
    """Decode and analyse pictures in ``workers`` processes, within ``limits``.

    ``analyse`` names a function ``"module:attribute"``, called as ``analyse(picture, params)`` within the worker after
    decoding; it returns a mapping of JSON values, bytes and numpy arrays, which is what comes back. ``params``
    (JSON values) is all that it is told: the environment is not passed on. A worker can open no file and import nothing
    once it is ready: where the function's module has a function ``warm_up()``, it is called before.
    ``params["side"]`` is `decode`'s ``side``.

    The processes are started by the constructor, which does not wait for them; more, up to ``most``, when a
    picture of a named caller is submitted while all have work. Thread-safe. Close the pool, or use
    it as a context manager; closing kills the workers and drops what is not done.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        analyse: str = "sosie.decode:only_pixels",
        params: Mapping[str, Any] | None = None,
        limits: Limits = _DEFAULT,
        most: int | None = None,
    ) -> None:
        if workers < 1:
            raise UsageError(f"a decode pool needs at least one worker, not {workers}")
        if not all(part for part in analyse.partition(":")):
            raise UsageError(f"{analyse!r} does not name a function: write 'module:attribute'")
        self._limits = limits
        self._start = start_worker(analyse, dict(params or {}), limits)
        # An answer holds the picture's own pixels at most, with room for what an analysis adds.
        reduced = bool((params or {}).get("side"))
        self._max_answer = 4 * (min(_REDUCED, limits.max_pixels) if reduced else limits.max_pixels) + (16 << 20)
        self._queue: deque[Job] = deque()
        self._closed = threading.Event()
        self._broken: SosieError | None = None
        self._failed_starts = 0
        self._watching = False
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # a feeder may have something to do
        self._watch = threading.Condition(lock)  # the watchdog has something to watch
        self._most = max(workers, most or 0)
        self._workers: list[Worker] = []
        self._finalizer = weakref.finalize(self, _shut, self._closed, self._workers)
        for _ in range(workers):
            self._workers.append(self._start())
        self._threads = [threading.Thread(target=self._tend, args=(at,), daemon=True) for at in range(workers)]
        self._threads.append(threading.Thread(target=self._guard, daemon=True))
        for thread in self._threads:
            thread.start()

    def _grow_for(self, job: Job) -> None:
        """Start one more worker where a picture of a named caller finds none idle and may use another.

        Call it with the lock. Where the system refuses, the workers that there are go on.
        """
        full = len(self._workers) >= self._most or any(not worker.jobs for worker in self._workers)
        if full or not job.caller or self._has_its_share(job.caller):
            return
        with suppress(OSError):
            self._workers.append(self._start())
            thread = threading.Thread(target=self._tend, args=(len(self._workers) - 1,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------- for callers

    def submit(self, data: bytes, params: Mapping[str, Any] | None = None) -> Future[Mapping[str, Any]]:
        """Queue one picture; the future gives the analysis, or raises BadPicture.

        ``params`` (JSON values) are told to the analysis of this picture besides the pool's own.
        """
        job = Job(data, params, caller=CALLER.get())
        if len(data) > self._limits.max_bytes:
            job.future.set_exception(BadPicture("too_many_bytes", f"{len(data):,} bytes"))
            return job.future
        with self._work:
            if self._broken or self._closed.is_set():
                raise self._broken or UsageError("the decode pool is closed")
            self._queue.append(job)
            self._grow_for(job)
            self._work.notify_all()
        return job.future

    def map(
        self, items: Iterable[tuple[T, bytes]], *, in_flight: int
    ) -> Iterator[tuple[T, Mapping[str, Any] | BadPicture]]:
        """Yield ``(key, analysis or BadPicture)`` for every ``(key, bytes)``, in their order.

        ``items`` is pulled as results are taken, at most ``in_flight`` ahead of them.
        """
        waiting: deque[tuple[T, Future[Mapping[str, Any]]]] = deque()
        try:
            for key, data in items:
                waiting.append((key, self.submit(data)))
                while waiting and (len(waiting) >= in_flight or waiting[0][1].done()):
                    yield _outcome(*waiting.popleft())
            while waiting:
                yield _outcome(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    @property
    def sealed(self) -> tuple[str, ...]:
        """The measures of the sandbox that all workers which have begun have taken; what remains is in SECURITY.md."""
        begun = [set(worker.sealed) for worker in self._workers if worker.ready]
        return tuple(sorted(set.intersection(*begun))) if begun else ()

    def close(self) -> None:
        """Kill the workers, cancel what is queued, and return when nothing is left."""
        with self._work:
            _shut(self._closed, self._workers)
            dropped = self._empty_queue()
            self._watch.notify_all()
        _fail(dropped, CancelledError())
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._finalizer.detach()

    # ------------------------------------------------------------------------------------- one thread a worker

    def _tend(self, at: int) -> None:
        """Serve through one worker after another, and never die in silence."""
        try:
            self._serve(self._workers[at])
            while self._replace(at):
                self._serve(self._workers[at])
        except BaseException as error:
            self._break(f"a decode pool's thread failed: {error!r}")
            raise

    def _serve(self, worker: Worker) -> None:
        """Feed a worker and collect its answers until it dies, then settle what it leaves."""
        feeder = threading.Thread(target=self._feed, args=(worker,), daemon=True)
        feeder.start()
        self._collect(worker)
        with self._work:
            worker.dead = True
            self._work.notify_all()
        worker.kill()
        feeder.join()
        worker.dispose()
        self._settle(worker)

    def _collect(self, worker: Worker) -> None:
        try:
            while True:
                answer = read_answer(worker.answers, max_bytes=self._max_answer)
                if "fatal" in answer and not worker.ready:
                    self._break(" ".join(("a decode worker cannot start:", *answer["fatal"])))
                    return
                if not worker.ready:
                    worker.sealed = tuple(answer.get("ok", {}).get("sealed", ()))
                job = self._next_is_up(worker)
                if job is not None:
                    job.settle(answer)
        except (EOFError, OSError):
            return
        except ProtocolError as error:
            worker.protocol_error = str(error)

    def _next_is_up(self, worker: Worker) -> Job | None:
        """Take the job that an answer belongs to, None for the first answer, which says that the worker is ready."""
        with self._work:
            job: Job | None = None
            if not worker.ready:
                worker.ready = True
                self._failed_starts = 0
            elif worker.jobs:
                job = worker.jobs.popleft()
            else:
                raise ProtocolError("an answer to nothing")
            self._set_deadline(worker)
            if self._queue:
                self._work.notify_all()
            return job

    def _set_deadline(self, worker: Worker) -> None:
        if not worker.jobs:
            worker.deadline = None
            return
        worker.deadline = time.monotonic() + (self._limits.deadline if worker.ready else _START_DEADLINE)
        if not self._watching:
            self._watch.notify()

    def _settle(self, worker: Worker) -> None:
        """Blame a picture for a worker's death, or nobody; put the others back at the head of the queue."""
        blamed, over = None, None
        with self._work:
            if self._closed.is_set() or self._broken:
                over = self._broken or CancelledError()
            elif not worker.ready:
                self._failed_starts += 1
            elif worker.jobs and (blamed := worker.fate()):
                worker.jobs.popleft()
            left = list(worker.jobs)
            worker.jobs.clear()
            if not over:
                self._queue.extendleft(reversed(left))
        if over:
            _fail(left, over)
        if blamed:
            job, verdict = blamed
            job.fail(verdict)

    def _replace(self, at: int) -> bool:
        if self._failed_starts >= _STARTS:
            code = self._workers[at].process.returncode
            self._break(f"decode workers die as they start, with exit code {code}: see what they wrote to stderr")
        with self._work:
            if self._closed.is_set() or self._broken:
                return False
            try:
                self._workers[at] = self._start()
            except OSError as error:
                broken = f"a decode worker cannot be started: {error}"
            else:
                return True
        self._break(broken)
        return False

    def _break(self, message: str) -> None:
        with self._work:
            self._broken = self._broken or SosieError(message)
            dropped = self._empty_queue()
            for worker in self._workers:
                worker.kill()
        _fail(dropped, self._broken)

    def _empty_queue(self) -> list[Job]:
        """Take what nobody will work on; its futures are told later, without the lock that their owners may want."""
        dropped = list(self._queue)
        self._queue.clear()
        self._work.notify_all()
        return dropped

    # ------------------------------------------------------------------------------------------------- feeders

    def _feed(self, worker: Worker) -> None:
        try:
            worker.configure()
            while job := self._next_job(worker):
                worker.send(job)
        except OSError:
            return  # it died; the collector sees to that

    def _next_job(self, worker: Worker) -> Job | None:
        with self._work:
            while True:
                if worker.dead or self._closed.is_set() or self._broken:
                    return None
                job = self._next_for(worker)
                if job is None:
                    self._work.wait()
                    continue
                self._queue.remove(job)
                if not job.start():
                    continue  # cancelled while it waited
                worker.jobs.append(job)
                if len(worker.jobs) == 1:
                    self._set_deadline(worker)
                return job

    def _next_for(self, worker: Worker) -> Job | None:
        """Return the first waiting picture that a worker may take.

        A second one is taken only where no idle worker could have it, and behind one of the same caller.
        """
        if not self._queue or len(worker.jobs) >= _DEPTH:
            return None
        if worker.jobs:
            mine = worker.jobs[0].caller
            idle = 0 if self._has_its_share(mine) else sum(not other.jobs for other in self._workers)
            found = next((job for job in self._queue if job.caller == mine), None)
            return found if len(self._queue) > idle else None
        return next((job for job in self._queue if not self._has_its_share(job.caller)), None)

    def _has_its_share(self, caller: str) -> bool:
        """Say whether a named caller's pictures are in work in all workers but the one that is left to others."""
        busy = sum(worker.jobs[0].caller == caller for worker in self._workers if worker.jobs)
        return bool(caller) and busy >= max(1, self._most - 1)

    # ------------------------------------------------------------------------------------------------ watchdog

    def _guard(self) -> None:
        """Kill workers at their deadline; forgive them the time during which this process was stopped."""
        with self._watch:
            while not self._closed.is_set():
                self._watching = any(worker.deadline for worker in self._workers)
                before = time.monotonic()
                self._watch.wait(_TICK if self._watching else None)
                now = time.monotonic()
                stopped = now - before - _TICK if self._watching and now - before > 4 * _TICK else 0.0
                for worker in self._workers:
                    worker.forgive(stopped)
                    if worker.deadline and now > worker.deadline:
                        worker.kill_for_time()


def query_workers() -> int:
    """Return how many workers a pool may have whose pictures somebody waits for: two at least, so that one is free."""
    return min(8, max(2, (os.cpu_count() or 1) // 2))


def _outcome(key: T, future: Future[Mapping[str, Any]]) -> tuple[T, Mapping[str, Any] | BadPicture]:
    try:
        return key, future.result()
    except BadPicture as error:
        return key, error


def _fail(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.fail(error)


def _shut(closed: threading.Event, workers: Iterable[Worker]) -> None:
    closed.set()
    for worker in workers:
        worker.kill()
