"""What is made of one picture in a decode worker, for the library and for queries alike.

Everything here runs beside the decoder, so that only small results travel, and imports no more than it needs, so that a
worker starts quickly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sosie.embedders.preprocessing import prepare
from sosie.fingerprints import fingerprint
from sosie.types import Picture, Preprocessing

__all__ = ["analyse", "analyse_query", "analysis_params", "pixel_digest"]

WORKING_SIDE = 360  # the decoder keeps at least so many pixels on the shorter side: an eighth of a 12 MP photo
MAX_WORKING_SIDE = 1024  # the longer side of what is kept of a query


def analysis_params(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the parameters that make ``analyse`` prepare pictures for a network."""
    return {"side": max(WORKING_SIDE, preprocessing.side), "preprocessing": asdict(preprocessing)}


def analyse(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce a decoded picture to what the catalogue and the network need of it."""
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in params["preprocessing"].items()}
    hashed = fingerprint(picture)
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "pixels": pixel_digest(picture),
        "pdq": hashed.bits,
        "pdq_quality": hashed.quality,
        "input": prepare(picture, Preprocessing(**how)).pixels,
    }


def analyse_query(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Do the same for a query, and keep its pixels for boxes, thumbnails and verification."""
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    image.thumbnail((MAX_WORKING_SIDE, MAX_WORKING_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return {**analyse(picture, params), "working": np.asarray(image)}


def pixel_digest(picture: Picture) -> bytes:
    """Digest the picture's own size and its decoded pixels: equal for files that differ only in how they are stored."""
    digest = hashlib.sha256(f"{picture.width},{picture.height};{picture.pixels.shape}".encode())
    digest.update(np.ascontiguousarray(picture.pixels).data)
    return digest.digest()[:16]
