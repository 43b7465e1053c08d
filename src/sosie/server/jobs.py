"""Long work in the background: one job at a time, each with a progress that can be followed and a stop.

Jobs live in memory. What a job has committed to the catalogue stays; a job that a stopped server cut short is started
again, and skips what is there.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sosie.server.problems import Problem, problem_of

__all__ = ["Job", "JobState", "Jobs"]


class JobState(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.STOPPED)


@dataclass
class Job:
    """One piece of work. Its thread writes the fields, others read them; ``version`` grows with every change."""

    id: str
    kind: str
    title: str
    state: JobState = JobState.WAITING
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    created_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    version: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def report(self, progress: Mapping[str, Any]) -> None:
        """Replace the progress."""
        self.progress = dict(progress)
        self.version += 1

    def move(self, state: JobState) -> None:
        """Enter the next state."""
        self.state = state
        if state.over:
            self.ended_at = time.time()
        self.version += 1


Work = Callable[[Job], Mapping[str, Any]]


class Jobs:
    """Run jobs one after another on a thread of their own; remember the latest."""

    _KEPT = 100

    def __init__(self, *, waiting: int = 16) -> None:
        self._waiting = waiting
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sosie-job")
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def start(self, kind: str, title: str, work: Work) -> Job:
        """Queue a job; raise Problem 503 where too many wait."""
        if sum(job.state is JobState.WAITING for job in self._jobs.values()) >= self._waiting:
            raise Problem(503, "busy", "too many jobs wait: try again later", headers={"Retry-After": "10"})
        job = Job(secrets.token_hex(8), kind, title)
        self._jobs[job.id] = job
        self._forget()
        self._pool.submit(self._run, job, work)
        return job

    def get(self, job_id: str) -> Job:
        """Return a job; raise Problem 404 where it is unknown or forgotten."""
        job = self._jobs.get(job_id)
        if job is None:
            raise Problem(404, "not_found", "no such job: it is unknown, or from before the server started")
        return job

    def list(self) -> list[Job]:
        """Return the jobs, latest first."""
        return list(reversed(self._jobs.values()))

    def close(self) -> None:
        """Ask every job to stop and wait for the one that runs."""
        for job in self._jobs.values():
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget(self) -> None:
        over = [job.id for job in self._jobs.values() if job.state.over]
        for job_id in over[: max(0, len(self._jobs) - self._KEPT)]:
            del self._jobs[job_id]

    def _run(self, job: Job, work: Work) -> None:
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
