"""Refuse what an operation does not know or is told twice: whatever was meant by it, it is never ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.params import Form, Query
from pydantic import BaseModel

from sosie.present.text import shorten, visible
from sosie.registry import nearest
from sosie.server.problems import Problem

__all__ = ["known_names", "only_known"]

_NAME = 60  # characters of an unknown name that the problem repeats


async def only_known(request: Request) -> None:
    """Raise Problem 422 for a parameter of the address, or a field of the form, that is unknown or given twice."""
    query, fields = known_names(request.scope["endpoint"])
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name in fields:
            raise _unknown(f"{name} is a field of the form here, not a part of the address: curl -F {name}=…")
        if name not in query:
            raise _unknown(_lacking("parameter", name, query))
    _once("parameter", given)
    if fields:
        given = [name for name, _ in (await request.form()).multi_items()]  # it was read by now, and is kept
        for name in given:
            if name not in fields:
                raise _unknown(_lacking("field", name, fields))
        _once("field", given)


@cache
def known_names(operation: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a route takes from the address and from a form, by the markers in its annotations."""
    query: set[str] = set()
    fields: set[str] = set()
    for name, hint in get_type_hints(operation, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Query):
                query.add(name)
            elif isinstance(mark, Form):  # a File is a Form, too
                whole = isinstance(hint.__origin__, type) and issubclass(hint.__origin__, BaseModel)
                fields |= set(hint.__origin__.model_fields) if whole else {name}
    return frozenset(query), frozenset(fields)


def _lacking(what: str, name: str, known: frozenset[str]) -> str:
    said = f"there is no {what} {shorten(visible(name), _NAME)!r} here"
    return f"{said}; {nearest(name, known)}" if known else f"{said}, nor any other: leave it out"


def _once(what: str, given: Iterable[str]) -> None:
    """Raise Problem 422 where something is given twice: none of these takes a list, and either could be meant."""
    for name, times in Counter(given).items():
        if times > 1:
            raise Problem(422, "repeated_parameter", f"the {what} {name} was given {times} times: give it once")


def _unknown(detail: str) -> Problem:
    return Problem(422, "unknown_parameter", detail)
