"""Refuse what an operation does not know: a parameter that is misspelt, or in the wrong place, is never ignored."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.params import Form, Query

from sosie.present.text import shorten, visible
from sosie.registry import nearest
from sosie.server.problems import Problem

__all__ = ["known_names", "only_known"]

_NAME = 60  # characters of an unknown name that the problem repeats


async def only_known(request: Request) -> None:
    """Raise Problem 422 for a parameter of the address, or a field of the form, that the operation does not have."""
    query, fields = known_names(request.scope["endpoint"])
    for name in request.query_params:
        if name in fields:
            raise _unknown(f"{name} is a field of the form here, not a part of the address: curl -F {name}=…")
        if name not in query:
            raise _unknown(_lacking("parameter", name, query))
    for name in await request.form() if fields else ():  # it was read by now, and is kept
        if name not in fields:
            raise _unknown(_lacking("field", name, fields))


@cache
def known_names(operation: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a route takes from the address and from a form, by the markers in its annotations."""
    marked = [
        (name, mark)
        for name, hint in get_type_hints(operation, include_extras=True).items()
        for mark in getattr(hint, "__metadata__", ())
    ]
    query = frozenset(name for name, mark in marked if isinstance(mark, Query))
    return query, frozenset(name for name, mark in marked if isinstance(mark, Form))  # a File is a Form, too


def _lacking(what: str, name: str, known: frozenset[str]) -> str:
    said = f"there is no {what} {shorten(visible(name), _NAME)!r} here"
    return f"{said}; {nearest(name, known)}" if known else f"{said}, nor any other: leave it out"


def _unknown(detail: str) -> Problem:
    return Problem(422, "unknown_parameter", detail)
