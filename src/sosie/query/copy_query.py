"""A picture that is asked about: what the stages of copy detection need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.analysis.fingerprints import Codes
from sosie.types import FloatMatrix
from sosie.verify.features import Features, from_bytes
from sosie.verify.pixels import Grey

__all__ = ["CopyQuery", "query_of"]


@dataclass(frozen=True, slots=True)
class CopyQuery:
    """A picture that may be a copy. ``vectors`` (v, dim): it and what it looks like in a mirror, v may be 0.

    ``grey`` is its luminance at working size, for a second look, ``luminance`` at most 1,024 pixels a side, to be laid
    over what is found; ``exclude`` is the library's own picture that is
    asked about.
    """

    name: str
    sha256: str
    pixels: bytes
    codes: Codes  # (8, 32): fingerprints of its turns and flips
    quality: int
    features: Features
    grey: npt.NDArray[np.uint8] | None
    vectors: FloatMatrix
    luminance: Grey | None = None
    exclude: int | None = None


def query_of(name: str, sha256: str, analysed: Mapping[str, Any], vectors: FloatMatrix) -> CopyQuery:
    """Make a query from what ``analysis.analyse_query`` found."""
    return CopyQuery(
        name=name,
        sha256=sha256,
        pixels=analysed["pixels"],
        codes=np.frombuffer(analysed["variants"], np.uint8).reshape(8, 32),
        quality=analysed["pdq_quality"],
        features=from_bytes(analysed["features"]),
        grey=analysed["grey"],
        vectors=vectors,
        luminance=analysed["luminance"],
    )
