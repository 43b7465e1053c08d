"""What a program holds, as a source to add: tables that name pictures, lists of paths, pictures themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sosie.contracts import Source
from sosie.errors import UsageError, WrongType
from sosie.maintenance.labels import labels_to_add
from sosie.models.uploads import Uploads
from sosie.query.convert import bytes_of_picture
from sosie.query.encode import bytes_of
from sosie.sources.frames import FrameSource, columns_in, key_of, labels_by_row, refuse_doubles
from sosie.types import LabelValue

__all__ = ["Given", "opened_source"]

Given: TypeAlias = Any
"""A folder, file, archive, list, dataset, store or address by its name; a Source; a DataFrame or another table whose
column says where the pictures are, or holds them; a picture (PIL image, array, bytes, open file), or a list of pictures
or of paths."""

_TAKES = "a path or an address, a Source, a DataFrame, a PIL image, an array of pixels, bytes, or a list of those"


@contextmanager
def opened_source(
    given: Given, uploads: Uploads, *, on: str | None = None, ids: Sequence[str | int] | None = None
) -> Iterator[str | os.PathLike[str] | Source]:
    """Yield what `Adder.add` takes for what a program gave; raise WrongType, UsageError.

    ``on`` names the column of a table with the pictures; ``ids`` are a caller's own, kept as the label ``id``.
    """
    if isinstance(given, str | os.PathLike) or (isinstance(given, Source) and not hasattr(given, "columns")):
        if on is not None or ids is not None:
            raise UsageError("`on` is for a table, `ids` are for a list of pictures: leave them out")
        yield given
        return
    pictures, labels = _rows(given, on, ids)
    if all(isinstance(each, str | os.PathLike) or each is None for each in pictures):
        yield FrameSource(pictures, labels)
        return
    held = ((_bytes(each, at), labels[at]) for at, each in enumerate(pictures))  # made as they are written
    with uploads.kept(held) as source:
        yield source


def _rows(
    given: object, on: str | None, ids: Sequence[str | int] | None
) -> tuple[Sequence[object], Sequence[Mapping[str, LabelValue]]]:
    """Return pictures, or where they are, and the labels of each."""
    columns = None if isinstance(given, list | tuple) else columns_in(given)
    if columns is not None:
        if ids is not None:
            raise UsageError("the ids of a table are a column of it: leave `ids` out")
        key = key_of(columns, on)
        return columns[key], labels_by_row(columns, key)
    if on is not None:
        raise UsageError("`on` names a column, and this is no table: leave it out")
    pictures = list(given) if isinstance(given, list | tuple) else [given]
    return pictures, _labels_of_ids(ids, len(pictures))


def _labels_of_ids(ids: Sequence[str | int] | None, count: int) -> list[dict[str, LabelValue]]:
    if ids is None:
        return [{} for _ in range(count)]
    if len(ids) != count:
        raise UsageError(f"there are {len(ids)} ids for {count} pictures: give one of each")
    refuse_doubles(list(ids), "the id")
    return [labels_to_add({"id": each}) for each in ids]


def _bytes(picture: object, at: int) -> bytes:
    """Return the bytes of a picture in memory, or of a file by its path; raise WrongType that says which it is."""
    if isinstance(picture, str | os.PathLike):
        return bytes_of(picture)
    try:
        data = bytes_of_picture(picture)
    except WrongType as error:
        raise WrongType(f"picture {at + 1} of those given: {error}") from error
    if data is None:
        raise WrongType(f"{type(picture).__name__} (picture {at + 1} of those given) cannot be added, but {_TAKES} can")
    return data
