"""The page of duplicates: groups side by side, what differs, which files to keep, and the plan for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from sosie.server.auth import scope_of
from sosie.server.keys import Scope
from sosie.server.reviews import cards_of_groups
from sosie.server.routes.pages import render_page, visit
from sosie.server.state import State

if TYPE_CHECKING:
    from sosie.copies.duplicates import DuplicateGroup
    from sosie.server.job import Job

router = APIRouter(include_in_schema=False)

GROUPS = 60  # on one page

Class = Annotated[Literal["bytes", "pixels", "reencodings", "edits"] | None, Query()]


@router.get("/duplicates")
async def duplicates(
    request: Request, same: Class = None, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Response:
    """Show the groups of copies inside the library, each with the file to keep and those that it makes superfluous."""
    from sosie.copies.review import class_of

    state = visit(request)
    groups = await state.sources.run(state.copies.groups)
    classes = Counter(class_of(group) for group in groups or ())
    chosen = [group for group in groups or () if same in (None, class_of(group))]
    pages = max(1, -(-len(chosen) // GROUPS))
    start = (min(page, pages) - 1) * GROUPS
    shown = await _cards(state, chosen[start : start + GROUPS])
    scope = scope_of(request, state)
    return await render_page(
        request,
        "duplicates.html",
        looked=groups is not None,
        groups=shown,
        start=start,
        total=len(chosen),
        all=sum(classes.values()),
        classes=classes,
        same=same,
        page=min(page, pages),
        pages=pages,
        job=await _running(state),
        writer=scope is not None and scope.includes(Scope.WRITE),
        admin=scope is Scope.ADMIN and state.settings.paths,
    )


async def _cards(state: State, groups: Sequence[DuplicateGroup]) -> list[dict[str, object]]:
    decided = {(one.a, one.b): one.decision for one in await state.light.run(state.library.catalogue.decisions)}
    return await state.sources.run(lambda: cards_of_groups(groups, decided))


async def _running(state: State) -> Job | None:
    jobs = await state.light.run(state.jobs.list)
    return next((job for job in jobs if job.kind in ("duplicates", "apply", "undo") and not job.state.over), None)
