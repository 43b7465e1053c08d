"""What a decode worker makes of a picture so that its copies can be found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sosie.analysis import worker
from sosie.analysis.fingerprints import variants
from sosie.analysis.worker import analyse, reduced
from sosie.types import Picture
from sosie.verify.features import RootSift, to_bytes, working
from sosie.verify.opencv import opencv
from sosie.verify.pixels import luminance

__all__ = ["analyse_new", "analyse_query", "analyse_reference", "coarse_extractor", "extractor", "warm_up"]


def warm_up() -> None:
    """Load what cannot be loaded once a decode worker is sealed."""
    opencv()


@cache
def extractor() -> RootSift:
    """Return this process's extractor of local features."""
    return RootSift()


@cache
def coarse_extractor() -> RootSift:
    """Return the extractor of a second look, for pictures whose fine detail is a screen or noise."""
    return extractor().coarse()


def analyse_reference(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the packed local features of a picture of the library."""
    return {"features": to_bytes(extractor().extract(picture))}


def analyse_new(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ingest needs of a new picture, with packed local features where they are wanted now.

    ``params["features"]`` is a `sosie.analysis.embedding.Features`, ``rereadable`` whether they could be made later.
    """
    found, features = worker.analyse_query(picture, params), params.get("features")
    wanted = features == "now" or (features == "later" and not params.get("rereadable"))
    return {**found, **analyse_reference(picture, params)} if wanted else found


def analyse_query(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that a question about copies needs of its picture."""
    grey = working(picture.pixels)
    return {
        **analyse(picture, params),
        "variants": variants(picture).tobytes(),
        "features": to_bytes(extractor().extract_grey(grey)),
        "grey": grey,
        "luminance": luminance(reduced(picture.pixels)),
    }
