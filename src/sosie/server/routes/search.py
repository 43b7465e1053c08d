"""Search by a picture of the library, by a kept query or by one that is sent, whole or by a box."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi import Path as PathParam

from sosie.server.answers import JPEG, jpeg_response, json_response
from sosie.server.auth import Reader
from sosie.server.bodies import Given, reading
from sosie.server.forms import NoFields, PictureBody, SearchBody, SearchFields, SearchQuery
from sosie.server.hit_views import with_views
from sosie.server.problems import responses
from sosie.server.queries import KeptQuery
from sosie.server.schemas import MAX_ID, ObjectsOut, QueryOut, SearchOut, UrlBody
from sosie.server.searching import Page, Question, answer, objects_of
from sosie.server.state import State
from sosie.server.uploads import fetched, find_upload, keep_upload, look_at, named_after

router = APIRouter(prefix="/api/v1", tags=["search"], responses=responses(404, 415))

Token = Annotated[str, PathParam(pattern="^[0-9a-f]{64}$", description="The token of a kept query.")]


@router.get("/search", response_model=SearchOut)
async def search(state: Reader, asked: Annotated[SearchQuery, Query()]) -> Response:
    """Find what looks like a picture of the library (`id`), an upload that was kept (`query`), or words (`text`)."""
    question = replace(asked.question, id=asked.id, query=asked.query)
    return await _page(state, await answer(state, question, asked.cursor))


@router.post("/search", response_model=SearchOut)
async def search_by_picture(
    state: Reader, given: Annotated[Given[SearchFields], Depends(reading(SearchFields, SearchBody))]
) -> Response:
    """Find what looks like the picture that is sent along, in a form, as the body, or by JSON."""
    options = given.options
    question = replace(options.question, id=given.id, query=given.query)
    with named_after(given.name):
        return await _page(state, await answer(state, question, options.cursor, upload=given.data))


@router.get("/objects", response_model=ObjectsOut)
async def objects_in(
    state: Reader,
    *,
    id: Annotated[int | None, Query(ge=0, le=MAX_ID, description="A picture of the library.")] = None,  # noqa: A002
    query: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="A kept query.")] = None,
) -> Response:
    """List the objects in a picture, by the numbers that `object` of a search takes; 400 without a detector."""
    found = await objects_of(state, Question(id, query))
    return json_response({"objects": [{"number": at, **each.to_json()} for at, each in enumerate(found, 1)]})


@router.post("/queries", status_code=201)
async def keep(state: Reader, given: Annotated[Given[NoFields], Depends(reading(NoFields, PictureBody))]) -> QueryOut:
    """Keep a picture to search with: one upload for several searches, boxes and pages."""
    with named_after(given.name):
        return await _described(state, await keep_upload(state, given.picture))


@router.post("/fetch", status_code=201)
async def keep_from_url(state: Reader, body: UrlBody) -> QueryOut:
    """Fetch a picture from a public address and keep it to search with."""
    return await _described(state, await keep_upload(state, await fetched(state, body.url)))


@router.get("/queries/{token}")
async def kept_query(state: Reader, token: Token) -> QueryOut:
    """Say whether a query is still kept, and how large it is."""
    return await _described(state, await find_upload(state, token))


@router.get("/queries/{token}/preview", response_class=Response, responses=JPEG)
async def query_preview(state: Reader, token: Token) -> Response:
    """Return a kept query to look at, re-encoded and without metadata."""
    return jpeg_response((await look_at(state, await find_upload(state, token))).data)


async def _described(state: State, kept: KeptQuery) -> QueryOut:
    preview = await look_at(state, kept)
    return QueryOut(query=kept.token, width=preview.width, height=preview.height)


async def _page(state: State, page: Page) -> Response:
    # Written as it stands: checking thousands of hits against the model would cost more than the search.
    found = await with_views(state, page.result.to_json())
    return json_response({**found, "next_cursor": page.next_cursor, "ends_at": page.ends_at})
