"""A picture that comes along with a request, in whichever form: multipart, the body itself, or JSON.

Options stand beside it in the form or the JSON, or in the address.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from sosie.errors import BadPicture
from sosie.server.forms import PictureBody
from sosie.server.problems import Problem
from sosie.server.state import state_of
from sosie.server.strict import check_fields
from sosie.server.uploads import fetched, named_after

__all__ = ["FORM_LIMITS", "PICTURE", "Given", "PictureForms", "reading", "reading_of"]


class FormLimits(TypedDict):
    """How much a form may hold; sizes are bytes."""

    max_files: int
    max_fields: int
    max_part_size: int


FORM_LIMITS: FormLimits = {"max_files": 1, "max_fields": 16, "max_part_size": 64 * 1024}
PICTURE = "picture"  # the field of a form
MULTIPART = "multipart/form-data"
JSON = "application/json"
RAW = ("image/*", "application/octet-stream")
_LARGE = 1 << 20  # bytes of JSON that the event loop should not read itself
_OTHERWISE = (
    "send the picture as a form (curl -F picture=@photo.jpg), as the body itself "
    "(curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg), or as JSON "
    '(Content-Type: application/json, {"url": "https://…"} or {"base64": "…"})'
)

O = TypeVar("O", bound=BaseModel)  # noqa: E741 - the options


@dataclass(frozen=True, slots=True)
class Given(Generic[O]):
    """What a request brings: the options, and the bytes of a picture, or the id or token of one that is there."""

    options: O
    data: bytes | None = None
    name: str = ""  # of the picture's file
    id: int | None = None
    query: str | None = None

    @property
    def picture(self) -> bytes:
        """The bytes of the picture; raise Problem 400 where there is none."""
        if self.data is None:
            raise Problem(400, "bad_request", 'send a picture: "url" or "base64"')
        return self.data

    @property
    def subject(self) -> bytes | int | str:
        """What is asked about: bytes, an id, or the token of a kept query; raise Problem 400 where it is nothing."""
        for found in (self.data, self.id, self.query):
            if found is not None:
                return found
        raise Problem(400, "bad_request", 'say what is asked about: "url", "base64", "id" or "query"')


@dataclass(frozen=True, slots=True)
class PictureForms:
    """The forms in which an operation takes a picture: the model of its options, and that of JSON."""

    options: type[BaseModel]
    body: type[PictureBody]


def reading(options: type[O], body: type[PictureBody]) -> Callable[[Request], Awaitable[Given[O]]]:
    """Return a dependency that reads what a request brings; raise Problem 415 for a body of another type."""
    taken = PictureForms(options, body)

    async def read(request: Request) -> Given[O]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == MULTIPART:
            return await _form(request, taken)
        if kind == JSON:
            return await _json(request, taken)
        if kind in ("", RAW[1]) or kind.startswith("image/"):
            data = _some(await request.body(), "")
            return Given(_checked(options, request.query_params, "query"), data)
        raise Problem(415, "unsupported_media_type", _OTHERWISE, headers={"Accept": ", ".join((MULTIPART, JSON, *RAW))})

    read.taken = taken  # type: ignore[attr-defined]
    return read


def reading_of(dependency: object) -> PictureForms | None:
    """Return which forms a dependency reads; None for one that is no ``reading``."""
    return getattr(dependency, "taken", None)


async def _form(request: Request, taken: PictureForms) -> Given[Any]:
    async with request.form(**FORM_LIMITS) as form:
        check_fields(form, {PICTURE, *taken.options.model_fields})
        picture = form.get(PICTURE)
        if not isinstance(picture, UploadFile):
            raise Problem(
                422, "invalid_request", f"{PICTURE} has to be a file of the form: curl -F {PICTURE}=@photo.jpg"
            )
        name = picture.filename or ""
        options = _checked(taken.options, _together(request, _texts(form)), "body")
        return Given(options, _some(await picture.read(), name), name)


def _texts(form: FormData) -> dict[str, Any]:
    """Return the fields of a form but for the picture; an empty one is none."""
    return {name: value for name, value in form.items() if name != PICTURE and value != ""}


async def _json(request: Request, taken: PictureForms) -> Given[Any]:
    raw = await request.body()
    read = asyncio.to_thread(_body, taken.body, raw) if len(raw) > _LARGE else None
    body, data = _body(taken.body, raw) if read is None else await read
    if request.query_params:
        said = body.model_dump(exclude_unset=True, by_alias=True)
        body = _checked(taken.body, _together(request, said), "query")
    if body.url is not None:
        data = await fetched(state_of(request), body.url)
    return Given(body, data, id=getattr(body, "id", None), query=getattr(body, "query", None))


def _body(model: type[PictureBody], raw: bytes) -> tuple[PictureBody, bytes | None]:
    """Return the JSON of a body and the picture in it; raise RequestValidationError, Problem, BadPicture."""
    try:
        body = model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _invalid(error, "body") from None
    named = [name for name in ("url", "base64", "id", "query") if getattr(body, name, None) is not None]
    if len(named) > 1:
        raise Problem(400, "bad_request", f"{' and '.join(named)} are given: give one of them")
    return body, None if body.base64 is None else _some(_bytes(body.base64), "")


def _bytes(text: str) -> bytes:
    """Return the bytes of a text in base64, with or without the beginning of a ``data:`` address."""
    head, mark, rest = text.partition(";base64,")
    try:
        bare = rest if mark and head.startswith("data:") else text
        return binascii.a2b_base64(bare.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadPicture("not_base64", "the text is no base64: encode the bytes of the file anew") from None


def _together(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the address and of the body; raise Problem 422 for one that stands in both."""
    address = dict(request.query_params)
    for name in address:
        if name in body:
            raise Problem(422, "repeated_parameter", f"{name} stands in the address and in the body: give it once")
    return {**address, **body}


def _checked(model: type[O], values: Mapping[str, Any], where: str) -> O:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _invalid(error, where) from None


def _invalid(error: ValidationError, where: str) -> RequestValidationError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**each, "loc": (where, *each["loc"])} for each in found])


def _some(data: bytes, name: str) -> bytes:
    if not data:
        with named_after(name):
            raise BadPicture("empty", "the upload has no bytes: choose another file")
    return data
