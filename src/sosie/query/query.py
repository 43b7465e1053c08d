"""What is searched for: the one type that encoding gives and every later step takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sosie.types import Box, FloatMatrix, Pixels, Region

__all__ = ["Cut", "Query"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a part of a picture was cut from: the box, and the picture by its id here, its bytes and its pixels."""

    box: Box
    source: int | None = None
    sha256: bytes | None = None
    pixels: bytes | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A question: a unit vector, and what is known of the picture that it came from."""

    name: str
    vector: FloatMatrix  # (dim,)
    sha256: bytes | None = None
    pixels: bytes | None = None
    exclude: int | None = None  # the library's own picture that is asked about
    single: bool = False  # one picture or a part of one: no sum, no words
    terms: tuple[tuple[str, FloatMatrix], ...] = ()  # the summands, by name, with what each gave to the vector
    parts: tuple[Region, ...] = ()  # its objects, where it is searched by them
    vectors: Mapping[int, FloatMatrix] = field(default_factory=dict)  # by space of regions: one for each part (m, dim)
    about: Mapping[str, Any] = field(default_factory=dict)  # what the parts were, for the answer
    took: Mapping[str, float] = field(default_factory=dict)  # milliseconds: decode, embed
    shown: Callable[[], Pixels] | None = None  # gives the picture, or the part, to lay over what was found
    copy_vector: FloatMatrix | None = None  # (dim,) of the model's last head; None where the catalogue has it
    cut: Cut | None = None  # where it is a part of a picture
