"""How vectors are compared when a run is measured: as they are, or, for codes, bit by bit beside other codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from sosie.types import FloatMatrix

if TYPE_CHECKING:
    from sosie.library import Library
    from sosie.training.examples import Examples
    from sosie.training.settings import Settings

__all__ = ["Ways", "as_they_are", "ways_of"]

Ways: TypeAlias = Callable[[FloatMatrix, FloatMatrix], Mapping[str, FloatMatrix]]
"""From vectors before and after to the set-ups that are compared, the first being the base."""


def as_they_are(before: FloatMatrix, after: FloatMatrix) -> Mapping[str, FloatMatrix]:
    """Compare the vectors before with those after."""
    return {"before": before, "after": after}


def ways_of(library: Library, examples: Examples, settings: Settings) -> Ways:
    """Return what a recipe is compared by."""
    if settings.recipe != "hash":
        return as_they_are
    from sosie.training.codes import code_ways

    return code_ways(library, examples, settings.bits)
