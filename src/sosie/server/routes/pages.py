"""The screens of the web page: each works as a link; scripts only make it livelier."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from sosie.catalogue import QuarantineRow
from sosie.errors import NoVector, SosieError
from sosie.present.text import visible
from sosie.server.auth import COOKIE, scope_of
from sosie.server.i18n import words
from sosie.server.params import PictureId
from sosie.server.places import shown_path
from sosie.server.problems import Problem
from sosie.server.reference import operations
from sosie.server.rendering import render
from sosie.server.schemas import MAX_ID
from sosie.server.searching import Question, answer
from sosie.server.state import State, state_of
from sosie.server.uploads import find_upload, look_at
from sosie.server.views import (
    Card,
    address,
    cards_of_hits,
    cards_of_records,
    label_texts,
)

router = APIRouter(include_in_schema=False)

Id = Annotated[int | None, Query(ge=0, le=MAX_ID)]
Token = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str | None, Query(max_length=2000)]
Chosen = Annotated[list[str], Query(max_length=200)]


def mount_static(app: FastAPI) -> None:
    """Serve the page's own files."""
    app.mount("/static", StaticFiles(packages=[("sosie.server", "static")]), name="static")


@router.get("/static/page.css")
async def page_style() -> Response:
    """Return the look that this page shares with reports and contact sheets."""
    return Response(
        resources.files("sosie.present").joinpath("page.css").read_bytes(),
        media_type="text/css",
        headers={"Cache-Control": "max-age=3600"},
    )


@router.get("/static/codes.{lang}.json")
async def code_words(lang: Literal["en", "fr"]) -> Response:
    """Return the words for codes of errors, which a page asks for when it meets one."""
    t = words(lang)
    texts = {key: text for prefix in ("reason.", "way.", "problem.") for key, text in t.some(prefix).items()}
    return Response(json.dumps(texts), media_type="application/json", headers={"Cache-Control": "max-age=3600"})


@router.get("/picture/{id}")
async def picture(request: Request, id: PictureId) -> Response:  # noqa: A002
    """Show one picture and what is known of it."""
    state = visit(request)
    record = await state.light.run(lambda: state.library.picture(id))
    cards = await _neighbours(state, id)
    card = cards_of_records([record])[0]
    known = (await state.light.run(lambda: state.library.catalogue.facts_of([id]))).get(id, {})
    return await render_page(
        request,
        "picture.html",
        record=record,
        shown=card,
        cards=cards,
        places=[shown_path(uri) for uri in record.uris],
        labels=label_texts(record.labels),
        facts={name: values for name, values in known.items() if name != "tag"},  # tags stand by themselves
    )


async def _neighbours(state: State, content_id: int) -> list[Card]:
    """Return what looks like a picture; nothing for one that the model in use has not embedded."""
    try:
        page = await answer(state, Question(id=content_id, k=8))
    except NoVector:
        return []
    return await state.light.run(lambda: cards_of_hits(state, page.result.hits))


@router.get("/compare")
async def compare(request: Request, a: Id = None, query: Token = None, b: Id = None) -> Response:
    """Show two pictures laid over each other."""
    state = visit(request)
    known = (a is not None or query is not None) and b is not None
    first = await subject_of(state, Question(a, query)) if known else None
    second = await subject_of(state, Question(b)) if known else None
    cards = []
    if a is not None and not known:
        page = await answer(state, Question(id=a, k=12))
        cards = await state.light.run(lambda: cards_of_hits(state, page.result.hits))
    return await render_page(
        request,
        "compare.html",
        a=a,
        query=query,
        first=first,
        second=second,
        cards=cards,
        pair=address("", a=a, query=query, b=b).lstrip("?"),
        swap=address("/compare", a=b, b=a) if a is not None else None,
    )


@router.get("/quarantine")
async def quarantine(request: Request, reason: Text = None) -> Response:
    """Show the files that were refused."""
    state = visit(request)
    rows = await state.light.run(state.library.quarantine)
    reasons: dict[str, int] = {}
    for row in rows:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    chosen = [_refused(row) for row in rows if reason in (None, row.reason)][:500]
    left_out = [
        (shown_path(root), [_left_out(each) for each in entry["left_out"]])
        for root, entry in (await state.light.run(state.library.sources.left_out)).items()
    ]
    return await render_page(request, "quarantine.html", rows=chosen, reasons=reasons, reason=reason, left_out=left_out)


@router.get("/add")
async def add(request: Request) -> Response:
    """Show where to add pictures, and the jobs."""
    state = visit(request)
    return await render_page(
        request, "add.html", paths=state.settings.paths, jobs=await state.light.run(state.jobs.list)
    )


@router.get("/map")
async def map_page(request: Request, label: Text = None) -> Response:
    """Show the map of the collection."""
    state = visit(request)
    labels = await state.light.run(state.library.labels)
    return await render_page(request, "map.html", labels=sorted(labels), label=label)


@router.get("/api")
async def api(request: Request) -> Response:
    """Show what a program can call."""
    visit(request)
    return await render_page(request, "api.html", operations=operations(request.app.openapi()))


@router.get("/login")
async def login(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Ask for a key."""
    return await render_page(request, "login.html", next=_inside(next), wrong=False)


@router.post("/login")
async def log_in(
    request: Request,
    key: Annotated[str, Form(max_length=500)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Open a session with a key."""
    state = state_of(request)
    found = state.keys.find(key.strip())
    if found is None:
        return await render_page(request, "login.html", status=401, next=_inside(next), wrong=True)
    response = RedirectResponse(_inside(next), 303)
    secure = request.url.scheme == "https"
    token = await state.light.run(lambda: state.sessions.start(found))
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session."""
    state = state_of(request)
    await state.light.run(lambda: state.sessions.end(request.cookies.get(COOKIE, "")))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def visit(request: Request) -> State:
    """Return the state for a reader who may look; raise Problem 401 for one who shows no key."""
    state = state_of(request)
    if scope_of(request, state) is None:
        raise Problem(401, "key_needed", "this page needs a key")
    return state


async def render_page(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page with what every page shows."""
    state = state_of(request)
    try:
        counts = await state.light.run(state.counts)
    except SosieError:
        counts = {}
    locked = bool(request.cookies.get(COOKIE))
    return render(request, template, status=status, counts=counts, session=locked, **context)


def _refused(row: QuarantineRow) -> dict[str, Any]:
    return {**asdict(row), "path": shown_path(row.uri), "detail": visible(row.detail)}


def _left_out(kind: dict[str, Any]) -> dict[str, Any]:
    return {**kind, "paths": [shown_path(uri) for uri in kind["some"][:20]]}


async def subject_of(state: State, question: Question) -> dict[str, Any]:
    """Return what the page shows of the query."""
    if question.query:
        preview = await look_at(state, await find_upload(state, question.query))
        return {
            "src": f"/api/v1/queries/{question.query}/preview",
            "width": preview.width,
            "height": preview.height,
            "name": None,
        }
    record = await state.light.run(lambda: state.library.picture(question.id or 0))
    card = cards_of_records([record])[0]
    return {
        "src": f"/api/v1/pictures/{record.id}/preview",
        "width": record.width,
        "height": record.height,
        "name": card.name,
    }


def _inside(target: str) -> str:
    """Return a path of this site: a login never sends anybody elsewhere."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
