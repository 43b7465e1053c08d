"""Is it up, can it answer, and what has it done."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response

import sosie
from sosie.server.answers import json_response
from sosie.server.auth import Reader
from sosie.server.metrics import CONTENT_TYPE, Sample
from sosie.server.problems import Problem, responses, text_content
from sosie.server.process import process_samples
from sosie.server.schemas import HealthOut, InfoOut, ReadyOut
from sosie.server.state import State, state_of
from sosie.server.strict import only_known

if TYPE_CHECKING:
    from sosie.library import Library

router = APIRouter(tags=["health"])


_OPEN: dict[str, Any] = {"security": []}  # needs no key


@router.get("/healthz", response_model=HealthOut, openapi_extra=_OPEN)
async def healthz() -> Response:
    """Say that the process is up."""
    return json_response({"status": "up"})


@router.get("/livez", response_model=HealthOut, openapi_extra=_OPEN)
async def livez() -> Response:
    """Say that the process is up."""
    return json_response({"status": "up"})


@router.get("/readyz", response_model=ReadyOut, responses=responses(), openapi_extra=_OPEN)
async def readyz(request: Request) -> Response:
    """Say that the library answers and the server stays; one on a cluster says of what colour that is, too."""
    state = state_of(request)
    if state.draining.is_set() or state.closing.is_set():
        raise Problem(503, "closing", "the server is closing")
    return json_response({"status": "ready", **await state.light.run(lambda: _readiness(state.library))})


def _readiness(library: Library) -> dict[str, Any]:
    """Return how the store is and how many pictures it holds, once the index can be searched."""
    health = library.catalogue.health()
    library.view().warm_up()
    return {"pictures": library.catalogue.counts()["pictures"], **health}


@router.get("/api/v1/info", responses=responses(), dependencies=[Depends(only_known)])
async def info(state: Reader) -> InfoOut:
    """Say what the library holds, how it answers, and what recall its searches reach."""
    stats = await state.light.run(state.library.stats)
    return InfoOut(**{name: stats[name] for name in InfoOut.model_fields})


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text.", "content": text_content("text/plain")},
        **responses(),
    },
)
async def metrics(state: Reader) -> Response:
    """Return counts and latencies for Prometheus."""
    stats = await state.light.run(state.library.stats)
    samples = [*process_samples(), *_samples(state, stats)]
    return Response(state.metrics.text(samples), media_type=CONTENT_TYPE)


def _samples(state: State, stats: Mapping[str, Any]) -> Iterator[Sample]:
    index = stats.get("index") or {}
    checked = stats.get("recall_in_service") or {}
    runs = {"version": sosie.__version__, "python": platform.python_version(), "model": str(stats["model"])}
    yield Sample("sosie_build_info", 1, tuple(sorted(runs.items())))
    yield Sample("sosie_index_info", 1, (("kind", str(index.get("kind", "none"))),))
    values: dict[str, Any] = {
        "sosie_access_log_dropped_total": state.log.dropped,
        "sosie_index_recall": index.get("recall"),
        "sosie_index_tail": index.get("tail", 0),
        "sosie_jobs_open": state.jobs.open,
        "sosie_pictures": stats["pictures"],
        "sosie_quarantined": stats["quarantined"],
        "sosie_queue_depth": state.work.depth,
        "sosie_recall_checked": checked.get("checked", 0),
        "sosie_recall_dropped": checked.get("dropped", 0),
        "sosie_recall_failed": checked.get("failed", 0),
        "sosie_recall_in_service": checked.get("recall"),
        "sosie_requests_in_progress": state.metrics.in_progress,
    }
    for name, value in values.items():
        yield Sample(name, float(value) if isinstance(value, int | float) else math.nan)
