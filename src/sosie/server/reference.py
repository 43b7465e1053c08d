"""The API as a page: every operation of the OpenAPI document, with a curl line that can be copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Operation", "operations"]

BASE = "http://localhost:6868"
# What one would ask first, where the parameters alone do not say it.
_QUERIES = {
    "search": "?id=17&k=10",
    "copies": "?id=17",
    "compare": "?a=17&b=42",
    "pictures": "?k=50",
    "map": "?label=label",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to call."""

    group: str
    method: str
    path: str
    summary: str
    parameters: tuple[tuple[str, str, bool], ...]
    curl: str


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return the operations of an OpenAPI document in its order."""
    return [
        _operation(path, method, entry, document)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    ]


def _operation(path: str, method: str, entry: Mapping[str, Any], document: Mapping[str, Any]) -> Operation:
    listed = entry.get("parameters", [])
    parameters = tuple((p["name"], p.get("description", ""), p.get("required", False)) for p in listed)
    return Operation(
        (entry.get("tags") or ["other"])[0],
        method.upper(),
        path,
        entry.get("description") or entry.get("summary", ""),
        parameters,
        _curl(path, method, entry, document),
    )


def _curl(path: str, method: str, entry: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    url = BASE + path
    for parameter in entry.get("parameters", []):
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", str(_example(parameter)))
    query = _QUERIES.get(path.rsplit("/", 1)[-1], "") if method == "get" else ""
    parts = ["curl"]
    if method not in ("get", "post"):
        parts.append(f"-X {method.upper()}")
    content = entry.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        parts.append("-F picture=@photo.jpg")
    elif "application/json" in content:
        body = json.dumps(_body_example(content["application/json"]["schema"], document))
        parts.append(f"-H 'Content-Type: application/json' -d '{body}'")
    elif method == "post":
        parts.append("-X POST")
    return " ".join([*parts, f"'{url}{query}'"])


def _example(parameter: Mapping[str, Any]) -> object:
    schema = parameter.get("schema", {})
    examples = schema.get("examples") or parameter.get("examples") or []
    return next(iter(examples), parameter["name"].upper())


def _body_example(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    while "$ref" in schema or "oneOf" in schema:
        reference = schema.get("$ref") or schema["oneOf"][0]["$ref"]
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
    return schema.get("example", {})
