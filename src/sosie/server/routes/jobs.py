"""Long work: add a folder, build or tune an index, retry the quarantine; its progress as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter

from sosie.errors import SosieError, SourceUnreachable, UsageError
from sosie.present.text import visible
from sosie.server.auth import COOKIE, Admin, Reader
from sosie.server.job import Job
from sosie.server.jobs import Work
from sosie.server.places import HIDDEN, without_places
from sosie.server.problems import Problem, responses, text_content
from sosie.server.schemas import (
    ApplyJob,
    BuildJob,
    DuplicatesJob,
    FolderJob,
    JobOut,
    JobRequest,
    JobsOut,
    RetryJob,
    TuneJob,
    UndoJob,
)
from sosie.server.state import State
from sosie.server.streams import BoundedStream, owner_of

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(404, 415))

JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="The job's id.")]
_TICK = 0.15  # seconds between two looks at a job
_FAR_TICK = 1.0  # and at one of another server, which tells of it once a second


@router.get("")
async def jobs(state: Reader) -> JobsOut:
    """List the latest jobs."""
    return JobsOut(jobs=[_out(job) for job in await state.light.run(state.jobs.list)])


@router.post("", status_code=202)
async def start(state: Admin, body: JobRequest) -> JobOut:
    """Start a job; it waits for those before it."""
    return _out(await state.light.run(lambda: _start(state, body)))


@router.get("/{job_id}")
async def job(state: Reader, job_id: JobId) -> JobOut:
    """Return one job as it stands."""
    return _out(await _job(state, job_id))


@router.delete("/{job_id}", status_code=202)
async def stop(state: Admin, job_id: JobId) -> JobOut:
    """Ask a job to stop; what it has done stays."""
    return _out(await state.light.run(lambda: state.jobs.stop(job_id)))


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A `job` event at each change.",
            "content": text_content("text/event-stream"),
        }
    },
)
async def events(request: Request, state: Reader, job_id: JobId) -> Response:
    """Follow a job: an event with the whole job at each change, until it is over."""
    owner = owner_of(request, COOKIE)
    state.streams.check_room(owner)
    return BoundedStream(_events(state, await _job(state, job_id)), streams=state.streams, owner=owner)


async def _job(state: State, job_id: str) -> Job:
    return await state.light.run(lambda: state.jobs.get(job_id))


async def _events(state: State, job: Job) -> AsyncIterator[str]:
    sent, quiet = -1, 0.0
    while not state.closing.is_set():
        over, version = job.state.over, job.version
        if version != sent:
            sent, quiet = version, 0.0
            yield f"event: job\nid: {version}\ndata: {json.dumps(_out(job).model_dump())}\n\n"
        elif quiet > 10:
            quiet = 0.0
            yield ": still here\n\n"
        if over:
            return
        tick = _FAR_TICK if job.far else _TICK
        await asyncio.sleep(tick)
        quiet += tick
        if job.far:
            with contextlib.suppress(SosieError, Problem):  # the cluster is away for a moment
                job = await _job(state, job.id)


def _start(state: State, body: JobRequest) -> Job:
    if isinstance(body, FolderJob) and not state.settings.paths:
        raise Problem(403, "paths_forbidden", "this server adds no folders by path: upload the pictures instead")
    if isinstance(body, FolderJob):
        _check_there(body.source)
    if isinstance(body, ApplyJob | UndoJob) and not state.settings.paths:
        raise Problem(403, "paths_forbidden", "this server touches no files: use `sosie duplicates apply` beside it")
    return state.jobs.start(body.kind, _title(body), _work(state, body), body.model_dump())


def _check_there(source: str) -> None:
    """Raise SourceUnreachable for a path that is not there: sooner said than by a job that fails."""
    if "://" not in source and not os.path.exists(source):  # noqa: PTH110 - never raises, whatever the path is made of
        raise SourceUnreachable(f"the server has nothing at {visible(source)}: check the path, as the server sees it")


def take_up(state: State) -> None:
    """Begin the jobs anew that a server before this one had accepted and not ended."""
    request: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)
    state.jobs.take_up(lambda job: _work(state, request.validate_python(dict(job.params))))


def _title(body: JobRequest) -> str:
    if isinstance(body, FolderJob):
        return body.source
    if isinstance(body, BuildJob):
        return body.index
    if isinstance(body, TuneJob):
        return f"recall {body.recall:g}"
    if isinstance(body, ApplyJob):
        return str(len(body.lines))
    return (body.reason or "all") if isinstance(body, RetryJob) else ""


def _work(state: State, body: JobRequest) -> Work:
    if isinstance(body, FolderJob):
        return _add_folder(state, body)
    if isinstance(body, BuildJob):
        return _build(state, body)
    if isinstance(body, TuneJob):
        return _tune(state, body)
    if isinstance(body, DuplicatesJob | ApplyJob | UndoJob):
        return _duplicates(state, body)
    return lambda _job: state.library.quarantine.retry(body.reason).to_json()


def _duplicates(state: State, body: DuplicatesJob | ApplyJob | UndoJob) -> Work:
    if isinstance(body, DuplicatesJob):
        return state.copies.look_for_duplicates
    if isinstance(body, UndoJob):
        return state.copies.undo
    return lambda job: state.copies.apply(job, body.lines, body.folder)


def _add_folder(state: State, body: FolderJob) -> Work:
    def work(job: Job) -> Mapping[str, Any]:
        try:
            report = state.library.add(
                body.source,
                sync=body.sync,
                label_from_folders=body.label_from_folders,
                progress=_progress(job),
                stop=job.stop,
            )
        except SosieError:
            raise
        except (OSError, ValueError) as error:  # a path that no system would take
            raise UsageError(f"there can be no such place: {type(error).__name__}") from error
        return report.to_json()

    return work


def _build(state: State, body: BuildJob) -> Work:
    def work(_job: Job) -> Mapping[str, Any]:
        manifest = state.library.indexes.build(body.index)
        return {"kind": manifest.kind, "count": manifest.count, "recall": manifest.recall}

    return work


def _tune(state: State, body: TuneJob) -> Work:
    def work(job: Job) -> Mapping[str, Any]:
        def progress(said: str) -> None:
            if job.stop.is_set():
                raise UsageError("stopped")
            job.report({"doing": said})

        report = state.library.indexes.tune(recall=body.recall, k=body.k, kinds=body.kinds, progress=progress)
        if report.winner is None:
            raise UsageError(f"no kind reaches a recall of {body.recall:g}: ask for less, or for other kinds")
        manifest = state.library.indexes.build("auto", recall=body.recall)
        return {**report.to_json(), "built": {"kind": manifest.kind, "recall": manifest.recall}}

    return work


def _progress(job: Job) -> Callable[[Any], None]:
    return lambda progress: job.report(asdict(progress))


def _out(job: Job) -> JobOut:
    told = job.to_json()
    if HIDDEN.get():
        told = without_places({**told, "title": _name(told["title"])})
    return JobOut(**told)


def _name(title: str) -> str:
    """Return the last part of a title that is a path of the server."""
    return title.rstrip("/").rsplit("/", 1)[-1] if title.startswith("/") else title
