"""``--where`` as a query of Elasticsearch; it finds exactly what ``where.compile_sql`` finds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sosie.catalogue.elastic.documents import NUL, fold, number_key, text_key
from sosie.catalogue.records import LAST
from sosie.catalogue.where import All, Any_, Compare, Expression, Field, Not, Present, compares_dates
from sosie.errors import FilterError

__all__ = ["LIVE", "Query", "compile_query", "live_and"]

Query: TypeAlias = Mapping[str, Any]

LIVE: Query = {"term": {"live": True}}

_DEEPEST = 25  # Elasticsearch refuses more than 30 of its bool queries inside each other
_LONGEST_PART = 1_000  # characters of a part that ``~`` looks for; longer ones make too large an automaton
_RANGES: Mapping[str, str] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_AFTER_NUL = "\x01"


def live_and(condition: Query | None) -> Query:
    """Return a query for live pictures that meet a condition."""
    return {"bool": {"filter": [LIVE, condition] if condition else [LIVE]}}


def compile_query(expression: Expression) -> Query:
    """Return the query for an expression; raise FilterError where it is nested too deep for the cluster."""
    query = _compiled(expression)
    if _depth(query) > _DEEPEST:
        raise FilterError(
            f"--where: nested too deep for Elasticsearch, which takes {_DEEPEST} levels: write it flatter"
        )
    return query


def _compiled(expression: Expression) -> Query:
    match expression:
        case Not(Not(term)):
            return _compiled(term)
        case Not(term):
            return {"bool": {"must_not": [_compiled(term)]}}
        case All(terms):
            return {"bool": {"filter": [_compiled(term) for term in terms]}}
        case Any_(terms):
            return _either([_compiled(term) for term in terms])
        case Present(field):
            return _both({"term": {"names": field.name}}, {"term": {"fact_names": field.name}}, fact=field.fact)
        case Compare(field, op, values):
            return _built_in(field.name, op, values) if field.built_in else _compared(field, op, values)


def _compared(field: Field, op: str, values: Sequence[str | float]) -> Query:
    if compares_dates(field) and op != "~":
        return _either([_taken(f"{prefix}texts", field.name, op, str(at)) for prefix in ("", "fact_") for at in values])
    label, of_fact = (_label(field.name, op, values, prefix) for prefix in ("", "fact_"))
    return _both(label, of_fact, fact=field.fact)


def _both(label: Query, of_fact: Query, *, fact: bool) -> Query:
    """Return what is met by a label, or, where it is a ``fact``, by that or a label."""
    return _either([label, of_fact]) if fact else label


def _either(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else {"bool": {"should": list(queries), "minimum_should_match": 1}}


def _depth(query: Any) -> int:
    if isinstance(query, Mapping):
        return ("bool" in query) + max(map(_depth, query.values()), default=0)
    return max(map(_depth, query), default=0) if isinstance(query, list) else 0


# ------------------------------------------------------------------------------------------------ labels


def _label(name: str, op: str, values: Sequence[str | float], prefix: str = "") -> Query:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [float(value) for value in values if not isinstance(value, str)]
    if op == "~":
        return _part(f"{prefix}folded", text_key(name, ""), texts[0])
    found = [_keys(f"{prefix}texts", name, op, [text_key(name, text) for text in texts])] if texts else []
    if numbers:
        found.append(_keys(f"{prefix}numbers", name, op, [number_key(name, number) for number in numbers]))
    return _either(found)


def _keys(field: str, name: str, op: str, keys: Sequence[str]) -> Query:
    if op in _RANGES:
        # the range ends where the name's own terms end
        bounds = {"gte": f"{name}{NUL}", "lt": f"{name}{_AFTER_NUL}"}
        side = _RANGES[op]
        kept = {key: value for key, value in bounds.items() if key[0] != side[0]}
        return {"range": {field: {**kept, side: keys[0]}}}
    return {"terms": {field: list(keys)}}


def _taken(field: str, name: str, op: str, given: str) -> Query:
    """Compare only as much of a date as is given; what follows it sorts between it and it with ``LAST``."""
    first, last = text_key(name, given), text_key(name, given) + LAST
    begin, end = {"gte": f"{name}{NUL}"}, {"lt": f"{name}{_AFTER_NUL}"}
    bounds = {
        "<": {**begin, "lt": first},
        "<=": {**begin, "lte": last},
        ">": {"gt": last, **end},
        ">=": {"gte": first, **end},
    }
    return {"range": {field: bounds.get(op, {"gte": first, "lte": last})}}


def _part(field: str, before: str, part: str) -> Query:
    if len(part) > _LONGEST_PART:
        raise FilterError(f"--where: ~ looks for at most {_LONGEST_PART} characters on Elasticsearch")
    return {"wildcard": {field: {"value": f"{_literal(before)}*{_literal(fold(part))}*"}}}


def _literal(text: str) -> str:
    return re.sub(r"([\\*?])", r"\\\1", text)


# ------------------------------------------------------------------------------------------------ facts


def _built_in(name: str, op: str, values: Sequence[str | float]) -> Query:
    if name in ("width", "height", "bytes"):
        return _either([_number(name, op, float(value)) for value in values])
    if name == "label_count":
        raise FilterError("--where: label_count is of libraries in a folder: a cluster counts no values of a document")
    texts = [str(value) for value in values]
    if name == "added":
        return _either([_date(op, text) for text in texts])
    field = {"format": "format_folded", "uri": "places.uri"}[name]
    if op == "~":
        return _part("uris_folded" if name == "uri" else field, "", texts[0])
    wanted = [fold(text) if name == "format" else text for text in texts]
    return {"range": {field: {_RANGES[op]: wanted[0]}}} if op in _RANGES else {"terms": {field: wanted}}


def _number(field: str, op: str, value: float) -> Query:
    """Compare a whole number with any number; those beyond 2^62 are as good as that."""
    bounded = max(-(2.0**62), min(2.0**62, value))
    if op in ("=", "in"):
        return {"term": {field: int(bounded)}} if bounded == math.floor(bounded) else {"bool": {"must_not": [_ALL]}}
    side = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[op]
    whole = math.ceil(bounded) if op in ("<", ">=") else math.floor(bounded)
    return {"range": {field: {side: whole}}}


_ALL: Query = {"match_all": {}}


def _date(op: str, given: str) -> Query:
    """Compare only as much of the date as was given: '2026-11' stands for the whole month."""
    within: Query = {"prefix": {"added": {"value": given}}}
    match op:
        case "<":
            return {"range": {"added": {"lt": given}}}
        case "<=":
            return _either([{"range": {"added": {"lt": given}}}, within])
        case ">":
            return {"bool": {"filter": [{"range": {"added": {"gte": given}}}], "must_not": [within]}}
        case ">=":
            return {"range": {"added": {"gte": given}}}
        case "~":
            return {"wildcard": {"added": {"value": f"*{_literal(fold(given).translate(_DATE_LETTERS))}*"}}}
    return within


_DATE_LETTERS = str.maketrans("tz", "TZ")  # all the letters that a date has; it is stored in capitals
