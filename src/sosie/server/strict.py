"""Refuse what an operation does not know or is told twice: whatever was meant by it, it is never ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any, get_args, get_type_hints

from fastapi import Request
from fastapi.params import Depends, Query
from pydantic import BaseModel
from starlette.datastructures import FormData

from sosie.present.text import shorten, visible
from sosie.registry import nearest
from sosie.server.problems import Problem

__all__ = ["check_fields", "known_names", "only_known"]

_NAME = 60  # characters of an unknown name that the problem repeats


async def only_known(request: Request) -> None:
    """Raise Problem 422 for a parameter of the address that is unknown or given twice."""
    if request.scope["query_string"]:
        _check("parameter", request.query_params.multi_items(), known_names(request.scope["endpoint"]))


def check_fields(form: FormData, known: Collection[str]) -> None:
    """Raise Problem 422 for a field of a form that is unknown or given twice."""
    _check("field", form.multi_items(), known)


@cache
def known_names(operation: Callable[..., Any]) -> frozenset[str]:
    """Return what a route takes from the address, by the markers in its annotations."""
    query: set[str] = set()
    for name, hint in get_type_hints(operation, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Query):
                query |= _fields_of(get_args(hint)[0]) or {name}
            elif isinstance(mark, Depends) and (taken := getattr(mark.dependency, "taken", None)) is not None:
                query |= set(taken.options.model_fields)
    return frozenset(query)


def _fields_of(kind: Any) -> set[str]:
    """Return the fields of a model whose fields stand in the address, each by itself; none of any other type."""
    return set(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else set()


def _check(what: str, given: Iterable[tuple[str, object]], known: Collection[str]) -> None:
    """Raise Problem 422 where something is unknown or given twice: none takes a list, and either could be meant."""
    counts = Counter(name for name, _ in given)
    for name, times in counts.items():
        if name not in known:
            raise Problem(422, "unknown_parameter", _lacking(what, name, known))
        if times > 1:
            raise Problem(422, "repeated_parameter", f"the {what} {name} was given {times} times: give it once")


def _lacking(what: str, name: str, known: Collection[str]) -> str:
    said = f"there is no {what} {shorten(visible(name), _NAME)!r} here"
    return f"{said}; {nearest(name, known)}" if known else f"{said}, nor any other: leave it out"
