"""Altered copies: of one picture, between two, inside the library; and what people decided about them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from sosie.server.answers import json_response
from sosie.server.auth import Reader, Writer
from sosie.server.bodies import Given, reading
from sosie.server.forms import CopiesBody, CopiesFields
from sosie.server.hit_views import with_views
from sosie.server.problems import Problem, responses
from sosie.server.schemas import (
    MAX_ID,
    CompareOut,
    DecisionBody,
    DecisionsOut,
    DuplicatesOut,
    PlanBody,
    PlanOut,
    SearchOut,
)
from sosie.server.state import State
from sosie.server.uploads import find_upload, keep_upload, named_after

router = APIRouter(prefix="/api/v1", tags=["copies"], responses=responses(404, 415))

IdQuery = Annotated[int | None, Query(ge=0, le=MAX_ID, description="A picture of the library.")]
TokenQuery = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="A kept query.")]
FewQuery = Annotated[int, Query(ge=1, le=50, description="How many to give.")]


async def subject(state: State, id_: int | None, query: str | None) -> bytes | int:
    """Return what is asked about; raise Problem 400 without exactly one thing."""
    if (id_ is None) == (query is None):
        raise Problem(400, "bad_request", "ask about a picture of the library or about a kept query, one of them")
    return id_ if query is None and id_ is not None else (await find_upload(state, query or "")).data


async def subject_of_body(state: State, given: Given[Any]) -> bytes | int:
    """Return what a request brings to be asked about, and keep it where it is bytes; raise Problem."""
    asked = given.subject
    if isinstance(asked, bytes):
        return (await keep_upload(state, asked)).data
    return asked if isinstance(asked, int) else (await find_upload(state, asked)).data


@router.get("/copies", response_model=SearchOut)
async def copies(
    state: Reader,
    *,
    id: IdQuery = None,  # noqa: A002
    query: TokenQuery = None,
    k: FewQuery = 10,
) -> Response:
    """Find the pictures that a picture was made from by editing, or that were made from it."""
    asked = await subject(state, id, query)
    found = await state.reading(asked).run(lambda: state.copies.find(asked, k=k))
    return json_response({**await with_views(state, found.to_json()), "next_cursor": None})


@router.post("/copies", response_model=SearchOut)
async def copies_of_picture(
    state: Reader, given: Annotated[Given[CopiesFields], Depends(reading(CopiesFields, CopiesBody))]
) -> Response:
    """Find what the picture that is sent along is a copy of."""
    with named_after(given.name):
        asked = await subject_of_body(state, given)
        found = await state.reading(asked).run(lambda: state.copies.find(asked, k=given.options.k))
    return json_response({**await with_views(state, found.to_json()), "next_cursor": None})


@router.get("/compare", response_model=CompareOut)
async def compare(
    state: Reader,
    b: Annotated[int, Query(ge=0, le=MAX_ID, description="The second picture.")],
    *,
    a: IdQuery = None,
    query: TokenQuery = None,
) -> Response:
    """Say what two pictures are to each other, and prove it: a transformation, matched points, a probability."""
    asked = await subject(state, a, query)
    return json_response(await state.sources.run(lambda: state.copies.compare(asked, b)))


@router.get("/duplicates", response_model=DuplicatesOut)
async def duplicates(state: Reader) -> Response:
    """Return the groups of copies that the last job of kind `duplicates` found."""
    report = await state.light.run(state.copies.report)
    if report is None:
        raise Problem(404, "not_made", "duplicates were not looked for since the server started: start that job")
    return json_response(report.to_json())


@router.post("/duplicates/plan")
async def plan(state: Writer, body: PlanBody) -> PlanOut:
    """Say what giving up files of the groups would do, each checked on disk now; nothing is done."""
    made, size = await state.sources.run(lambda: state.copies.plan(body.give_up, body.action))
    refused = [{"uri": one.uri, "reason": one.reason} for one in made.refused]
    return PlanOut(lines=[line.to_json() for line in made.lines], refused=refused, bytes=size)


@router.get("/decisions", response_model=DecisionsOut)
async def decisions(state: Reader) -> Response:
    """List what people decided about pairs of pictures, by the SHA-256 of their bytes."""
    rows = await state.light.run(state.library.catalogue.decisions)
    listed = [{"a": one.a, "b": one.b, "decision": one.decision, "at": one.at} for one in rows]
    return json_response({"decisions": listed})


@router.post("/decisions", status_code=204, response_class=Response)
async def decide(state: Writer, body: DecisionBody) -> None:
    """Decide about two pictures, or take a decision back; searches and duplicates follow it from then on."""
    await state.light.run(lambda: state.copies.decide(body.a, body.b, body.decision))
