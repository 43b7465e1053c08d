"""Jobs on the board that servers share: each tells of its own, once a second, and hears who wants them stopped."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from sosie.errors import SosieError
from sosie.server.board import Board
from sosie.server.job import Job, JobState

__all__ = ["JobBoard"]

_SORT, _STOP = "job", "stop"
_TELL = 1.0  # seconds
_BEAT = 5.0  # seconds after which a job without news is told of again, as a sign of life
LOST = 30.0  # seconds without one after which its server is taken for gone; clocks have to agree better than that


class JobBoard:
    """Shows the jobs of one server, ``own`` (by id, changed by its owner), and reads those of the others."""

    def __init__(self, board: Board, own: Mapping[str, Job], *, most: int) -> None:
        self._board, self._own, self._most = board, own, most
        self._told: dict[str, tuple[int, float]] = {}  # version, and when
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._teller: threading.Thread | None = None

    def show(self, job: Job) -> None:
        """Tell how a job stands, which is gone on with from then on; raise ServiceAway."""
        with self._lock:  # an older word must not come after a newer one
            version = job.version
            self._board.post(_SORT, job.id, {**job.to_json(), "version": version, "beat": time.time()})
            self._told[job.id] = version, time.monotonic()
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="sosie-jobs", daemon=True)
                self._teller.start()

    def tidy(self) -> None:
        """Forget the jobs of long ago, whoever ran them."""
        self._board.take_down(_SORT, list(self._board.posted(_SORT))[: -self._most])

    def job(self, job_id: str) -> Job | None:
        """Return a job of another server, as it was told of last."""
        told = self._board.read(_SORT, [job_id]).get(job_id)
        return None if told is None else _far(told)

    def others(self) -> list[Job]:
        """Return the latest jobs of other servers."""
        names = [name for name in list(self._board.posted(_SORT))[-self._most :] if name not in self._own]
        return [_far(told) for told in self._board.read(_SORT, names).values()] if names else []

    def ask_to_stop(self, job: Job) -> None:
        """Leave word for the server that runs a job."""
        self._board.post(_STOP, job.id, {})

    def close(self) -> None:
        """Tell how the jobs ended, and end the thread."""
        self._closing.set()
        if self._teller is not None:
            self._teller.join()
            with contextlib.suppress(SosieError):  # the cluster is away: others will see that nothing comes any more
                self._tell_news()

    def _tell(self) -> None:
        while not self._closing.wait(_TELL):
            with contextlib.suppress(SosieError):  # the cluster is away for a while: what is not told is told later
                self._tell_news()
                self._hear()

    def _tell_news(self) -> None:
        for job in list(self._own.values()):
            version, at = self._told.get(job.id, (-1, 0.0))
            if job.version != version or (not job.state.over and time.monotonic() - at > _BEAT):
                self.show(job)
        self._told = {job_id: told for job_id, told in self._told.items() if job_id in self._own}

    def _hear(self) -> None:
        """Stop the jobs that somebody wants stopped."""
        running = [job for job in list(self._own.values()) if not job.state.over and not job.stop.is_set()]
        if asked := self._board.read(_STOP, [job.id for job in running]) if running else {}:
            for job in running:
                if job.id in asked:
                    job.stop.set()
            self._board.take_down(_STOP, asked)


def _far(told: Mapping[str, Any]) -> Job:
    """Return a job of another server; one that has shown no sign of life for long has failed with its server."""
    plain = {name: value for name, value in told.items() if name not in ("beat", "version")}
    job = Job.far_away(plain, version=int(told["version"]))
    if not job.state.over and time.time() - told["beat"] > LOST:
        job.error = {
            "code": "server_lost",
            "detail": "the server that ran this job went away: start it again, and it skips what is done",
        }
        job.state, job.ended_at = JobState.FAILED, told["beat"]
        job.version += 1
    return job
