"""How vectors are compared when a run is measured: as they are, or, for codes, bit by bit beside other codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sosie.types import FloatMatrix

__all__ = ["Ways", "as_they_are"]

Ways: TypeAlias = Callable[[FloatMatrix, FloatMatrix], Mapping[str, FloatMatrix]]
"""From vectors before and after to the set-ups that are compared, the first being the base."""


def as_they_are(before: FloatMatrix, after: FloatMatrix) -> Mapping[str, FloatMatrix]:
    """Compare the vectors before with those after."""
    return {"before": before, "after": after}
