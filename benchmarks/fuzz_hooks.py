"""Strategies for the texts that have a grammar of their own, and the few things that a schema cannot say."""

from __future__ import annotations

import io
import json
from email.parser import BytesParser
from email.policy import HTTP
from functools import cache
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from PIL import Image


@cache
def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((48, 48)).save(out, "JPEG")
    return out.getvalue()


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


letters = st.characters(codec="utf-8", exclude_characters="\0")  # a filter holds no NUL, and says so
names = st.text(letters, min_size=1, max_size=12).map(quoted)
values = st.one_of(st.text(letters, max_size=12).map(quoted), st.integers(-9999, 9999).map(str))
terms = st.builds(lambda n, op, v: f"{n} {op} {v}", names, st.sampled_from(["=", "!=", "<", ">="]), values)
filters = st.one_of(
    st.just(""),
    terms,
    st.builds(lambda a, o, b: f"({a}) {o} not {b}", terms, st.sampled_from(["and", "or"]), terms),
)
edges = st.integers(0, 9).map(lambda tenth: tenth / 10)
boxes = st.builds(
    lambda x, y, w, h: f"{x},{y},{(1 - x) * w:.4f},{(1 - y) * h:.4f}",
    edges,
    edges,
    *[st.sampled_from([0.1, 0.5, 1.0])] * 2,
)
labels = st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=3)

schemathesis.openapi.format("sosie-filter", filters)
schemathesis.openapi.format("sosie-box", boxes)
schemathesis.openapi.format("sosie-cursor", st.just(""))
schemathesis.openapi.format("sosie-labels", labels.map(json.dumps))
schemathesis.openapi.format("binary", st.integers(0, 40).map(picture))

# The formats of a form's fields; filters are judged where they are no part of a form, in GET /search and GET /pictures.
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("sosie-box", raises=ValueError)
def is_box(text: object) -> bool:
    return not isinstance(text, str) or [0 <= float(edge) <= 1 for edge in text.split(",")] == [True] * 4


@_FORMATS.checks("sosie-labels", raises=ValueError)
def is_labels(text: object) -> bool:
    return not isinstance(text, str) or isinstance(json.loads(text), dict)


_FORM, _JSON = "multipart/form-data", "application/json"
_BOOLEANS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


@schemathesis.check
def accepted_body_fits(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Fail where the server accepts a form or JSON that breaks its schema as it is sent.

    Stands in for ``negative_data_rejection`` on forms (see fuzz_api.toml), which judges the generated value as soon as
    the form holds a file: an empty list there breaks the schema, but is no field at all once it is sent, and a number
    is text.
    """
    document: dict[str, Any] = case.operation.schema.raw_schema
    method = case.operation.method.lower()
    declared = document["paths"][case.operation.path][method]
    forms = declared.get("requestBody", {}).get("content", {})
    if _FORM not in forms or case.method.lower() != method or not 200 <= response.status_code < 300:
        return
    kind = response.request.headers.get("Content-Type", "")
    body = response.request.body or b""
    raw = body if isinstance(body, bytes) else body.encode()
    if kind.startswith(_FORM):
        broken = breaks(_named(document, forms[_FORM]), fields(kind, raw))
    elif kind.startswith(_JSON):
        whole = {**_named(document, forms[_JSON]), "components": document["components"]}
        broken = "; ".join(error.message for error in Draft202012Validator(whole).iter_errors(json.loads(raw)))
    else:
        return  # any bytes are a picture or are not
    assert not broken, f"accepted although the body breaks its schema as sent: {broken}"


def _named(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that an entry of a request's content refers to."""
    return dict(document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]])


def fields(content_type: str, body: bytes) -> dict[str, str | None]:
    """Return each field's text, None for a file; an empty text is no field. What is accepted has each name once."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    found: dict[str, str | None] = {}
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        text = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
        found[str(part.get_param("name", header="content-disposition"))] = None if part.get_filename() else text
    return {name: text for name, text in found.items() if text != ""}


def breaks(schema: dict[str, Any], sent: dict[str, str | None]) -> str:
    """Return what is wrong with a form by its schema, "" where nothing is; a text fits if any reading of it does."""
    properties = schema["properties"]
    for name, text in sent.items():
        if name not in properties:
            return f"there is no field {name!r}"
        binary = properties[name].get("format") == "binary"
        if binary != (text is None):
            return f"{name!r} is {'not a' if binary else 'a'} file"
        rule = Draft202012Validator(properties[name], format_checker=_FORMATS)
        if text is not None and not any(rule.is_valid(value) for value in readings(text)):
            return f"{name!r} does not fit: {text[:80]!r}"
    return ", ".join(f"{name!r} is missing" for name in schema.get("required", []) if name not in sent)


def readings(text: str) -> list[object]:
    """Return what a server may take the text of a field for: text, JSON's number or null, a boolean by its words."""
    found: list[object] = [text]
    for read in (json.loads, int, lambda word: _BOOLEANS[word.lower()]):
        try:
            found.append(read(text.strip()))
        except (ValueError, KeyError):
            continue
    return found
