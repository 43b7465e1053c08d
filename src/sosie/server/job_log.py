"""Jobs in the catalogue of a library, so that what was accepted outlives the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sosie.catalogue.records import Job as JobRow
from sosie.server.board import Board
from sosie.server.job import Job, JobState

if TYPE_CHECKING:
    from sosie.catalogue import Store
    from sosie.library import Library

__all__ = ["JobLog", "job_log_of"]


class JobLog:
    """Writes down jobs, and reads those of before. Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Store) -> None:
        self._catalogue = catalogue

    def write(self, job: Job) -> None:
        """Store how a job stands."""
        result = {"title": job.title, "result": job.result, "error": job.error, "ended_at": job.ended_at}
        row = JobRow(job.id, job.kind, job.state.value, "", job.params, job.progress, result, job.created_at)
        self._catalogue.put_job(row)

    def read(self) -> list[Job]:
        """Return the jobs that were stored, oldest first."""
        return [_job(row) for row in self._catalogue.jobs()]

    def forget(self, ids: Sequence[str]) -> None:
        """Remove jobs."""
        self._catalogue.drop_jobs(ids)


def job_log_of(library: Library) -> JobLog | None:
    """Return where a library keeps its jobs; None where it may not be written to, or its servers meet on a cluster."""
    return None if isinstance(library.catalogue, Board) or library.catalogue.read_only else JobLog(library.catalogue)


def _job(row: JobRow) -> Job:
    kept = dict(row.result or {})
    return Job(
        row.id,
        row.kind,
        str(kept.get("title", "")),
        JobState(row.state),
        progress=row.progress,
        result=kept.get("result"),
        error=kept.get("error"),
        created_at=row.created_at,
        ended_at=kept.get("ended_at"),
        params=row.params,
    )
