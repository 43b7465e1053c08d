"""What a picture says of itself in EXIF (CIPA DC-008), XMP (ISO 16684) and IPTC IIM: when, with what, by whom.

Pillow and defusedxml read the containers. Whatever is in them is hostile: each field is read by itself within bounds,
and one that is damaged is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sosie.types import METADATA

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["GPS", "USUAL", "Found", "check_metadata", "read_metadata"]

Found = dict[str, list[str | float]]

USUAL, GPS = "usual", "gps"  # what is read: all but the place, or that, too

_MOST_TEXT, _MOST_VALUES = 500, 64  # characters of a value; values of a name
_MOST_BYTES = 1 << 18  # of an XMP packet or an IPTC record; cameras and photo managers write some 10 kB
_EXIF, _GPS = 0x8769, 0x8825  # directories
_MAKE, _MODEL, _ARTIST, _COPYRIGHT, _ORIENTATION = 0x010F, 0x0110, 0x013B, 0x8298, 0x0112
_ORIGINAL, _DIGITIZED, _LENS = 0x9003, 0x9004, 0xA434
_DATE = re.compile(r"(\d{4})(?:[:-](\d\d)(?:[:-](\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?)?)?")
_IPTC = {"exif.title": (2, 5), "exif.keywords": (2, 25), "exif.creator": (2, 80), "exif.rights": (2, 116)}
_IPTC_DATE, _IPTC_TIME = (2, 55), (2, 60)
_XMP = {"exif.title": "title", "exif.keywords": "subject", "exif.creator": "creator", "exif.rights": "rights"}
_XMP_DATES = ("DateTimeOriginal", "DateCreated", "DateTimeDigitized")


def read_metadata(file: ImageFile, what: str) -> Found:
    """Return the facts in an opened file: texts and numbers by the names of `METADATA`; ``what`` is USUAL or GPS.

    Of EXIF, XMP and IPTC the first that has a field counts. Never raises.
    """
    found: Found = {}
    for read in (_read_exif, _read_xmp, _read_iptc, *((_read_gps,) if what == GPS else ())):
        with suppress(Exception):  # Pillow raises nearly anything for damaged metadata
            for name, values in read(file):
                kept = [value for value in values if _is_sound(name, value)][:_MOST_VALUES]
                if kept:
                    found.setdefault(name, list(dict.fromkeys(kept)))
    return found


def check_metadata(told: object) -> dict[str, tuple[str | float, ...]]:
    """Return what a worker told, without whatever `read_metadata` cannot have given."""
    pairs = told.items() if isinstance(told, Mapping) else ()
    sound = {
        name: tuple(value for value in values if _is_sound(name, value))[:_MOST_VALUES]
        for name, values in pairs
        if name in METADATA and isinstance(values, list)
    }
    return {name: values for name, values in sound.items() if values}


def _is_sound(name: str, value: object) -> bool:
    if METADATA[name] is float:
        return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, str) and 0 < len(value) <= _MOST_TEXT and value.isprintable()


# ------------------------------------------------------------------------------------------------ EXIF


def _read_exif(file: ImageFile) -> Iterator[tuple[str, list[Any]]]:
    if not ({"exif", "Raw profile type exif"} & file.info.keys() or hasattr(file, "tag_v2")):
        return
    exif = file.getexif()
    yield "exif.camera", [_camera(_text(_tag(exif, _MAKE)), _text(_tag(exif, _MODEL)))]
    yield "exif.creator", [_text(_tag(exif, _ARTIST))]
    yield "exif.rights", [_text(_tag(exif, _COPYRIGHT))]
    orientation = _tag(exif, _ORIENTATION)
    yield "exif.orientation", [float(orientation)] if orientation in range(1, 9) else []
    more = exif.get_ifd(_EXIF)
    yield "exif.lens", [_text(_tag(more, _LENS))]
    yield "exif.date", [date for tag in (_ORIGINAL, _DIGITIZED) if (date := _date(_text(_tag(more, tag))))][:1]


def _tag(directory: Any, tag: int) -> Any:
    """Return the value of a tag; None for one that is absent or damaged."""
    try:
        return directory.get(tag)
    except Exception:  # values are unpacked when they are asked for
        return None


def _camera(make: str, model: str) -> str:
    """Return maker and model, once where the model begins with the maker's name, as most do."""
    first = make.split(" ", maxsplit=1)[0].casefold()
    return model if model.casefold().startswith(first) else f"{make} {model}".strip()


