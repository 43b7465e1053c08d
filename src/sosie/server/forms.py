"""What comes along with a picture that is sent: the options of an operation, and the picture itself in JSON.

Options may stand in the address, in a form or in JSON; there is one model of them for all three.
"""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from sosie.server.params import (
    BoxText,
    ClassFirstFlag,
    Cursor,
    IndexParams,
    MaskText,
    MinClass,
    MinLikeness,
    ObjectNumber,
    ObjectsFlag,
    PageSize,
    ShareText,
    Verify,
    Where,
    Words,
    parse_box,
)
from sosie.server.problems import Problem
from sosie.server.schemas import MAX_ID, LabelsBody, LabelsIn
from sosie.server.searching import Question
from sosie.types import LabelValue

__all__ = [
    "AddBody",
    "AddFields",
    "ClassifyBody",
    "ClassifyFields",
    "CopiesBody",
    "CopiesFields",
    "NoFields",
    "PictureBody",
    "SearchBody",
    "SearchFields",
    "SearchQuery",
    "SubjectBody",
]


_ABOUT_URL = "A public address to fetch it from."
_ABOUT_BASE64 = "Its bytes; `data:image/…;base64,` may stand before them."


class NoFields(BaseModel):
    """Nothing but the picture."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PictureBody(NoFields):
    """A picture, as its bytes or by its address."""

    url: Annotated[str | None, Field(min_length=1, max_length=4000, description=_ABOUT_URL)] = None
    base64: Annotated[str | None, Field(min_length=1, description=_ABOUT_BASE64)] = None


class KnownFields(NoFields):
    """What is asked about and needs no sending: a picture of the library, or a kept query."""

    id: Annotated[int | None, Field(ge=0, le=MAX_ID, description="A picture of the library.")] = None
    query: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$", description="A kept query.")] = None


class SubjectBody(KnownFields, PictureBody):
    """What is asked about: a picture that is sent or fetched, one of the library, or a kept query."""

    model_config = ConfigDict(json_schema_extra={"example": {"url": "https://example.org/photo.jpg"}})


class SearchFields(NoFields):
    """How to search."""

    text: Words = ""
    box: BoxText = ""
    objects: ObjectsFlag = False
    object: ObjectNumber = None
    mask: MaskText = ""
    where: Where = ""
    k: PageSize = 10
    verify: Verify = True
    index_params: IndexParams = ""
    class_first: ClassFirstFlag = False
    min_class: MinClass = 0.5
    min_likeness: MinLikeness = None
    share: ShareText = ""
    cursor: Cursor = ""

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


class SearchQuery(SearchFields, KnownFields):
    """A search, in an address."""


class SearchBody(SearchFields, SubjectBody):
    """A search, as JSON."""


class CopiesFields(NoFields):
    """How many copies to give."""

    k: Annotated[int, Query(ge=1, le=50, description="How many to give.")] = 10


class CopiesBody(CopiesFields, SubjectBody):
    """A question for copies, as JSON."""


class ClassifyFields(NoFields):
    """How many classes to give."""

    k: Annotated[int, Query(ge=1, le=1000, description="How many classes, likeliest first.")] = 10


class ClassifyBody(ClassifyFields, SubjectBody):
    """A question for classes, as JSON."""


class AddFields(NoFields):
    """What is known of a picture that is added."""

    labels: Annotated[
        str,
        Query(
            max_length=20_000, description='As JSON: {"label": "boat"}', json_schema_extra={"format": "sosie-labels"}
        ),
    ] = "{}"

    @property
    def values(self) -> dict[str, LabelValue]:
        """The labels to set; raise Problem 422 for what is none."""
        try:
            return _values(LabelsBody.model_validate({"labels": json.loads(self.labels)}))
        except (ValueError, RecursionError):
            raise Problem(
                422, "bad_labels", 'labels are a JSON object of texts, numbers or lists: {"label": "boat"}'
            ) from None


class AddBody(PictureBody):
    """A picture to add, as JSON, and its labels."""

    labels: LabelsIn = {}

    @property
    def values(self) -> dict[str, LabelValue]:
        """The labels to set."""
        return _values(LabelsBody(labels=self.labels))


def _values(body: LabelsBody) -> dict[str, LabelValue]:
    return {name: value for name, value in body.values.items() if value is not None}
