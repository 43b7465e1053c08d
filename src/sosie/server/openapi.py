"""The OpenAPI document, where it says more than FastAPI finds out by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from sosie.server.bodies import JSON, MULTIPART, PICTURE, RAW, PictureForms, reading_of
from sosie.server.problems import PROBLEM_SCHEMA

__all__ = ["install"]

_REF = "#/components/schemas/{model}"
_BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_PICTURE = {**_BINARY, "title": "Picture", "description": "The picture."}


def install(app: FastAPI, *, url: str | None) -> None:
    """Let an app describe itself whole; ``url`` is where a proxy shows it."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            document["servers"] = [{"url": url or "/"}]
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = PROBLEM_SCHEMA
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path, taken in _readings(app):
                _describe(document["paths"][path]["post"], schemas, taken)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _readings(app: FastAPI) -> Iterator[tuple[str, PictureForms]]:
    """Yield the paths that take a picture in any form, and which forms these are."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        for dependency in route.dependant.dependencies if isinstance(route, APIRoute) else ():
            if (taken := reading_of(dependency.call)) is not None:
                yield str(context.path), taken


def _describe(operation: dict[str, Any], schemas: dict[str, Any], taken: PictureForms) -> None:
    """Say what an operation takes: a form, JSON or the picture itself, and options in the address, too."""
    options, form = _schema(taken.options, schemas), f"{taken.body.__name__.removesuffix('Body')}Form"
    schemas[taken.body.__name__] = _schema(taken.body, schemas)
    schemas[form] = {
        **options,
        "title": form,
        "description": "The picture as a file of a form, and the options.",
        "properties": {PICTURE: _PICTURE, **options["properties"]},
        "required": [PICTURE],
    }
    references = {MULTIPART: form, JSON: taken.body.__name__}
    content: dict[str, Any] = {kind: {"schema": {"$ref": _REF.format(model=name)}} for kind, name in references.items()}
    operation["requestBody"] = {"required": True, "content": content | {kind: {"schema": _BINARY} for kind in RAW}}
    named = [_parameter(name, schema) for name, schema in options["properties"].items()]
    operation["parameters"] = [*operation.get("parameters", ()), *named]


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a model; those that it refers to come to stand among ``schemas``."""
    found = model.model_json_schema(ref_template=_REF)
    schemas.update(found.pop("$defs", {}))
    return {"properties": {}, **found}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "required": False, "schema": told, "description": schema["description"]}
