"""Who did what: the log of the library for programs, and as a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from sosie.catalogue.deeds import DEEDS
from sosie.catalogue.log import LogFilter, day, entries
from sosie.catalogue.records import LogEntry
from sosie.present.csv import log_csv
from sosie.present.text import visible
from sosie.server.answers import json_response
from sosie.server.auth import Reader
from sosie.server.cursors import decode_cursor, encode_cursor
from sosie.server.params import Cursor, PageSize
from sosie.server.places import HIDDEN, without_places
from sosie.server.problems import Problem, responses
from sosie.server.routes.pages import render_page, visit
from sosie.server.schemas import LogOut
from sosie.server.state import State
from sosie.server.views import address

router = APIRouter(prefix="/api/v1", tags=["log"], responses=responses())
pages = APIRouter(include_in_schema=False)

PAGE = 100
MOST_LINES = 100_000  # of a list as CSV

Name = Annotated[str, Query(max_length=200, description="Of one person or key alone.")]
Deed = Annotated[str, Query(max_length=40, description="Of one kind alone: " + ", ".join(DEEDS))]
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d\d-\d\d)?$", description="A day in UTC: 2026-11-30.")]


@router.get("/log", response_model=LogOut)
async def log(
    state: Reader,
    *,
    actor: Name = "",
    deed: Deed = "",
    since: Day = "",
    until: Day = "",
    k: PageSize = 50,
    cursor: Cursor = "",
) -> Response:
    """List who did what, the latest first: labels, removals, decisions, exports, plans carried out and undone."""
    wanted = _filter(actor, deed, since, until)
    before = decode_cursor(cursor, "log", wanted) or None
    found = await state.light.run(lambda: entries(state.library.catalogue, wanted, limit=k, before=before))
    following = encode_cursor(found[-1].id, "log", wanted) if len(found) == k else None
    return json_response({"entries": [one.to_json() for one in found], "next_cursor": following})


@pages.get("/log")
async def log_page(
    request: Request,
    *,
    actor: Name = "",
    deed: Deed = "",
    since: Day = "",
    until: Day = "",
    before: Annotated[int | None, Query(ge=1, le=1 << 53)] = None,
) -> Response:
    """Show who did what."""
    state = visit(request)
    wanted = _filter(actor, deed, since, until)
    found = await state.light.run(lambda: _entries(state, wanted, limit=PAGE + 1, before=before))
    asked = {"actor": actor, "deed": deed, "since": since, "until": until}
    rows = [{"entry": one, "actor": visible(one.actor)} for one in found[:PAGE]]
    more = address("/log", **asked, before=found[PAGE - 1].id) if len(found) > PAGE else None
    csv = address("/log.csv", **asked)
    return await render_page(request, "log.html", rows=rows, asked=asked, deeds=DEEDS, more=more, csv=csv)


@pages.get("/log.csv")
async def log_list(
    request: Request, *, actor: Name = "", deed: Deed = "", since: Day = "", until: Day = ""
) -> Response:
    """Give the entries as a list that a spreadsheet opens."""
    state = visit(request)
    wanted = _filter(actor, deed, since, until)
    text = await state.work.run(lambda: log_csv(_entries(state, wanted, limit=MOST_LINES)))
    headers = {"Content-Disposition": 'attachment; filename="log.csv"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _entries(state: State, wanted: LogFilter, *, limit: int, before: int | None = None) -> list[LogEntry]:
    """Return entries of the log as the caller may see them."""
    found = entries(state.library.catalogue, wanted, limit=limit, before=before)
    return [replace(one, detail=without_places(one.detail)) for one in found] if HIDDEN.get() else found


def _filter(actor: str, deed: str, since: str, until: str) -> LogFilter:
    if deed and deed not in DEEDS:
        raise Problem(400, "bad_request", f"nothing is logged as {deed!r}; known: {', '.join(DEEDS)}")
    return LogFilter(
        actor or None, deed or None, day(since) if since else None, day(until, end=True) if until else None
    )
