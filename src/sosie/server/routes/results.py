"""The pages of a search: the way in, what was found, and why one picture was."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from sosie.catalogue import PictureRecord
from sosie.catalogue.tags import TAG
from sosie.present.duration import duration
from sosie.server.params import parse_box
from sosie.server.problems import Problem
from sosie.server.routes.copies import subject
from sosie.server.routes.pages import Chosen, Id, Text, Token, render_page, subject_of, visit
from sosie.server.schemas import MAX_ID
from sosie.server.searching import Question, answer, objects_of
from sosie.server.sections import sections_of
from sosie.server.state import State
from sosie.server.views import (
    address,
    box_text,
    cards_of_hits,
    cards_of_records,
    counts_within,
    facets,
    unknown_labels,
    where_of,
)
from sosie.types import Hit

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 24
PICKS = 18
COPIES = 24  # that are looked for


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A question as the address of a page puts it: what is searched with, the filter, and the values chosen."""

    question: Question
    where: str | None
    chosen: list[str]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of an address that asks the same."""
        asked = self.question
        return {
            "id": asked.id,
            "query": asked.query,
            "text": asked.words,
            "ids": ",".join(map(str, asked.ids)),
            "box": box_text(asked.box),
            "objects": "1" if asked.objects else None,
            "object": asked.object,
            "mask": asked.mask,
            "f": self.chosen,
            "where": self.where,
        }


def page_question(
    *,
    id: Id = None,  # noqa: A002
    query: Token = None,
    text: Text = None,
    ids: Annotated[str, Query(pattern=r"^(\d{1,16}(,\d{1,16}){0,99})?$")] = "",
    box: Text = None,
    objects: bool = False,
    object: Annotated[int | None, Query(ge=1, le=100)] = None,  # noqa: A002
    mask: Text = None,
    where: Text = None,
    f: Chosen = [],  # noqa: B006 - FastAPI copies it
) -> PageQuestion:
    """Read the question of an address; raise Problem for a box, FilterError for a filter."""
    question = Question(
        id, query, parse_box(box), where_of(where, f), PAGE_SIZE, text, objects=objects, object=object, mask=mask
    )
    if ids:
        question = replace(question, ids=tuple(map(int, ids.split(","))))
    return PageQuestion(question, where, f)


Asked = Annotated[PageQuestion, Depends(page_question)]


@router.get("/")
async def home(
    request: Request, asked: Asked, cursor: Text = None, seed: Annotated[int, Query(ge=0, le=1 << 31)] = 0
) -> Response:
    """Show the search: the query, or where to drop one, and what was found."""
    state = visit(request)
    question = asked.question
    labels = await state.light.run(lambda: _labels_and_tags(state))
    shared: dict[str, Any] = {
        "where": asked.where,
        "chosen": asked.chosen,
        "facets": facets(
            await state.light.run(lambda: counts_within(state.library, asked.where, asked.chosen)), asked.chosen
        ),
        "labels": labels,
        "words": await state.light.run(lambda: "text" in state.library.embedder.spec.tasks),
        "text": question.words,
    }
    if question.given:
        return await _results(request, asked, cursor, shared)
    picks = await state.light.run(lambda: _picks(state, question.where, seed))
    return await render_page(
        request, "home.html", picks=cards_of_records(picks), seed=seed, urls=state.settings.urls, **shared
    )


def _labels_and_tags(state: State) -> dict[str, dict[str, int]]:
    """Return what can be filtered by: the values of labels, and tags, with how many pictures have each."""
    labels, tags = state.labels(), state.tags()
    return {**labels, TAG: {**labels.get(TAG, {}), **tags}} if tags else labels


async def _results(request: Request, asked: PageQuestion, cursor: str | None, shared: dict[str, Any]) -> Response:
    state, question = visit(request), asked.question
    page = await answer(state, question, cursor)
    result = page.result
    cards = await state.light.run(lambda: cards_of_hits(state, result.hits))
    extractor = state.library.extractor
    return await render_page(
        request,
        "search.html",
        objects=await objects_of(state, question) if question.pictured and extractor.can_detect else [],
        masks=extractor.mask_choices() if question.pictured else (),
        outline=result.asked.get("mask", {}).get("outline", ()),
        among_wholes="advice" in result.asked.get("mask", {}),
        shown_box=box_text(result.asked.get("box")),
        page=page,
        took=duration(result),
        total=await state.light.run(lambda: _total(state, question)),
        unknown=unknown_labels(asked.where, shared["labels"]) if not cards else (),
        cards=cards,
        several=await state.light.run(lambda: cards_of_records(state.library.catalogue.pictures(question.ids))),
        sections_found=sections_of(cards),
        nothing=getattr(result, "answered", None) is False,
        subject=await subject_of(state, question) if question.pictured else None,
        question=question,
        box=box_text(question.box),
        more=None if page.next_cursor is None else address("/", **asked.params, cursor=page.next_cursor),
        reason=asked.params,
        **shared,
    )


@router.get("/copies")
async def copy_cards(request: Request, id: Id = None, query: Token = None) -> Response:  # noqa: A002
    """Return the copies of a query as cards, which the search puts before what is only alike."""
    state = visit(request)
    asked = await subject(state, id, query)
    found = await state.reading(asked).run(lambda: state.copies.find(asked, k=COPIES))
    cards = await state.light.run(lambda: cards_of_hits(state, found.hits))
    compare = {"a": id} if query is None else {"query": query}
    reason = {"id": id, "query": query, "copies": "1"}
    return await render_page(request, "copies.html", sections_found=sections_of(cards), compare=compare, reason=reason)


@router.get("/why")
async def why(
    request: Request, asked: Asked, hit: Annotated[int, Query(ge=0, le=MAX_ID)], copies: bool = False
) -> Response:
    """Say why a picture was found: a sentence, both pictures, figures with their units, raw values."""
    state, question = visit(request), asked.question
    if not question.given:
        raise Problem(400, "bad_request", "say what was searched with: `id`, `query` or `text`")
    found = await (_copy_of(state, question, hit) if copies else hit_of(state, question, hit))
    (card,) = await state.light.run(lambda: cards_of_hits(state, [found]))
    return await render_page(
        request,
        "why.html",
        c=card,
        copies=copies,
        subject=await subject_of(state, question) if question.pictured else None,
        asked_box=found.evidence.get("query_region") or found.evidence.get("matched_query") or question.box,
        found_box=found.region or found.evidence.get("matched_reference"),
        back=address("/", **asked.params),
        compare=_compare(question, hit),
    )


async def hit_of(state: State, question: Question, id: int) -> Hit:  # noqa: A002
    """Return the hit on one picture, from the pages of an answer; raise Problem 404 where it is none."""
    page = await answer(state, question)
    while True:
        for hit in page.result.hits:
            if hit.id == id:
                return hit
        if page.next_cursor is None:
            raise Problem(404, "not_found", f"picture {id} is no answer to this question")
        page = await answer(state, question, page.next_cursor)


async def _copy_of(state: State, question: Question, id: int) -> Hit:  # noqa: A002
    asked = await subject(state, question.id, question.query)
    found = await state.reading(asked).run(lambda: state.copies.find(asked, k=COPIES))
    for hit in found.hits:
        if hit.id == id:
            return hit
    raise Problem(404, "not_found", f"picture {id} is no copy of what was asked about")


def _compare(question: Question, hit: int) -> str | None:
    if not question.pictured:
        return None
    return address("/compare", a=question.id, query=question.query, b=hit)


def _picks(state: State, where: str | None, seed: int) -> list[PictureRecord]:
    """Return pictures from all over the library, others with each seed."""
    ids = state.library.catalogue.live_ids(state.library.catalogue.condition(where)).tolist()
    chosen = random.Random(seed).sample(ids, min(PICKS, len(ids)))  # noqa: S311 - nothing secret
    return state.library.catalogue.pictures(chosen)


def _total(state: State, question: Question) -> int:
    """Return among how many pictures a question is asked; the query itself is not among them."""
    catalogue, where = state.library.catalogue, question.where
    condition = catalogue.condition(where)
    found = len(catalogue.live_ids(condition)) if where else state.counts()["pictures"]
    return found - (0 if question.id is None else len(catalogue.meeting([question.id], condition)))
