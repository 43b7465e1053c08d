"""Parameters that several routes take, and how their text becomes values."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from fastapi import Path, Query

from sosie.server.problems import Problem
from sosie.server.schemas import MAX_ID
from sosie.types import Box

__all__ = [
    "BoxText",
    "ClassFirstFlag",
    "Cursor",
    "Descending",
    "IndexParams",
    "MaskText",
    "MinClass",
    "MinLikeness",
    "ObjectNumber",
    "ObjectsFlag",
    "Order",
    "PageSize",
    "PictureId",
    "ShareText",
    "Verify",
    "Where",
    "Words",
    "parse_box",
]

PictureId = Annotated[int, Path(ge=0, le=MAX_ID, description="The picture's id.", examples=[17])]
PageSize = Annotated[int, Query(ge=1, le=200, description="How many to give on this page.")]
# Texts with a grammar of their own; the formats are names, by which tests know what to generate.
_BOX: dict[str, Any] = {"max_length": 200, "json_schema_extra": {"format": "sosie-box"}}
_CURSOR: dict[str, Any] = {"max_length": 200, "json_schema_extra": {"format": "sosie-cursor"}}
_WHERE: dict[str, Any] = {"max_length": 2000, "json_schema_extra": {"format": "sosie-filter"}}
_ABOUT_BOX = "Search with this part of the query: x, y, width and height, each 0 to 1."
_ABOUT_CURSOR = "`next_cursor` of the page before; the other parameters stay."
_ABOUT_WHERE = "Only pictures whose labels fit."

BoxText = Annotated[str, Query(description=_ABOUT_BOX, examples=["0.1,0.2,0.5,0.5"], **_BOX)]
Cursor = Annotated[str, Query(description=_ABOUT_CURSOR, **_CURSOR)]
Where = Annotated[str, Query(description=_ABOUT_WHERE, examples=["label = 'cat'"], **_WHERE)]
_ABOUT_TEXT = "Words to search with, added to the picture where there is one; sentences where the model knows them."
_ABOUT_VERIFY = "Say which hits are copies and how surely, where local features are stored; false answers sooner."
Words = Annotated[str, Query(max_length=2000, description=_ABOUT_TEXT)]
Verify = Annotated[bool, Query(description=_ABOUT_VERIFY)]
_ABOUT_OBJECTS = "Search by every object in the query; the server needs a detector."
_ABOUT_OBJECT = "Search by one object of the query, by its number in `/objects`."
_ABOUT_MASK = "Keep a class of the server's segmenter, such as `person`; `!person` drops it."
ObjectsFlag = Annotated[bool, Query(description=_ABOUT_OBJECTS)]
ObjectNumber = Annotated[int | None, Query(ge=1, le=100, description=_ABOUT_OBJECT)]
MaskText = Annotated[str, Query(max_length=200, description=_ABOUT_MASK)]

_ABOUT_CLASS = "Search within the class that the library's classifier gives the query; `asked.class` says which."
_ABOUT_MIN_CLASS = "Search all pictures where the class is less probable than this."
ClassFirstFlag = Annotated[bool, Query(description=_ABOUT_CLASS)]
_ABOUT_LIKENESS = "Leave out what is only alike, with a score below this; without it nothing is left out."
MinLikeness = Annotated[float | None, Query(ge=-1, le=1, description=_ABOUT_LIKENESS)]
MinClass = Annotated[float, Query(ge=0, le=1, description=_ABOUT_MIN_CLASS)]

_ABOUT_INDEX = "Search parameters of the index for this question alone, with commas between: ef=200."
_INDEX: dict[str, Any] = {"max_length": 200, "json_schema_extra": {"format": "sosie-index-params"}}
IndexParams = Annotated[str, Query(description=_ABOUT_INDEX, **_INDEX)]

Order = Annotated[
    Literal["added", "taken", "size", "name"],
    Query(description="By when they were added, by when they were taken (EXIF), by file size, or by name."),
]
Descending = Annotated[bool, Query(description="The last first: the newest, the largest.")]
_ABOUT_SHARE = "How much whole pictures and parts count: whole=0,mask=1; what is not named, nothing."
_SHARE: dict[str, Any] = {"max_length": 200, "json_schema_extra": {"format": "sosie-shares"}}
ShareText = Annotated[str, Query(description=_ABOUT_SHARE, examples=["whole=0,mask=1"], **_SHARE)]

_NUMBER = re.compile(r"\s*(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d{1,3})?\s*", re.ASCII)
_SLACK = 1e-6


def parse_box(text: str | None) -> Box | None:
    """Return the box that ``x,y,width,height`` says; raise Problem 400 where it is not inside the picture."""
    if text is None or not text.strip():
        return None
    parts = text.split(",")
    if len(parts) == 4 and all(_NUMBER.fullmatch(part) for part in parts):
        x, y, width, height = (float(part) for part in parts)
        inside = x + width <= 1 + _SLACK and y + height <= 1 + _SLACK
        if width > 0 and height > 0 and inside and all(map(math.isfinite, (x, y, width, height))):
            return (x, y, width, height)
    raise Problem(400, "bad_box", "a box is x,y,width,height, each 0 to 1 and inside the picture: 0.1,0.2,0.5,0.5")
