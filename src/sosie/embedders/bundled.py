"""The networks that the wheel carries (``recipes/bundled``): the newest, and the one before it for older libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sosie.embedders.onnx import OnnxEmbedder, read_description
from sosie.errors import UsageError
from sosie.types import FloatMatrix

__all__ = ["EARLIER", "NEWEST", "BundledEmbedder", "Version5Embedder", "bundled_name"]

NEWEST = "6"
EARLIER = ("5",)  # those of which libraries may still be made, newest first; each is a name: bundled-5
_WEIGHTS = Path(__file__).with_name("weights")


class BundledEmbedder(OnnxEmbedder):
    """Works offline, with nothing to download; see docs/reference/bundled-model.md for what it was trained on."""

    version = NEWEST

    def __init__(self, *, threads: int | None = None) -> None:
        super().__init__(read_description(_WEIGHTS / f"bundled-{self.version}.json"), threads=threads)


class Version5Embedder(BundledEmbedder):
    """What `bundled` was before version 6; a library made by it answers by it until `sosie upgrade`."""

    version = "5"

    def embed_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Refuse: there are no words for it."""
        raise UsageError(f"bundled, version {self.version}, knows no words: `sosie upgrade` gives the library them")


def bundled_name(record: Mapping[str, Any], names_of_spaces: Sequence[str]) -> str:
    """Return the name of the bundled network that a library was made by: `bundled` for the newest.

    ``record`` is what the library remembers of its model. Libraries did not remember the version before version 6: what
    is stored of their pictures, ``names_of_spaces``, tells it.
    """
    version = record.get("version")
    if version is None:
        made_by = [each for each in EARLIER if any(name.startswith(f"bundled@{each}/") for name in names_of_spaces)]
        version = made_by[0] if made_by else NEWEST
    return "bundled" if version == NEWEST else f"bundled-{version}"
