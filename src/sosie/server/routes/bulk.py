"""What is done to many pictures at once: their ids in an order, labels, removal, a list as CSV."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from sosie.catalogue.deeds import write_down
from sosie.present.csv import pictures_csv
from sosie.server.answers import json_response
from sosie.server.auth import Admin, Reader, Writer
from sosie.server.params import Descending, Order, Where
from sosie.server.places import shown_uri
from sosie.server.problems import responses, text_content
from sosie.server.schemas import MOST_SELECTED, BulkLabelsBody, BulkOut, IdsBody, IdsOut
from sosie.server.state import State

router = APIRouter(prefix="/api/v1", tags=["pictures"], responses=responses(415))

Start = Annotated[int, Query(ge=0, le=1 << 31, description="The position of the first.")]
Many = Annotated[int, Query(ge=1, le=MOST_SELECTED, description="How many to give.")]


@router.get("/picture-ids", response_model=IdsOut)
async def picture_ids(
    state: Reader,
    *,
    order: Order = "added",
    descending: Descending = True,
    where: Where = "",
    start: Start = 0,
    k: Many = 1000,
) -> Response:
    """Give the ids of pictures in an order, from any position, and how many there are in all."""
    ids = await state.light.run(lambda: state.ordered(order, where, descending=descending)[1])
    return json_response({"ids": ids[start : start + k].tolist(), "total": len(ids)})


@router.post("/bulk/labels")
async def label_many(state: Writer, body: BulkLabelsBody) -> BulkOut:
    """Set labels of many pictures, and remove those given as null, all or none; the others stay."""

    def change() -> int:
        known = _known(state, body.ids)
        state.library.catalogue.edit_labels(known, body.values)
        return len(known)

    return BulkOut(changed=await state.work.run(change))


@router.post("/bulk/remove")
async def remove_many(state: Admin, body: IdsBody) -> BulkOut:
    """Remove many pictures from the library; files outside the library's folder are not touched."""
    return BulkOut(changed=await state.work.run(lambda: state.library.remove(list(dict.fromkeys(body.ids)))))


@router.post(
    "/bulk/csv",
    response_class=Response,
    responses={200: {"description": "A list.", "content": text_content("text/csv")}},
)
async def list_many(state: Reader, body: IdsBody) -> Response:
    """Give what is known of many pictures as CSV, safe to open in a spreadsheet."""

    def listed() -> str:
        records = state.library.catalogue.pictures(list(dict.fromkeys(body.ids)))
        write_down(state.library.catalogue, "export", {"pictures": len(records), "as": "csv"})
        return pictures_csv(replace(one, uris=tuple(map(shown_uri, one.uris))) for one in records)

    text = await state.work.run(listed)
    headers = {"Content-Disposition": 'attachment; filename="pictures.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _known(state: State, ids: list[int]) -> list[int]:
    """Return those of some ids that are of pictures, each once."""
    return [record.id for record in state.library.catalogue.pictures(list(dict.fromkeys(ids)))]
