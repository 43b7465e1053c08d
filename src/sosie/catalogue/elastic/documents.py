"""Pictures as documents: deterministic ids, labels as terms, and back again. No network here."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sosie.catalogue.records import ContentRow, FactValues, Located, PictureRecord
from sosie.elastic.vectors import pack
from sosie.errors import UsageError
from sosie.types import FloatMatrix, ImageRef, LabelValue

__all__ = [
    "content_of",
    "document",
    "fact_fields",
    "facts_of",
    "fold",
    "ids_of",
    "label_fields",
    "labels_of",
    "number_key",
    "number_of",
    "packed",
    "place",
    "place_fields",
    "place_key",
    "places_in",
    "record_of",
    "refusal_of",
    "stack",
    "text_key",
]

Source = Mapping[str, Any]

NUL = "\0"
_LONGEST = 32_000  # bytes of a term; Lucene takes 32,766


def ids_of(sha256: bytes) -> tuple[int, int]:
    """Return the two ids that a picture may have: 53 bits of its digest each, so that JSON keeps them whole.

    The first is taken unless another picture has it (one pair in 2^53), then the second. A retry meets its own.
    """
    first, second = (int.from_bytes(part) >> 3 for part in (sha256[:7], sha256[7:14]))
    return max(first, 1), max(second, 1)  # 0 is no id: "above 0" is how all are asked for


def document(content_id: int, row: ContentRow, *, added_at: float) -> dict[str, Any]:
    """Return a new picture's document, without places, labels and vectors."""
    return {
        "id": content_id,
        "sha256": row.sha256.hex(),
        "bytes": row.size,
        "format": row.format,
        "format_folded": fold(row.format),
        "width": row.width,
        "height": row.height,
        "pixels": row.pixels.hex(),
        "pixels_version": row.pixels_version,
        "frames": row.frames,
        "repaired": row.repaired,
        "pdq": None if row.pdq is None else row.pdq.hex(),
        "pdq_quality": row.pdq_quality,
        "added_at": added_at,
        "added": _date(int(added_at)),
        "spaces": [],
        **_NO_PLACES,
        **_NO_LABELS,
    }


def place_fields(places: Sequence[Source]) -> dict[str, Any]:
    """Return the fields that follow from where a picture is."""
    ordered = sorted(places, key=lambda place: (place.get("gone_at") is not None, str(place["uri"])))
    for place in ordered:
        _check(place["uri"], "an address")
    return {
        "places": [dict(place) for place in ordered],
        "uris_folded": [fold(place["uri"]) for place in ordered],
        "live": bool(ordered),
    }


def place(ref: ImageRef, root: str, *, now: float) -> dict[str, Any]:
    """Return one place, as it stands in a document."""
    stamp = {"size": ref.size, "mtime_ns": ref.mtime_ns, "inode": ref.inode}
    return {"uri": ref.uri, "root": root, **stamp, "seen_at": now, "gone_at": None}


def label_fields(labels: Mapping[str, LabelValue]) -> dict[str, Any]:
    """Return the fields that follow from a picture's labels; raise UsageError for one that cannot be a term."""
    texts: set[str] = set()
    numbers: set[str] = set()
    for name, value in labels.items():
        _check(name, "a label's name")
        if isinstance(value, float | int):
            numbers.add(number_key(name, float(value)))
        else:
            texts |= {text_key(name, text) for text in (value if isinstance(value, tuple) else (value,))}
    for text in texts:
        _check(text.replace(NUL, "", 1), "a label")
    return {
        "labels": [{"name": name, "value": _plain(value)} for name, value in sorted(labels.items()) if value != ()],
        "names": sorted(name for name, value in labels.items() if value != ()),
        "texts": sorted(texts),
        "folded": sorted({_folded(text) for text in texts}),
        "numbers": sorted(numbers),
    }


def fact_fields(facts: Mapping[str, FactValues]) -> dict[str, Any]:
    """Return the fields that follow from a picture's facts; raise UsageError for one that cannot be a term."""
    kept = {name: values for name, values in sorted(facts.items()) if values}
    texts = [(name, value) for name, values in kept.items() for value in values if isinstance(value, str)]
    numbers = [(name, value) for name, values in kept.items() for value in values if not isinstance(value, str)]
    for name, text in [*((name, "") for name in kept), *texts]:
        _check(name, "a fact's name")
        _check(text, "a fact")
    return {
        "facts": [{"name": name, "values": list(values)} for name, values in kept.items()],
        "fact_names": list(kept),
        "fact_texts": sorted(text_key(*fact) for fact in texts),
        "fact_folded": sorted({_folded(text_key(*fact)) for fact in texts}),
        "fact_numbers": sorted(number_key(*fact) for fact in numbers),
    }


