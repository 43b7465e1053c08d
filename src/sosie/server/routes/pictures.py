"""The pictures of the library: list, add, look at, label, delete."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Depends, Query, Response

from sosie.server.answers import JPEG, NOT_MODIFIED, jpeg_response, json_response, original_response, record_response
from sosie.server.auth import Admin, Reader, Writer
from sosie.server.bodies import Given, reading
from sosie.server.cursors import decode_cursor, decode_place, encode_cursor
from sosie.server.forms import AddBody, AddFields
from sosie.server.params import Cursor, Descending, PageSize, PictureId, Where
from sosie.server.problems import Problem, responses
from sosie.server.schemas import Added, LabelsBody, LabelsOut, PictureOut, PicturesOut
from sosie.server.state import State
from sosie.server.uploads import named_after

router = APIRouter(prefix="/api/v1", tags=["pictures"], responses=responses(404, 415))

_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ABOUT_START = "The position of the first in the order, in place of a cursor."
AnyOrder = Annotated[
    Literal["id", "added", "taken", "size", "name"],
    Query(description="By id, by when they were added or taken (EXIF), by file size, or by name."),
]


@router.get("/pictures", response_model=PicturesOut)
async def pictures(
    state: Reader,
    *,
    where: Where = "",
    k: PageSize = 50,
    cursor: Cursor = "",
    order: AnyOrder = "id",
    descending: Descending = False,
    start: Annotated[int | None, Query(ge=0, le=1 << 31, description=_ABOUT_START)] = None,
) -> Response:
    """List the pictures of the library, oldest first or in another order."""
    if order != "id":
        return json_response(await _ordered(state, (order, where, descending), k=k, cursor=cursor, start=start))
    if descending or start is not None:
        raise Problem(400, "bad_request", "`descending` and `start` go with another `order` than `id`: added")
    after = decode_cursor(cursor, "pictures", where)
    chosen = where if where.strip() else None
    rows = await state.light.run(lambda: state.library.pictures(where=chosen, limit=k, after=after))
    following = encode_cursor(rows[-1].id, "pictures", where) if len(rows) == k else None
    return json_response({"pictures": [row.to_json() for row in rows], "next_cursor": following})


async def _ordered(
    state: State, question: tuple[str, str, bool], *, k: int, cursor: str, start: int | None
) -> dict[str, Any]:
    """Return a page of an order, cut where the cursor or ``start`` says; raise Problem for an order that is gone."""
    order, where, descending = question
    at, epoch = decode_place(cursor, "ordered", *question)
    at = at if start is None else start
    epoch, ids = await state.light.run(
        lambda: state.ordered(order, where, descending=descending, epoch=epoch if cursor else None)
    )
    rows = await state.light.run(lambda: state.library.catalogue.pictures(ids[at : at + k].tolist()))
    more = at + k < len(ids)
    following = encode_cursor(at + k, "ordered", *question, epoch=epoch) if more else None
    return {"pictures": [row.to_json() for row in rows], "next_cursor": following, "total": len(ids)}


@router.post("/pictures", status_code=201, responses={200: {"model": Added, "description": "It was there already."}})
async def add_picture(
    state: Writer,
    response: Response,
    given: Annotated[Given[AddFields | AddBody], Depends(reading(AddFields, AddBody))],
) -> Added:
    """Add one picture; it can be found as soon as this answers."""
    values, data = given.options.values, given.picture
    with named_after(given.name):
        content, status = await state.work.run(lambda: state.library.add_bytes(data, labels=values))
    response.status_code = 200 if status == "known" else 201
    return Added(id=content, status="known" if status == "known" else "indexed")


@router.get("/pictures/{id}", response_model=PictureOut, responses=NOT_MODIFIED)
async def picture(state: Reader, id: PictureId) -> Response:  # noqa: A002
    """Return what is known of one picture."""
    record = await state.light.run(lambda: state.library.picture(id))
    return record_response(record.to_json())


@router.delete("/pictures/{id}", status_code=204, response_class=Response)
async def delete_picture(state: Admin, id: PictureId) -> None:  # noqa: A002
    """Remove a picture from the library; files outside the library's folder are not touched."""
    await state.light.run(lambda: state.library.picture(id))
    await state.work.run(lambda: state.library.remove([id]))


@router.put("/pictures/{id}/labels", response_model=PictureOut)
async def set_labels(state: Writer, id: PictureId, body: LabelsBody) -> Response:  # noqa: A002
    """Set labels of a picture, and remove those given as null; the others stay."""

    def change() -> Any:
        state.library.set_labels(id, body.values)
        return state.library.picture(id)

    record = await state.light.run(change)
    return json_response(record.to_json())


@router.get("/pictures/{id}/thumbnail", response_class=Response, responses=JPEG)
async def thumbnail(state: Reader, id: PictureId) -> Response:  # noqa: A002
    """Return a picture at 256 pixels, re-encoded and without metadata."""
    kept = await state.light.run(lambda: state.library.pictures.stored_thumbnail(id))
    if kept is not None:
        return jpeg_response(kept)
    return jpeg_response(await state.sources.run(lambda: state.library.thumbnail(id)))


@router.get("/pictures/{id}/preview", response_class=Response, responses=JPEG)
async def preview(state: Reader, id: PictureId) -> Response:  # noqa: A002
    """Return a picture at up to 1024 pixels, re-encoded and without metadata."""

    def make() -> bytes:
        record = state.library.picture(id)
        return state.previews.of(record.sha256, state.library.read(id)).data

    return jpeg_response(await state.sources.run(make))


@router.get(
    "/pictures/{id}/original",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": _BYTES},
        206: {"description": "The part that `Range` asks for.", "content": _BYTES},
        **NOT_MODIFIED,
        **responses(416),
    },
)
async def original(state: Reader, id: PictureId) -> Response:  # noqa: A002
    """Return the file itself, as a download, or a part of it (`Range: bytes=0-1023`)."""
    record = await state.light.run(lambda: state.library.picture(id))
    file = await state.sources.run(lambda: state.library.pictures.open_original(id))
    name = PurePosixPath(unquote(urlsplit(record.uris[0]).path)).name if record.uris else ""
    return original_response(file, name or f"picture-{id}", sha256=record.sha256)


@router.get("/labels", response_model=LabelsOut)
async def labels(state: Reader) -> Response:
    """Count the pictures of each label value."""
    return json_response({"labels": await state.light.run(state.library.labels)})
