"""The web page: every screen is rendered here, and works as a link; scripts only make it livelier."""

from __future__ import annotations

import random
from dataclasses import asdict
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from sosie.catalogue import PictureRecord, QuarantineRow
from sosie.errors import SosieError
from sosie.present.duration import duration
from sosie.present.text import display_path, visible
from sosie.server.auth import COOKIE, scope_of
from sosie.server.params import PictureId, parse_box
from sosie.server.problems import Problem
from sosie.server.reference import operations
from sosie.server.rendering import render
from sosie.server.routes.copies import subject
from sosie.server.schemas import MAX_ID
from sosie.server.searching import Page, Question, answer, objects_of
from sosie.server.state import State, state_of
from sosie.server.uploads import find_upload, look_at
from sosie.server.views import address, box_text, cards_of_hits, cards_of_records, facets, label_texts, where_of

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 24
PICKS = 18

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


@router.get("/")
async def home(
    request: Request,
    *,
    id: Id = None,  # noqa: A002
    query: Token = None,
    text: Text = None,
    box: Text = None,
    objects: bool = False,
    object: Annotated[int | None, Query(ge=1, le=100)] = None,  # noqa: A002
    mask: Text = None,
    where: Text = None,
    f: Chosen = [],  # noqa: B006 - FastAPI copies it
    cursor: Text = None,
    seed: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
) -> Response:
    """Show the search: the query, or where to drop one, and what was found."""
    state = visit(request)
    question = Question(
        id, query, parse_box(box), where_of(where, f), PAGE_SIZE, text, objects=objects, object=object, mask=mask
    )
    labels = await state.light.run(state.library.labels)
    words = await state.light.run(lambda: "text" in state.library.embedder.spec.tasks)
    shared: dict[str, Any] = {
        "where": where,
        "chosen": f,
        "facets": facets(labels, f),
        "labels": labels,
        "words": words,
        "text": question.words,
    }
    if not question.given:
        picks = await state.light.run(lambda: _picks(state, question.where, seed))
        return await render_page(
            request, "home.html", picks=cards_of_records(picks), seed=seed, urls=state.settings.urls, **shared
        )
    page = await answer(state, question, cursor)
    subject = await _subject(state, question) if question.pictured else None
    cards = await state.light.run(lambda: cards_of_hits(state, page.result.hits))
    sight = state.library.sight
    found = await objects_of(state, question) if question.pictured and sight.can_detect else []
    return await render_page(
        request,
        "search.html",
        objects=found,
        masks=sight.mask_choices() if question.pictured else (),
        outline=page.result.asked.get("mask", {}).get("outline", ()),
        among_wholes="advice" in page.result.asked.get("mask", {}),
        shown_box=box_text(page.result.asked.get("box")),
        page=page,
        took=duration(page.result),
        cards=cards,
        subject=subject,
        question=question,
        box=box_text(question.box),
        more=_more(page, question, f, where),
        **shared,
    )


@router.get("/picture/{id}")
async def picture(request: Request, id: PictureId) -> Response:  # noqa: A002
    """Show one picture and what is known of it."""
    state = visit(request)
    record = await state.light.run(lambda: state.library.picture(id))
    page = await answer(state, Question(id=id, k=8))
    cards = await state.light.run(lambda: cards_of_hits(state, page.result.hits))
    card = cards_of_records([record])[0]
    return await render_page(
        request,
        "picture.html",
        record=record,
        shown=card,
        cards=cards,
        places=[display_path(uri) for uri in record.uris],
        labels=label_texts(record.labels),
    )


@router.get("/copies")
async def copy_cards(request: Request, id: Id = None, query: Token = None) -> Response:  # noqa: A002
    """Return the copies of a query as cards, which the search puts before what is only alike."""
    state = visit(request)
    asked = await subject(state, id, query)
    found = await state.reading(asked).run(lambda: state.copies.find(asked, k=24))
    cards = await state.light.run(lambda: cards_of_hits(state, found.hits))
    return await render_page(
        request, "copies.html", cards=cards, compare={"a": id} if query is None else {"query": query}
    )


@router.get("/compare")
async def compare(request: Request, a: Id = None, query: Token = None, b: Id = None) -> Response:
    """Show two pictures laid over each other."""
    state = visit(request)
    known = (a is not None or query is not None) and b is not None
    first = await _subject(state, Question(a, query)) if known else None
    second = await _subject(state, Question(b)) if known else None
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
    return await render_page(request, "quarantine.html", rows=chosen, reasons=reasons, reason=reason)


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
        counts = await state.light.run(state.library.catalogue.counts)
    except SosieError:
        counts = {}
    locked = bool(request.cookies.get(COOKIE))
    return render(request, template, status=status, counts=counts, session=locked, **context)


def _refused(row: QuarantineRow) -> dict[str, Any]:
    return {**asdict(row), "path": display_path(row.uri), "detail": visible(row.detail)}


def _picks(state: State, where: str | None, seed: int) -> list[PictureRecord]:
    """Return pictures from all over the library, others with each seed."""
    ids = state.library.catalogue.live_ids(state.library.condition(where)).tolist()
    chosen = random.Random(seed).sample(ids, min(PICKS, len(ids)))  # noqa: S311 - nothing secret
    return state.library.catalogue.pictures(chosen)


async def _subject(state: State, question: Question) -> dict[str, Any]:
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


def _more(page: Page, question: Question, chosen: list[str], where: str | None) -> str | None:
    if page.next_cursor is None:
        return None
    return address(
        "/",
        id=question.id,
        query=question.query,
        text=question.words,
        box=box_text(question.box),
        objects="1" if question.objects else None,
        object=question.object,
        mask=question.mask,
        f=chosen,
        where=where,
        cursor=page.next_cursor,
    )


def _inside(target: str) -> str:
    """Return a path of this site: a login never sends anybody elsewhere."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
