"""From the name of a model to its embedder."""

from __future__ import annotations

from pathlib import Path

from sosie.contracts import Embedder
from sosie.embedders.bundled import NEWEST
from sosie.embedders.onnx import OnnxEmbedder, read_description
from sosie.embedders.store import ModelStore
from sosie.errors import NotFound, UnknownName, UsageError
from sosie.networks.published import PUBLISHED
from sosie.registry import EMBEDDERS, nearest, plugged_in, resolve_embedder

__all__ = ["embedder_of", "full_name", "remembered"]


def embedder_of(name: str, shelf: ModelStore) -> Embedder:
    """Return the embedder of a name: a description's path, a model of the library's own, or one of Sosie's.

    Raises UnknownName with the nearest known name, NotFound, UntrustedModel.
    """
    if name.endswith(".json"):
        return OnnxEmbedder(read_description(Path(name)))
    own = shelf.find(name)
    if own is not None:
        return OnnxEmbedder(own)
    if name in PUBLISHED:
        raise NotFound(
            f"{name} is not here yet: `sosie models get {name}` downloads it ({PUBLISHED[name].megabytes} MB); "
            "the bundled model needs no download"
        )
    if name == "onnx":
        raise UsageError("an ONNX file is used by its description: give the path of the JSON file beside it")
    try:
        embedder = resolve_embedder(name)()
    except UnknownName:
        known = [*EMBEDDERS, *PUBLISHED, *plugged_in("embedders"), *shelf.names()]
        raise UnknownName(f"no model is called {name!r}; {nearest(name, known)}") from None
    return embedder


def remembered(name: str) -> dict[str, str | None]:
    """Return what a library remembers of the model that it answers with; of the bundled network, its version, too."""
    return {"model": name, "version": NEWEST if name == "bundled" else None}


def full_name(name: str) -> str:
    """Return what a library remembers of a name: the whole path of a description, any other name as it is."""
    return str(Path(name).absolute()) if name.endswith(".json") else name
