"""Errors as RFC 9457 problem documents: one place that turns any failure into a status and a stable code."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from sosie import errors
from sosie.present.text import visible
from sosie.server.current import CURRENT, request_id
from sosie.server.places import HIDDEN, without_places

__all__ = [
    "MEDIA_TYPE",
    "PROBLEM_SCHEMA",
    "Answer",
    "Problem",
    "closing",
    "document",
    "install",
    "responses",
    "text_content",
]

Answer: TypeAlias = Callable[[Request, Exception], Awaitable[Response]]

MEDIA_TYPE = "application/problem+json"
_ROUTERS = "Not Found"  # what the router says of an address that it does not know
_LOG = logging.getLogger("sosie.server")

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; `detail` is for people and says what to do next.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "example": "urn:sosie:problem:bad_filter"},
        "title": {"type": "string", "example": "Bad Request"},
        "status": {"type": "integer", "example": 400},
        "detail": {"type": "string", "example": "the filter does not parse at column 7: write label = 'cat'"},
        "code": {"type": "string", "example": "bad_filter"},
        "request_id": {"type": "string", "description": "As in the header `X-Request-ID` and in the server's log."},
        "reason": {"type": "string", "description": "Why a picture was refused, as the quarantine says it."},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


class Problem(HTTPException):
    """A failure with a status, a stable code and a line for people."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.more = more


# The first class that fits wins, so subclasses stand before their parents.
_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.FilterError, 400, "bad_filter"),
    (errors.BadPicture, 422, "bad_picture"),
    (errors.UnknownName, 404, "unknown_name"),
    (errors.UsageError, 400, "bad_request"),
    (errors.SourceUnreachable, 404, "source_unreachable"),
    (errors.NotFound, 404, "not_found"),
    (errors.DamagedError, 503, "library_damaged"),
    (errors.NewerSchema, 503, "library_newer"),
    (errors.LibraryBusy, 503, "library_busy"),
    (errors.LibraryReadOnly, 403, "library_read_only"),
    (errors.MissingExtra, 501, "not_installed"),
    (errors.ServiceAway, 503, "service_away"),
)


def closing() -> Problem:
    """Return the answer to a request that the server took up, and will not finish: it may be sent again."""
    return Problem(503, "closing", "the server is closing: send the request again", headers={"Retry-After": "2"})


def document(status: int, code: str, detail: str, more: Mapping[str, Any] | None = None) -> bytes:
    """Return a problem document; control characters of ``detail`` are escaped, hidden places left out."""
    known = request_id()
    body = {
        "type": f"urn:sosie:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": visible(without_places(detail) if HIDDEN.get() else detail),
        "code": code,
        **({"request_id": known} if known else {}),
        **(more or {}),
    }
    return json.dumps(body).encode()


def problem_of(error: Exception) -> Problem:
    """Translate any exception that the API lets out."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
        return Problem(error.status_code, code, str(error.detail), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, CancelledError):  # the workers have ended before the request
        return closing()
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            more = {"reason": error.reason} if isinstance(error, errors.BadPicture) else {}
            headers = {"Retry-After": "2"} if status == 503 else {}
            return Problem(status, code, str(error), headers=headers, **more)
    _LOG.error("unexpected error at %s", CURRENT.get() or "work in the background", exc_info=error)
    return Problem(500, "internal", "an unexpected error; the server's log has the details")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that an operation may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({400, 401, 403, 405, 413, 421, 422, 429, 431, 503, *statuses})
    }


def text_content(kind: str) -> dict[str, Any]:
    """Return the OpenAPI entry of an answer that is a text."""
    return {kind: {"schema": {"type": "string"}}}


def install(app: FastAPI, *, page: Callable[[Request, Problem], Response], refused: Callable[[str], None]) -> Answer:
    """Answer every failure of ``app`` with a problem document, or with a ``page`` where a person reads it.

    ``refused`` is told the reason of each picture that could not be used. Returns what answers, for what no handler
    sees.
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = _explained(app, request, error)
        if problem.code == "bad_picture":
            refused(str(problem.more.get("reason")))
        if problem.status_code == 405 and request.method == "OPTIONS":
            return Response(status_code=204, headers=problem.headers)
        for_people = "text/html" in request.headers.get("accept", "") or request.headers.get("x-fragment")
        if for_people and not request.url.path.startswith("/api/"):
            return page(request, problem)
        return response_of(problem)

    kinds: tuple[type[Exception], ...] = (HTTPException, RequestValidationError, errors.SosieError)
    for kind in kinds:
        app.add_exception_handler(kind, answer)
    return answer


def _explained(app: FastAPI, request: Request, error: Exception) -> Problem:
    """Return the problem that an exception is, in words that only the request gives."""
    problem = problem_of(error)
    path = visible(request.url.path)
    if problem.status_code == 405:
        headers = dict(problem.headers or {})
        allowed = _allowed(app, request, headers.get("Allow", ""))
        detail = f"{request.method} is not allowed at {path}: it takes {allowed}"
        return Problem(405, "method_not_allowed", detail, headers={**headers, "Allow": allowed})
    if problem.status_code == 404 and problem.detail == _ROUTERS:
        near = get_close_matches(path, app.openapi()["paths"], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "/api lists what there is"
        return Problem(404, "not_found", f"there is nothing at {path}; {hint}")
    if isinstance(error, RequestValidationError) and _is_no_json(request, error):
        detail = "this takes JSON: send Content-Type: application/json"
        return Problem(415, "unsupported_media_type", detail, headers={"Accept": "application/json"})
    return problem


def _is_no_json(request: Request, error: RequestValidationError) -> bool:
    """Say whether a body was refused since it is of another type than JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    field = getattr(request.scope.get("route"), "body_field", None)
    takes_json = field is not None and not isinstance(field.field_info, Form)
    in_body = any(each["loc"][0] == "body" for each in error.errors())
    sent = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return takes_json and in_body and sent and kind != "application/json" and not kind.endswith("+json")


def _allowed(app: FastAPI, request: Request, known: str) -> str:
    """Return every method of a path; the router knows those of the first route that fits only."""
    found = {method.strip() for method in known.split(",") if method.strip()}
    for template, methods in app.openapi()["paths"].items():
        if compile_path(template)[0].match(request.url.path):
            found |= {method.upper() for method in methods}
    found = found or {"GET"}
    return ", ".join(sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())))


def response_of(problem: Problem) -> Response:
    """Return the response that carries a problem."""
    body = document(problem.status_code, problem.code, str(problem.detail), problem.more)
    return Response(body, problem.status_code, problem.headers, MEDIA_TYPE)


def _invalid(error: RequestValidationError) -> Problem:
    # The offending input is left out: it may be large, or not JSON at all (NaN, bytes).
    items = [
        {"where": visible(".".join(map(str, item["loc"]))), "what": visible(str(item["msg"]))}
        for item in error.errors()[:20]
    ]
    first = f"{items[0]['where']}: {items[0]['what']}" if items else "the request does not fit its description"
    return Problem(422, "invalid_request", first, errors=items)
