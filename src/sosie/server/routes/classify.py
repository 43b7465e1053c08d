"""Which class a picture is of, by the library's classifier."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from sosie.server.answers import json_response
from sosie.server.auth import Reader
from sosie.server.bodies import Given, reading
from sosie.server.forms import ClassifyBody, ClassifyFields
from sosie.server.problems import responses
from sosie.server.routes.copies import IdQuery, TokenQuery, subject, subject_of_body
from sosie.server.schemas import ClassifyOut
from sosie.server.state import State
from sosie.server.uploads import named_after

router = APIRouter(prefix="/api/v1", tags=["search"], responses=responses(404, 415))

_ABOUT_K = "How many classes, likeliest first."


@router.get("/classify", response_model=ClassifyOut)
async def classify(
    state: Reader,
    *,
    id: IdQuery = None,  # noqa: A002
    query: TokenQuery = None,
    k: Annotated[int, Query(ge=1, le=1000, description=_ABOUT_K)] = 10,
) -> Response:
    """Say which classes a picture of the library (`id`) or a kept query is of; 400 without a classifier."""
    return await _classified(state, await subject(state, id, query), str(query or id), k)


@router.post("/classify", response_model=ClassifyOut)
async def classify_picture(
    state: Reader, given: Annotated[Given[ClassifyFields], Depends(reading(ClassifyFields, ClassifyBody))]
) -> Response:
    """Say which classes the picture that is sent along is of; 400 without a classifier."""
    with named_after(given.name):
        asked = await subject_of_body(state, given)
        name = str(asked) if isinstance(asked, int) else hashlib.sha256(asked).hexdigest()
        return await _classified(state, asked, name, given.options.k)


async def _classified(state: State, asked: bytes | int, name: str, k: int) -> Response:
    found = await state.reading(asked).run(lambda: state.library.classify(asked))
    return json_response({**found.to_json(k), "query": name})
