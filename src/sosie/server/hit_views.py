"""What a program needs to show a hit: the address of its thumbnail, and the size of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sosie.server.state import State

__all__ = ["with_views"]


async def with_views(state: State, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an answer whose hits say how large each picture is, and where its thumbnail is."""
    hits = document["hits"]
    ids = [hit["id"] for hit in hits]
    sizes = state.sizes.known(ids)
    if sizes is None:
        sizes = await state.light.run(lambda: state.sizes.of(ids, state.library.catalogue))
    return {**document, "hits": [{**hit, **_view(hit["id"], sizes.get(hit["id"]))} for hit in hits]}


def _view(id_: int, size: tuple[int, int] | None) -> dict[str, Any]:
    width, height = size or (None, None)
    return {"thumbnail_url": f"/api/v1/pictures/{id_}/thumbnail", "width": width, "height": height}
