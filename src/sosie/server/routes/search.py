"""Search by a picture of the library, by a kept query or by an upload, whole or by a box."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from fastapi import Path as PathParam
from pydantic import BaseModel, Field

from sosie.server.answers import JPEG, jpeg_response, json_response
from sosie.server.auth import Reader
from sosie.server.params import (
    BoxField,
    BoxText,
    ClassFirstField,
    ClassFirstFlag,
    Cursor,
    CursorField,
    IndexParams,
    IndexParamsField,
    MaskField,
    MaskText,
    MinClass,
    MinClassField,
    MinLikeness,
    MinLikenessField,
    ObjectField,
    ObjectNumber,
    ObjectsField,
    ObjectsFlag,
    PageSize,
    ShareField,
    ShareText,
    Where,
    WhereField,
    parse_box,
)
from sosie.server.problems import Problem, responses
from sosie.server.queries import KeptQuery
from sosie.server.schemas import MAX_ID, ObjectsOut, QueryOut, SearchOut, UrlBody
from sosie.server.searching import Page, Question, answer, objects_of
from sosie.server.state import State
from sosie.server.uploads import find_upload, keep_upload, look_at, named_after, upload_bytes

router = APIRouter(prefix="/api/v1", tags=["search"], responses=responses(404))

_ABOUT_TEXT = "Words to search with, added to the picture where there is one; sentences where the model knows them."
_VERIFY = "Say which hits are copies and how surely, where local features are stored; false answers sooner."
Token = Annotated[str, PathParam(pattern="^[0-9a-f]{64}$", description="The token of a kept query.")]


@router.get("/search", response_model=SearchOut)
async def search(
    state: Reader,
    *,
    id: Annotated[int | None, Query(ge=0, le=MAX_ID, description="A picture of the library.")] = None,  # noqa: A002
    query: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="A kept query.")] = None,
    text: Annotated[str, Query(max_length=2000, description=_ABOUT_TEXT)] = "",
    box: BoxText = "",
    objects: ObjectsFlag = False,
    object: ObjectNumber = None,  # noqa: A002
    mask: MaskText = "",
    where: Where = "",
    k: PageSize = 10,
    verify: Annotated[bool, Query(description=_VERIFY)] = True,
    index_params: IndexParams = "",
    class_first: ClassFirstFlag = False,
    min_class: MinClass = 0.5,
    min_likeness: MinLikeness = None,
    share: ShareText = "",
    cursor: Cursor = "",
) -> Response:
    """Find what looks like a picture of the library (`id`), an upload that was kept (`query`), or words (`text`)."""
    question = Question(
        id,
        query,
        parse_box(box),
        where,
        k,
        text,
        verify,
        objects=objects,
        object=object,
        mask=mask,
        index_params=index_params,
        class_first=class_first,
        min_class=min_class,
        min_likeness=min_likeness,
        share=share,
    )
    return _page(await answer(state, question, cursor))


class SearchForm(BaseModel):
    """The form of a search by upload. As ten fields of FastAPI's own it took the event loop a seventh longer."""

    picture: Annotated[UploadFile, Field(description="The picture to search with.")]
    text: Annotated[str, Field(max_length=2000, description=_ABOUT_TEXT)] = ""
    box: BoxField = ""
    objects: ObjectsField = False
    object: ObjectField = None
    mask: MaskField = ""
    where: WhereField = ""
    k: Annotated[int, Field(ge=1, le=200)] = 10
    verify: Annotated[bool, Field(description=_VERIFY)] = True
    index_params: IndexParamsField = ""
    class_first: ClassFirstField = False
    min_class: MinClassField = 0.5
    min_likeness: MinLikenessField = None
    share: ShareField = ""
    cursor: CursorField = ""

    @property
    def question(self) -> Question:
        """What is asked, but for the picture."""
        return Question(
            box=parse_box(self.box),
            where=self.where,
            k=self.k,
            text=self.text,
            verify=self.verify,
            objects=self.objects,
            object=self.object,
            mask=self.mask,
            index_params=self.index_params,
            class_first=self.class_first,
            min_class=self.min_class,
            min_likeness=self.min_likeness,
            share=self.share,
        )


@router.post("/search", response_model=SearchOut)
async def search_by_upload(
    state: Reader, form: Annotated[SearchForm, Form(media_type="multipart/form-data")]
) -> Response:
    """Find what looks like the picture that is sent along."""
    data = await upload_bytes(form.picture)
    with named_after(form.picture):
        return _page(await answer(state, form.question, form.cursor, upload=data))


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
async def keep(state: Reader, picture: Annotated[UploadFile, File()]) -> QueryOut:
    """Keep a picture to search with: one upload for several searches, boxes and pages."""
    kept = await keep_upload(state, await upload_bytes(picture))
    with named_after(picture):
        return await _described(state, kept)


@router.post("/fetch", status_code=201)
async def keep_from_url(state: Reader, body: UrlBody) -> QueryOut:
    """Fetch a picture from a public address and keep it to search with."""
    if not state.settings.urls:
        raise Problem(403, "urls_forbidden", "this server fetches no addresses: send the picture itself")
    return await _described(state, await keep_upload(state, await state.remote.fetch(body.url)))


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


def _page(page: Page) -> Response:
    # Written as it stands: checking thousands of hits against the model would cost more than the search.
    return json_response({**page.result.to_json(), "next_cursor": page.next_cursor, "ends_at": page.ends_at})
