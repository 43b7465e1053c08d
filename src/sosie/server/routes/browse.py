"""The page of all pictures: in an order, narrowed by filters; plain pages, which a script makes one long wall."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from sosie.server.answers import json_response
from sosie.server.auth import scope_of
from sosie.server.keys import Scope
from sosie.server.params import Descending, Order, PageSize
from sosie.server.routes.pages import Chosen, Text, render_page, visit
from sosie.server.schemas import MOST_SELECTED
from sosie.server.views import address, cards_of_records, facets, unknown_labels, where_of
from sosie.types import TAKEN

router = APIRouter(include_in_schema=False)

PAGE = 60  # pictures of a page without scripts

Date = Annotated[str, Query(pattern=r"^(\d{4}-\d\d-\d\d)?$")]


@router.get("/browse")
async def browse(
    request: Request,
    *,
    order: Order = "added",
    descending: Descending = True,
    where: Text = None,
    f: Chosen = [],  # noqa: B006 - FastAPI copies it
    dates: Literal["added", "taken"] = "added",
    since: Date = "",
    until: Date = "",
    page: Annotated[int, Query(ge=1, le=1 << 31)] = 1,
) -> Response:
    """Show all pictures that fit, newest first unless something else is asked."""
    state = visit(request)
    narrowed = " and ".join(part for part in (where_of(where, f), *_dates(dates, since, until)) if part)
    _, ids = await state.light.run(lambda: state.ordered(order, narrowed, descending=descending))
    labels = await state.light.run(state.labels)
    pages = max(1, -(-len(ids) // PAGE))
    at = min(page, pages)
    records = await state.light.run(lambda: state.library.catalogue.pictures(ids[(at - 1) * PAGE : at * PAGE].tolist()))
    params = {"order": order, "descending": str(descending).lower(), "dates": dates, "since": since, "until": until}
    scope = scope_of(request, state)
    return await render_page(
        request,
        "browse.html",
        cards=cards_of_records(records),
        total=len(ids),
        all_of=narrowed,
        most=MOST_SELECTED,
        where=where,
        chosen=f,
        facets=facets(labels, f),
        labels=labels,
        unknown=unknown_labels(where, labels) if not len(ids) else (),
        order=order,
        descending=descending,
        params=params,
        page=at,
        pages=pages,
        link=_link(params, f, where),
        writer=scope is not None and scope.includes(Scope.WRITE),
        admin=scope is Scope.ADMIN,
    )


@router.get("/browse/rows")
async def rows(
    request: Request,
    *,
    order: Order = "added",
    descending: Descending = True,
    where: Text = None,
    start: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    k: PageSize = 200,
) -> Response:
    """Give the ids and names of the pictures at some positions: what the wall shows of each."""
    state = visit(request)
    _, ids = await state.light.run(lambda: state.ordered(order, where or "", descending=descending))
    chosen = ids[start : start + k].tolist()
    records = await state.light.run(lambda: state.library.catalogue.pictures(chosen))
    return json_response([[card.id, card.name] for card in cards_of_records(records)])


def _dates(by: str, since: str, until: str) -> list[str]:
    """Return the terms of a filter for pictures that were added or taken from one day to another, both included."""
    field = {"added": "added", "taken": TAKEN}[by]
    return [f"{field} {sign} '{day}'" for sign, day in ((">=", since), ("<=", until)) if day]


def _link(params: dict[str, Any], chosen: list[str], where: str | None) -> Any:
    """Return how the page's links are made: the same question with something else in it."""

    def link(**other: Any) -> str:
        return address("/browse", **{**params, "f": chosen, "where": where, **other})

    return link
