"""The map of the collection: its pictures on a plane, coloured by a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from sosie.server.answers import json_response
from sosie.server.auth import Reader
from sosie.server.problems import responses
from sosie.server.projection import Points
from sosie.server.schemas import MapOut
from sosie.server.state import State
from sosie.types import LabelValue

router = APIRouter(prefix="/api/v1", tags=["map"], responses=responses())

MOST_VALUES = 40  # colours that a label may ask for; the rest is "other"


@router.get("/map", response_model=MapOut)
async def collection_map(
    state: Reader,
    label: Annotated[str | None, Query(max_length=100, description="Colour by this label.")] = None,
) -> Response:
    """Return every picture as a point, alike ones near each other (two main axes of their vectors)."""
    return json_response(await state.work.run(lambda: _document(state, label)))


def _document(state: State, label: str | None) -> dict[str, Any]:
    points = _points(state)
    names = sorted(state.library.labels())
    chosen = label if label in names else (names[0] if names and label is None else None)
    values, colours = _colours(state, points, chosen)
    return {
        "ids": points.ids.tolist(),
        "x": [round(float(x), 4) for x in points.positions[:, 0]],
        "y": [round(float(y), 4) for y in points.positions[:, 1]],
        "colours": colours,
        "values": values,
        "label": chosen,
        "labels": names,
        "explained": round(points.explained, 4),
        "total": points.total,
    }


def _points(state: State) -> Points:
    key = state.library.catalogue.epoch()
    cached = state.map.peek(key)
    if cached is not None:
        return cached
    ids, vectors = state.library.vectors()
    return state.map.get(key, ids, vectors)


def _colours(state: State, points: Points, label: str | None) -> tuple[list[str], list[int]]:
    if label is None:
        return [], [-1] * len(points.ids)
    counts = state.library.labels()[label]
    values = sorted(counts, key=lambda value: (-counts[value], value))[:MOST_VALUES]
    place = {value: i for i, value in enumerate(values)}
    labels = state.library.catalogue.all_labels()
    return values, [_place(labels.get(int(id_), {}), label, place) for id_ in points.ids]


def _place(labels: Mapping[str, LabelValue], name: str, place: Mapping[str, int]) -> int:
    value = labels.get(name)
    first = value[0] if isinstance(value, tuple) and value else value
    return place.get(str(first), -1)