def facts_of(source: Source) -> dict[str, FactValues]:
    """Return the facts of a document."""
    return {
        fact["name"]: tuple(value if isinstance(value, str) else float(value) for value in fact["values"])
        for fact in source.get("facts", ())
    }


def labels_of(source: Source) -> dict[str, LabelValue]:
    """Return the labels of a document."""
    return {label["name"]: _typed(label["value"]) for label in source["labels"]}


@functools.lru_cache(maxsize=64)  # a commit adds at one moment
def _date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_NO_PLACES: Source = {"places": [], "uris_folded": [], "live": False}
_NO_LABELS: Source = {"labels": [], "names": [], "texts": [], "folded": [], "numbers": []}


def _plain(value: LabelValue) -> str | float | list[str]:
    return sorted(set(value)) if isinstance(value, tuple) else value


def _typed(value: str | float | list[str]) -> LabelValue:
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, str) else float(value)


def record_of(source: Source) -> PictureRecord:
    """Return a document as its users see it."""
    return PictureRecord(
        id=int(source["id"]),
        sha256=source["sha256"],
        bytes=source["bytes"],
        format=source["format"],
        width=source["width"],
        height=source["height"],
        uris=tuple(place["uri"] for place in source["places"]),
        labels=labels_of(source),
        facts=facts_of(source),
        added_at=source["added_at"],
        gone=bool(source["places"]) and all(place.get("gone_at") is not None for place in source["places"]),
    )


def content_of(source: Source) -> ContentRow:
    """Return what was read out of a document's picture."""
    return ContentRow(
        sha256=bytes.fromhex(source["sha256"]),
        size=source["bytes"],
        format=source["format"],
        width=source["width"],
        height=source["height"],
        pixels=bytes.fromhex(source["pixels"]),
        pdq=None if source["pdq"] is None else bytes.fromhex(source["pdq"]),
        pdq_quality=source["pdq_quality"],
        pixels_version=source.get("pixels_version", 1),
        frames=source.get("frames"),
        repaired=source.get("repaired"),
    )


def places_in(source: Source) -> Iterator[tuple[str, Located]]:
    """Yield every place of a document, and what is stored of it."""
    for at in source["places"]:
        stamp = (at["size"], at["mtime_ns"], at["inode"])
        gone = at.get("gone_at") is not None
        yield at["uri"], Located(int(source["id"]), bytes.fromhex(source["sha256"]), at["root"], stamp, gone)


def place_key(uri: str) -> str:
    """Return the key of a refused place's document; addresses may be longer than keys."""
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()


def refusal_of(source: Source) -> tuple[tuple[int | None, int | None, int | None], str]:
    """Return the stamp and the reason of a refused place's document."""
    return (source["size"], source["mtime_ns"], source["inode"]), source["reason"]


# ------------------------------------------------------------------------------------------------ terms


def text_key(name: str, text: str) -> str:
    """Return the term of a label that is a text."""
    return f"{name}{NUL}{text}"


def number_key(name: str, number: float) -> str:
    """Return the term of a label that is a number; terms sort as the numbers do (-0.0 is 0.0)."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    bits = bits ^ 0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else bits | 1 << 63
    return f"{name}{NUL}{bits:016x}"


def number_of(key: str) -> tuple[str, float]:
    """Return the name and the number of a term."""
    name, _, digits = key.rpartition(NUL)
    bits = int(digits, 16)
    bits = bits & ~(1 << 63) if bits >> 63 else bits ^ 0xFFFF_FFFF_FFFF_FFFF
    return name, float(struct.unpack(">d", struct.pack(">Q", bits))[0])


def fold(text: str) -> str:
    """Lower A to Z alone, as SQLite does."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _folded(key: str) -> str:
    name, _, text = key.partition(NUL)
    return text_key(name, fold(text))


def _check(text: str, what: str) -> None:
    if NUL in text or (4 * len(text) > _LONGEST and len(text.encode("utf-8", "surrogatepass")) > _LONGEST):
        raise UsageError(f"{what} that begins with {text[:40]!r} cannot be stored: at most 32,000 bytes, and no NUL")


# ------------------------------------------------------------------------------------------------ vectors


def packed(vector: FloatMatrix) -> str:
    """Return a vector as the cluster reads it fastest, rounded as SQLite stores it."""
    return pack(np.asarray(vector, np.float16))


def stack(vectors: Iterable[Sequence[float]], dim: int) -> FloatMatrix:
    """Return vectors (n, dim) that came back as lists."""
    rows = list(vectors)
    return np.asarray(rows, np.float32).reshape(len(rows), dim)
