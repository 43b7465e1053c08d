"""What is made of one picture in a decode worker, for the library and for queries alike.

Everything here runs beside the decoder, so that only small results travel, and imports no more than it needs, so that a
worker starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sosie.analysis.fingerprints import fingerprint
from sosie.decode.identity import array_digest
from sosie.embedders.preprocessing import prepare
from sosie.types import EXACT_PIXELS, Picture, Pixels, Preprocessing

__all__ = ["NO_EXTRAS", "ONLY_WORKING", "analyse", "analyse_query", "analysis_params", "pixel_digest", "reduced"]

WORKING_SIDE = 360  # the decoder keeps at least so many pixels on the shorter side: an eighth of a 12 MP photo
MAX_WORKING_SIDE = 1024  # the longer side of what is kept of a query

# What a pool is told of one picture: a search by a whole picture needs neither fingerprint nor pixels, which cost a
# quarter of its analysis.
NO_EXTRAS: Mapping[str, Any] = {"without": ["fingerprint", "working"]}
ONLY_WORKING: Mapping[str, Any] = {"without": ["fingerprint"]}


def analysis_params(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the parameters that make ``analyse`` prepare pictures for a network."""
    side = max(WORKING_SIDE, preprocessing.side)
    return {"side": side, "identify": "quick", "preprocessing": asdict(preprocessing)}


def analyse(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce a decoded picture to what the catalogue and the network need of it.

    ``params["without"]`` lists what is left out: ``fingerprint``, and ``working`` of a query.
    """
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in params["preprocessing"].items()}
    found: dict[str, Any] = {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "pixels": pixel_digest(picture),
        "pixels_version": EXACT_PIXELS,
        "frames": picture.frames,
        "repaired": picture.repaired,
        "metadata": picture.metadata,
        "input": prepare(picture, Preprocessing(**how)).pixels,
    }
    if "fingerprint" not in params.get("without", ()):
        hashed = fingerprint(picture)
        found |= {"pdq": hashed.bits, "pdq_quality": hashed.quality}
    return found


def analyse_query(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Do the same for a query, and keep its pixels for boxes, thumbnails and verification."""
    found = analyse(picture, params)
    if "working" not in params.get("without", ()):
        found["working"] = reduced(picture.pixels)
    return found


def reduced(pixels: Pixels) -> Pixels:
    """Return a picture of at most 1,024 pixels a side."""
    if max(pixels.shape[:2]) <= MAX_WORKING_SIDE:
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((MAX_WORKING_SIDE, MAX_WORKING_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(image)


def pixel_digest(picture: Picture) -> bytes:
    """Return the digest that is equal only where all decoded pixels of all frames are; see `sosie.decode.identity`."""
    if picture.exact is not None:
        return picture.exact
    if picture.pixels.shape[:2] != (picture.height, picture.width):
        raise ValueError("a reduced picture has no exact digest: decode it with identify='quick'")
    return array_digest(picture.pixels)
