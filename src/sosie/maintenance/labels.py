"""What people said of the pictures of a library."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from sosie.catalogue import Store
from sosie.errors import UnknownName, UsageError, WrongType
from sosie.sources.frames import columns_in, key_of, labels_by_row, refuse_doubles
from sosie.sources.uris import place_of
from sosie.types import LabelValue, whole_number

__all__ = ["LabelEditor", "Labelled", "checked_labels", "labels_to_add"]

_BLOCK = 300  # pictures that are looked up, and labelled in one transaction


class LabelEditor:
    """Reads and writes the labels of a library; calling it counts them."""

    def __init__(self, catalogue: Store) -> None:
        self._catalogue = catalogue

    def __call__(self) -> dict[str, dict[str, int]]:
        """Return how many pictures carry each value of each label."""
        return self._catalogue.label_counts()

    def set(self, content_id: int, labels: Mapping[str, object]) -> None:
        """Set or, with None, take away labels of one picture: texts, numbers, lists of texts.

        Raises UnknownName, WrongType, UsageError.
        """
        checked = checked_labels(labels)
        if not self._catalogue.pictures([content_id]):
            raise UnknownName(f"the library has no picture {content_id}")
        self._catalogue.set_labels(content_id, checked)

    def from_frame(self, table: object, *, on: str | None = None) -> Labelled:
        """Set the labels that the columns of a DataFrame, an Arrow table or a mapping of lists give to pictures.

        ``on`` is the column that says which: paths, URIs or ids; None takes ``id``, else the one whose name says so.
        Empty cells change nothing. Raises UsageError for a table without such a column, or with a picture twice.
        """
        columns = columns_in(table)
        if columns is None:
            raise WrongType(f"{type(table).__name__} is no table: give a DataFrame, an Arrow table, a mapping of lists")
        key = key_of(columns, "id" if on is None and "id" in columns else on)
        refuse_doubles(keys := [_key(cell) for cell in columns[key]], "the picture")
        labels, written, unknown = labels_by_row(columns, key), 0, list[str | int]()
        for at in range(0, len(keys), _BLOCK):
            ids = self._ids_of(keys[at : at + _BLOCK])
            block = {ids[each]: labels[at + n] for n, each in enumerate(keys[at : at + _BLOCK]) if each in ids}
            self._catalogue.set_labels_of_each({content_id: each for content_id, each in block.items() if each})
            written += len(block)
            unknown += [each for each in keys[at : at + _BLOCK] if each not in ids]
        return Labelled(written, tuple(unknown))

    def _ids_of(self, keys: Sequence[str | int]) -> dict[str | int, int]:
        """Return the ids of those keys, ids and URIs, that are pictures here."""
        given = [each for each in keys if isinstance(each, int)]
        live = self._catalogue.meeting(given) if given else set()
        known = self._catalogue.look_up([each for each in keys if isinstance(each, str)])
        places: dict[str | int, int] = {u: one.located.content_id for u, one in known.items() if one.located}
        return {**{each: each for each in given if each in live}, **places}


@dataclass(frozen=True, slots=True)
class Labelled:
    """What became of a table of labels: how many pictures got some, and the keys of rows that name none here."""

    pictures: int
    unknown: tuple[str | int, ...]


def checked_labels(labels: Mapping[str, object]) -> dict[str, LabelValue | None]:
    """Return labels as a catalogue takes them; raise WrongType, and UsageError for a number that is none."""
    return {_checked_name(name): _checked_value(name, value) for name, value in labels.items()}


def labels_to_add(labels: Mapping[str, object] | None) -> dict[str, LabelValue]:
    """Return the labels of a new picture, checked; those that are None are none. Raises as `checked_labels` does."""
    return {name: value for name, value in checked_labels(labels or {}).items() if value is not None}


def _key(cell: object) -> str | int:
    """Return an id as it is, a path or URI as a URI; raise UsageError for an empty cell, or one of another type."""
    if (content_id := whole_number(cell)) is not None:
        return content_id
    if isinstance(cell, str | os.PathLike) and os.fspath(cell):
        return place_of(cell)
    raise UsageError(f"a row of the table names no picture (it has {cell!r}): give a path, a URI or an id")


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise WrongType(f"the name of a label is a text, not {name!r} of type {type(name).__name__}")
    if not name.strip():
        raise UsageError("a label has a name, and this one is empty")
    return name


def _checked_value(name: str, value: object) -> LabelValue | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Real):
        if not math.isfinite(number := float(value)):
            raise UsageError(f"the label {name!r} is to be {number}, which is no number: give None to take it away")
        return number
    if isinstance(value, list | tuple | set | frozenset | np.ndarray) and all(isinstance(each, str) for each in value):
        return tuple(sorted({str(each) for each in value})) or None
    raise WrongType(f"the label {name!r} is a text, a number or a list of texts, not {type(value).__name__} {value!r}")