def _read_gps(file: ImageFile) -> Iterator[tuple[str, list[Any]]]:
    gps = file.getexif().get_ifd(_GPS)
    latitude, longitude = _angle(gps, 1, "S", most=90), _angle(gps, 3, "W", most=180)
    if not latitude == longitude == 0:  # what cameras write that do not know
        yield from (("exif.latitude", [latitude]), ("exif.longitude", [longitude]))


def _angle(gps: Mapping[int, Any], at: int, negative: str, *, most: float) -> float:
    """Return the degrees of a coordinate, given by a tag of its side and the next one; raise ValueError outside."""
    degrees, minutes, seconds = (float(part) for part in gps[at + 1])
    angle = degrees + minutes / 60 + seconds / 3600
    if not 0 <= angle <= most:
        raise ValueError(f"{angle} degrees")
    return round(-angle if _text(gps[at]) == negative else angle, 7)


# ------------------------------------------------------------------------------------------------ XMP


def _read_xmp(file: ImageFile) -> Iterator[tuple[str, list[Any]]]:
    packet = file.info.get("xmp")
    get: Callable[[], dict[str, Any]] | None = getattr(file, "getxmp", None)
    if not isinstance(packet, bytes) or len(packet) > _MOST_BYTES or get is None:
        return
    described = get()["xmpmeta"]["RDF"]["Description"]
    merged = {key: value for part in reversed(_as_list(described)) for key, value in part.items()}
    for name, key in _XMP.items():
        yield name, [_text(text) for text in _texts(merged.get(key))]
    yield "exif.date", [_date(_text(merged[key])) for key in _XMP_DATES if isinstance(merged.get(key), str)][:1]


def _texts(node: Any) -> Iterator[str]:
    """Yield the texts below a node of XMP: a text, a list of alternatives, an ordered or unordered one."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each)
    elif isinstance(node, Mapping):
        yield from _texts([value for key, value in node.items() if key != "lang"])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# ------------------------------------------------------------------------------------------------ IPTC


def _read_iptc(file: ImageFile) -> Iterator[tuple[str, list[Any]]]:
    from PIL.IptcImagePlugin import getiptcinfo

    if "photoshop" not in file.info and not hasattr(file, "tag_v2"):
        return
    record = getiptcinfo(file) or {}
    if sum(len(each or b"") for values in record.values() for each in _as_list(values)) > _MOST_BYTES:
        return
    for name, key in _IPTC.items():
        yield name, [_text(each) for each in _as_list(record.get(key, []))]
    day, time = (_text(_as_list(record.get(key, b""))[0]) for key in (_IPTC_DATE, _IPTC_TIME))
    yield "exif.date", [_date(_spaced(day, (4, 6), "-") + (f" {_spaced(time[:6], (2, 4), ':')}" if time else ""))]


def _spaced(digits: str, at: Sequence[int], mark: str) -> str:
    return mark.join(digits[start:end] for start, end in pairwise([0, *at, len(digits)]))


# ------------------------------------------------------------------------------------------------ values


def _text(value: Any) -> str:
    """Return a value as one line of text, empty where it is none; what is no UTF-8 is read as Windows-1252."""
    if isinstance(value, str):
        with suppress(UnicodeError):  # Pillow reads EXIF's texts as Latin-1
            value = value.encode("latin-1").decode()
    elif isinstance(value, bytes):
        value = _decoded(value)
    else:
        return ""
    return " ".join(_shown(value[: 2 * _MOST_TEXT])).strip()[:_MOST_TEXT].strip()


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeError:
        return value.decode("cp1252", "replace")


def _shown(text: str) -> Iterable[str]:
    """Return the words of a text, without characters that cannot be shown."""
    return "".join(char if char.isprintable() else " " for char in text).split()


def _date(text: str) -> str:
    """Return a moment as ISO 8601, as exact as it is given and without its time zone; empty for what is none."""
    match = _DATE.match(text)
    parts = [part for part in match.groups() if part] if match else []
    if not parts:
        return ""
    marks = ("", "-", "-", "T", ":", ":")
    text = "".join(mark + part for mark, part in zip(marks, parts, strict=False))
    with suppress(ValueError):
        datetime.fromisoformat(text + "2000-01-01"[len(text) :])
        return text
    return ""
