"""Whatever a program holds of a picture, made into a query that `sosie.query.encode` knows.

Pixels become the bytes of a file, so that a picture gets the same vector however it is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import singledispatch
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from sosie.catalogue import PictureRecord
from sosie.errors import BadPicture, UsageError, WrongType
from sosie.query.encode import Asked, Decoding, with_words
from sosie.types import Hit, Picture, Text, Vector

__all__ = ["Query", "bytes_of_picture", "queries_in", "to_query", "to_query_with"]

Query: TypeAlias = Any
"""A path, a URL, bytes, an open file, a PIL image, an array of pixels (height, width, 3|4|1), a vector (dim,), an id, a
Hit or a PictureRecord of the library, a Picture, a Text, a picture that is being decoded, or a sum of those: pairs of a
sign (1 or -1) and a summand."""

_TAKES = (
    "a query is a path, a URL, bytes, an open file, a PIL image, an array of pixels (height, width, 3), a vector "
    "(dim,), an id, a hit or a record of the library, a sum ((1, a), (-1, b)), or a list of those"
)


@singledispatch
def to_query(value: object) -> Asked:
    """Return what the encoder takes for ``value``; raise WrongType for what is no query, UsageError for a bad one."""
    if (data := bytes_of_picture(value)) is not None:
        return data
    if hasattr(value, "__array__"):
        return _of_array(_array_of(value))
    raise WrongType(f"{type(value).__name__} is no query: {_TAKES}")


def queries_in(value: object) -> list[object] | None:
    """Return the queries that a list, or an array (n, dim) of vectors, holds; None for one query."""
    if isinstance(value, list) or (isinstance(value, tuple) and not _is_sum(value)):
        return list(value)
    if _is_foreign_array(value):
        array = _array_of(value)
        if array.ndim == 1 and array.dtype.kind in "OUST":
            return list(array.tolist())
        if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
            return list(array)
    return None


def to_query_with(value: object | None, text: str | None) -> Asked:
    """Return a query with words added to it; raise UsageError where there is neither."""
    return with_words(None if value is None else to_query(value), text)


def bytes_of_picture(value: object) -> bytes | None:
    """Return the bytes of a picture that is in memory: those of an open file, an image's, an array's; None for others.

    Raises WrongType, UsageError.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if callable(read := getattr(value, "read", None)):
        return _read(read, value)
    if (pillow := sys.modules.get("PIL.Image")) is not None and isinstance(value, pillow.Image):
        from sosie.decode.lossless import file_of_image

        return file_of_image(value)
    if _is_foreign_array(value) and (array := _array_of(value)).ndim > 2:
        from sosie.decode.lossless import file_of_pixels

        return file_of_pixels(array)
    return None


# ------------------------------------------------------------------------------------------------ one by one


@to_query.register(Picture)
@to_query.register(Text)
@to_query.register(Vector)
@to_query.register(Decoding)
@to_query.register(bytes)
@to_query.register(str)
@to_query.register(os.PathLike)
def _as_it_is(value: Any) -> Asked:
    return value  # type: ignore[no-any-return]


@to_query.register
def _of_id(value: Integral) -> Asked:
    return int(value)


@to_query.register
def _of_bool(_value: bool) -> Asked:  # which is a whole number to Python
    raise WrongType(f"bool is no query: {_TAKES}")


@to_query.register(Hit)
@to_query.register(PictureRecord)
def _known(value: Hit | PictureRecord) -> Asked:
    return value.id


@to_query.register
def _of_sum(value: tuple) -> Asked:  # type: ignore[type-arg]
    if not _is_sum(value):
        raise UsageError("a tuple is a sum of pairs, a sign and a query: ((1, a), (-1, b)); several queries are a list")
    return tuple((float(sign), to_query(each)) for sign, each in value)


@to_query.register
def _of_list(value: list) -> Asked:  # type: ignore[type-arg]
    raise UsageError("several queries at once: `search` and `search_many` take a list, this takes one")


# ------------------------------------------------------------------------------------------------ arrays, files


def _is_sum(value: Sequence[Any]) -> bool:
    return bool(value) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], int | float) for pair in value
    )


def _is_foreign_array(value: object) -> bool:
    """Tell an array, or a tensor, from what only can be made into one: NumPy's scalars, an image."""
    return hasattr(value, "__array__") and not isinstance(value, np.generic) and not hasattr(value, "getexif")


def _array_of(value: object) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # every library has its own: a tensor on another device, one with a gradient
        raise WrongType(f"{type(value).__name__} cannot be read as an array: {error}") from error


def _of_array(array: np.ndarray[Any, Any]) -> Asked:
    if array.ndim == 1 and np.issubdtype(array.dtype, np.floating):
        return Vector(np.asarray(array, np.float32))
    if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"an array of shape {array.shape} is several vectors: `search` and `search_many` take them")
    if array.ndim == 1:
        raise WrongType(f"a vector is of floats, not of {array.dtype}; ids are given as a list: array.tolist()")
    raise WrongType(
        f"an array of {array.dtype} and shape {array.shape} is neither pixels (height, width, 3, 4 or 1) nor floats "
        "(dim,); a grey picture is array[:, :, None]"
    )


def _read(read: Any, value: object) -> bytes:
    data = read()
    if not isinstance(data, bytes):
        raise WrongType(f"a file of {type(data).__name__} is no picture: open it in binary mode, open(path, 'rb')")
    if not data:
        name = getattr(value, "name", "the file")
        raise BadPicture("empty", f"nothing is left to read in {name}: file.seek(0) goes back to its beginning")
    return data
