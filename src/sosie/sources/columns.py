"""Turn columns of a table into the picture's place and its labels.

A column is a number where every value of the sample reads as one, several values where they are joined by
``;`` or ``|`` without a space, else a text. A later value that does not fit its column is kept as a text:
nothing is lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sosie.errors import UsageError
from sosie.types import LabelValue

__all__ = [
    "SAMPLE",
    "Kind",
    "Row",
    "Table",
    "guess_kinds",
    "guess_place",
    "label_of",
    "labels_of",
    "names_picture",
    "place_in",
]

Kind: TypeAlias = Literal["single", "number", "multi"]
Row: TypeAlias = Mapping[str, Any]

SAMPLE = 1000  # rows that columns are guessed from

_PLACES = (
    "url", "image_url", "img_url", "imageurl", "image", "img", "src", "uri", "link", "href", "path", "file", "filename",
    "file_name", "filepath", "file_path", "image_path", "location",
)  # fmt: skip
# Facts of the file rather than labels: the catalogue has its own.
_FACTS = frozenset({"sha256", "sha1", "md5", "width", "height", "size", "bytes"})
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # a byte that was not UTF-8 (PEP 383)
_GUARDED = re.compile(r"^'(?='*[=+\-@])")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_PICTURE_NAME = re.compile(r"\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif|heic)(?:\?|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """What the columns of a table mean: where the picture is, and which labels it has."""

    place: str
    kinds: Mapping[str, Kind]


def guess_place(columns: Sequence[str], sample: Sequence[Row]) -> str:
    """Return the column that says where the picture is: by its name, else by what it holds."""
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    for name in _PLACES:
        if name in by_name:
            return by_name[name]
    for looks_right in (_is_url, _is_picture_name):
        for column in columns:
            values = [str(row[column]) for row in sample if row.get(column)]
            if values and sum(map(looks_right, values)) * 2 > len(values):
                return column
    raise UsageError(
        f"no column looks like a URL or a path among {', '.join(map(repr, columns[:12])) or 'none'}; "
        "name it with --url-column"
    )


def place_in(row: Row, place: str) -> str:
    """Return the column of one row that says where its picture is: the table's, else another that may, by name."""
    if row.get(place):
        return place
    return next((name for name in row if name.strip().lower() in _PLACES and isinstance(row[name], str)), place)


def names_picture(cell: str) -> bool:
    """Tell whether a cell is a URL or the name of a picture, which no header is."""
    return "://" in cell or _is_picture_name(cell)


def guess_kinds(names: Iterable[str], sample: Sequence[Row]) -> dict[str, Kind]:
    """Return what each label column holds."""
    return {name: _guess_kind([row.get(name) for row in sample]) for name in names if name.lower() not in _FACTS}


def _guess_kind(values: Iterable[Any]) -> Kind:
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if texts and all(_NUMBER.fullmatch(text) for text in texts):
        return "number"
    for mark in ";|":
        joined = [text for text in texts if mark in text]
        if joined and not any(f"{mark} " in text for text in joined):
            return "multi"
    return "single"


def labels_of(row: Row, kinds: Mapping[str, Kind]) -> dict[str, LabelValue]:
    """Return the labels of one row; an empty cell gives none."""
    labels = {clean(name): label_of(row.get(name), kind) for name, kind in kinds.items()}
    return {name: value for name, value in labels.items() if value is not None and name}


def label_of(value: Any, kind: Kind) -> LabelValue | None:
    """Return one cell as a label, or None where it says nothing."""
    if isinstance(value, str):
        return _label_of_text(clean(value), kind)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple | set | frozenset):
        parts = sorted({clean(str(part)) for part in value if part is not None} - {""})
        return tuple(parts) or None
    return None  # nothing, bytes, or a structure


def _label_of_text(text: str, kind: Kind) -> LabelValue | None:
    if kind == "multi":
        return tuple(sorted({part.strip() for part in re.split("[;|]", text)} - {""})) or None
    if kind == "number" and _NUMBER.fullmatch(text):
        return _number(float(text))
    return text or None


def _number(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def clean(text: str) -> str:
    """Return a text without NULs, halves of surrogate pairs and outer spaces, at most 10,000 characters of it.

    The apostrophe that keeps a spreadsheet from taking a text for a formula is no part of it (`sosie labels export`).

    Bytes that were not UTF-8 are read as Windows-1252, the charset of spreadsheets that do not say which they use.
    """
    text = _GUARDED.sub("", text.strip()[:10_000].replace("\0", ""))
    if text.isascii():
        return text
    text = _RAW_BYTE.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), text)
    return text.encode("utf-8", "replace").decode("utf-8")


def _is_url(value: str) -> bool:
    return value.strip().lower().startswith(("http://", "https://"))


def _is_picture_name(value: str) -> bool:
    return _PICTURE_NAME.search(value.strip()) is not None
