"""Tables that a program holds (DataFrames, Arrow tables, mappings of columns): their rows, what pictures they name."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from sosie.errors import BadPicture, UsageError
from sosie.extras import needed
from sosie.sources.columns import clean, guess_place, label_of
from sosie.sources.stamps import stamped
from sosie.sources.uris import place_of
from sosie.sources.web.links import LinkSource, is_web
from sosie.types import ImageRef, LabelValue

__all__ = ["FrameSource", "columns_in", "key_of", "labels_by_row", "refuse_doubles"]

Columns = Mapping[str, Sequence[object]]

_SAMPLE = 100  # rows that the column of pictures is guessed by


class FrameSource(LinkSource):
    """Iterates the pictures that a table names, by path or URL, in its order; ``labels`` has those of each row.

    A table of the program that runs may name any file of this machine; downloads reach the public web alone.
    """

    root = "table:///"
    partial = True  # a table says nothing of what it does not name

    def __init__(self, places: Sequence[object], labels: Sequence[Mapping[str, LabelValue]]) -> None:
        super().__init__(base=None)
        named = [(_place(each), mine) for each, mine in zip(places, labels, strict=True)]
        self._rows = [(place, mine) for place, mine in named if place is not None]
        refuse_doubles([place for place, _ in self._rows], "the picture")
        if lacking := len(named) - len(self._rows):
            warnings.warn(f"{lacking} of {len(named)} rows name no picture and are left out", stacklevel=2)

    def __iter__(self) -> Iterator[ImageRef]:
        return (replace(stamped(place), labels=labels) for place, labels in self._rows)

    def refuses(self, ref: ImageRef) -> BadPicture | None:
        """Say why a reference may not be read: it is neither a file nor a picture of the web."""
        if is_web(ref.uri) or ref.uri.startswith("file:///"):
            return None
        return BadPicture("bad_url", "only http, https and paths are read")


def columns_in(table: object) -> dict[str, list[object]] | None:
    """Return the columns of a DataFrame, an Arrow table or a mapping of lists; None for what is no table.

    Whatever speaks Arrow's PyCapsule interface is read by pyarrow. Raises UsageError for columns of one name or of
    different lengths, MissingExtra.
    """
    found = _read_columns(table)
    lengths = {name: len(values) for name, values in (found or {}).items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the columns of a table are of one length, not {lengths}")
    return found


def _read_columns(table: object) -> dict[str, list[object]] | None:
    if isinstance(table, Mapping):
        return {str(name): list(values) for name, values in table.items()}
    names = getattr(table, "column_names", None) or getattr(table, "columns", None)  # pyarrow's; pandas', polars'
    if names is not None and hasattr(table, "__getitem__") and not callable(names):
        refuse_doubles([str(name) for name in names], "the column")
        return {str(name): _values(table[name]) for name in names}
    if hasattr(table, "__arrow_c_stream__"):
        arrow = needed("pyarrow", "reading this table", extra="parquet").table(table)
        return {str(name): list(values) for name, values in arrow.to_pydict().items()}
    return None


def _values(column: Any) -> list[object]:
    read = getattr(column, "to_list", None) or getattr(column, "tolist", None) or column.to_pylist
    return [None if _is_empty(cell) else cell for cell in read()]


def _is_empty(cell: object) -> bool:
    """Tell NaN, pandas' NaT and its NA."""
    return (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in ("NaTType", "NAType")


def key_of(columns: Columns, on: str | None) -> str:
    """Return the column that says which picture a row is of: ``on``, else the one whose name says so.

    Raises UsageError where there is no such column.
    """
    if on is not None:
        if on not in columns:
            raise UsageError(f"the table has no column {on!r}: it has {', '.join(map(repr, columns)) or 'none'}")
        return on
    firsts = zip(*(values[:_SAMPLE] for values in columns.values()), strict=True)
    sample = [dict(zip(columns, row, strict=True)) for row in firsts]
    try:
        return guess_place(list(columns), sample)
    except UsageError as error:
        listed = ", ".join(map(repr, columns)) or "none"
        raise UsageError(f"no column of the table says where its pictures are, of {listed}: name it, on='…'") from error


def labels_by_row(columns: Columns, key: str) -> list[dict[str, LabelValue]]:
    """Return the labels of each row: every column but ``key``; an empty cell, NaN and what is no label gives none."""
    names = [name for name in columns if name != key]
    rows = zip(*(columns[name] for name in names), strict=True) if names else ((),) * len(columns[key])
    return [_labels(dict(zip(names, row, strict=True))) for row in rows]


def _labels(row: Mapping[str, object]) -> dict[str, LabelValue]:
    found = {
        clean(name): label_of(value.isoformat() if isinstance(value, date) else value, "single")
        for name, value in row.items()
    }
    return {name: value for name, value in found.items() if name and value is not None}


def refuse_doubles(keys: Sequence[object], what: str) -> None:
    """Raise UsageError where a key comes more than once."""
    (most, count) = Counter(keys).most_common(1)[0] if keys else (None, 0)
    if count > 1:
        raise UsageError(f"{what} {most!r} comes {count} times in the table: leave one row of each")


def _place(cell: object) -> str | None:
    if isinstance(cell, Path):
        return place_of(cell)
    if not isinstance(cell, str) or not cell.strip() or "\0" in cell:
        return None
    return place_of(cell.strip())
