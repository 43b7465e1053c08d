"""What a decode worker makes of a picture so that its copies can be found."""

from __future__ import annotations

import io
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

__all__ = ["GREY", "analyse_new", "analyse_query", "analyse_reference", "coarse_extractor", "extractor", "warm_up"]


_GREY_SIDE, _GREY_QUALITY = 512, 85  # what is laid over each other has 480 pixels
GREY = f"grey-{_GREY_SIDE}-1"  # the version by which such pictures are stored beside local features


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

    ``params["features"]`` is a `sosie.analysis.embedding.Features`, ``rereadable`` whether they could be made later;
    where they could not, the picture is kept small, too, for its pixels to be compared.
    """
    found, features, again = worker.analyse_query(picture, params), params.get("features"), params.get("rereadable")
    if features == "now" or (features == "later" and not again):
        found |= analyse_reference(picture, params)
        found |= {} if again else {"grey": grey_jpeg(picture)}
    return found


def grey_jpeg(picture: Picture) -> bytes:
    """Return a picture that cannot be read again as the judge of copies sees it: a small JPEG of its luminance."""
    from PIL import Image

    image = Image.fromarray(luminance(reduced(picture.pixels)))
    image.thumbnail((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_GREY_QUALITY)
    return out.getvalue()


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
