"""Long work in the background: one job at a time, each with a progress that can be followed and a stop.

A job runs in the server that was asked for it; every server that shares the board lists it, follows it and stops it.
What a job has committed to the catalogue stays. A library in a folder keeps its jobs in its catalogue: a server that
starts takes up what the one before it had accepted, and skips what is done. On a cluster, a job whose server went away
is failed.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sosie.catalogue.deeds import ACTOR
from sosie.errors import SosieError
from sosie.server.board import Board
from sosie.server.job import Job, JobState
from sosie.server.job_board import JobBoard
from sosie.server.job_log import JobLog
from sosie.server.problems import Problem, problem_of

__all__ = ["Job", "JobState", "Jobs", "Work"]

Work = Callable[[Job], Mapping[str, Any]]


class Jobs:
    """Run jobs one after another on a thread of their own; remember the latest, and those of other servers."""

    _KEPT = 100

    def __init__(
        self,
        *,
        waiting: int = 16,
        board: Board | None = None,
        log: JobLog | None = None,
        ended: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._waiting, self._log, self._ended = waiting, log, ended
        self._closing = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sosie-job")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._board = None if board is None else JobBoard(board, self._jobs, most=self._KEPT)

    @property
    def open(self) -> int:
        """How many jobs of this server run or wait."""
        return sum(not job.state.over for job in self._own())

    def start(self, kind: str, title: str, work: Work, params: Mapping[str, Any] | None = None) -> Job:
        """Queue a job; raise Problem 503 where too many wait. ``params`` is what it is begun again from."""
        if sum(job.state is JobState.WAITING for job in self._own()) >= self._waiting:
            raise Problem(503, "busy", "too many jobs wait: try again later", headers={"Retry-After": "10"})
        job = Job(secrets.token_hex(8), kind, title, params=dict(params or {}))
        if self._log is not None:
            self._log.write(job)  # before it is answered for: what was accepted is not forgotten
        if self._board is not None:
            self._board.show(job)  # before it is answered for: whoever is told its id may ask another server
            self._board.tidy()
        self._begin(job, work)
        return job

    def take_up(self, work_of: Callable[[Job], Work]) -> None:
        """Remember the jobs of before the server started, and begin those anew that were not over."""
        for job in self._log.read() if self._log is not None else ():
            if job.state.over:
                self._jobs[job.id] = job
            else:
                job.move(JobState.WAITING)
                self._begin(job, work_of(job))

    def _begin(self, job: Job, work: Work) -> None:
        self._jobs[job.id] = job
        self._forget()
        self._pool.submit(self._run_for, ACTOR.get(), job, work)

    def get(self, job_id: str) -> Job:
        """Return a job; raise Problem 404 where it is unknown or forgotten."""
        job = self._jobs.get(job_id) or (self._board.job(job_id) if self._board is not None else None)
        if job is None:
            raise Problem(404, "not_found", "no such job: it is unknown, or from before the server started")
        return job

    def list(self) -> list[Job]:
        """Return the jobs, latest first."""
        others = [] if self._board is None else self._board.others()
        return sorted([*reversed(self._own()), *others], key=lambda job: -job.created_at)

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop, wherever it runs; raise Problem 404."""
        job = self.get(job_id)
        job.stop.set()
        if self._board is not None and job.far and not job.state.over:
            self._board.ask_to_stop(job)
        return job

    def close(self) -> None:
        """Ask every job to stop and wait for the one that runs."""
        self._closing = True
        for job in self._own():
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for job in self._own():
            if not job.state.over:  # it was waiting, and nobody will run it
                job.move(JobState.STOPPED)
        if self._board is not None:
            self._board.close()

    def _own(self) -> Sequence[Job]:
        return tuple(self._jobs.values())

    def _forget(self) -> None:
        over = [job.id for job in self._own() if job.state.over]
        gone = over[: max(0, len(self._jobs) - self._KEPT)]
        for job_id in gone:
            del self._jobs[job_id]
        if gone and self._log is not None:
            self._log.forget(gone)

    def _run_for(self, actor: str, job: Job, work: Work) -> None:
        ACTOR.set(actor)  # of this thread, which runs one job after another
        self._run(job, work)

    def _run(self, job: Job, work: Work) -> None:
        try:
            self._work(job, work)
        finally:
            # What the end of the server stopped is not over: the next one takes it up.
            if self._log is not None and not (self._closing and job.state is JobState.STOPPED):
                with contextlib.suppress(SosieError):
                    self._log.write(job)
            if self._board is not None:
                with contextlib.suppress(SosieError):  # it is told again in a moment
                    self._board.show(job)
            self._ended(job)

    def _work(self, job: Job, work: Work) -> None:
        if job.stop.is_set():
            job.move(JobState.STOPPED)
            return
        job.move(JobState.RUNNING)
        try:
            job.result = dict(work(job))
        except Exception as error:  # a job's failure is its answer, and the thread goes on
            if job.stop.is_set():
                job.move(JobState.STOPPED)
                return
            problem = problem_of(error)
            job.error = {"code": problem.code, "detail": str(problem.detail)}
            job.move(JobState.FAILED)
            return
        job.move(JobState.STOPPED if job.stop.is_set() else JobState.DONE)
