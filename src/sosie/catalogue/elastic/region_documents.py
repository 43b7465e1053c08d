"""Regions as they stand in the documents of their pictures: numbered, each with its vector. No network here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sosie.catalogue.elastic.documents import packed
from sosie.catalogue.records import AddRegions, RegionRow
from sosie.errors import UsageError
from sosie.types import FloatMatrix, Region

__all__ = ["MOST", "owner_of", "region_vectors", "regions", "regions_of", "restore_vectors"]

Source = Mapping[str, Any]

_NUMBER_BITS = 10
MOST = (1 << _NUMBER_BITS) - 1  # regions of one kind that a picture may have


def regions(found: AddRegions) -> list[dict[str, Any]]:
    """Return the regions of a picture, as they stand in its document."""
    if len(found.regions) > MOST:
        raise UsageError(f"a picture has at most {MOST:,} regions of a kind, not {len(found.regions):,}")
    return [
        {
            "box": list(map(float, region.box)),
            "label": region.label,
            "confidence": float(region.confidence),
            "half": base64.b64encode(np.asarray(vector, np.float16).tobytes()).decode("ascii"),
            "vector": packed(vector),
        }
        for region, vector in zip(found.regions, found.vectors, strict=True)
    ]


def restore_vectors(found: Iterable[dict[str, Any]]) -> None:
    """Give regions, as they were read, the vectors that were left out of them."""
    for one in found:
        one["vector"] = packed(np.frombuffer(base64.b64decode(one["half"]), np.float16))


def region_id(content_id: int, number: int) -> int:
    """Return the id of one of a picture's regions: the picture's 53 bits, then which it is; unique in its space."""
    return content_id << _NUMBER_BITS | number + 1


def owner_of(region: int) -> int:
    """Return the picture that a region is of, by its id."""
    return region >> _NUMBER_BITS


def regions_of(source: Source, field: str) -> list[RegionRow]:
    """Return the regions that a document holds in a field, as they are stored."""
    return [
        RegionRow(
            region_id(source["id"], number),
            source["id"],
            Region((*one["box"],), one["label"], one["confidence"]),
        )
        for number, one in enumerate(source.get(field, ()))
    ]


def region_vectors(sources: Iterable[Source], field: str, dim: int) -> FloatMatrix:
    """Return the vectors (n, dim) of the regions that documents hold in a field, one after another."""
    halves = (base64.b64decode(one["half"]) for source in sources for one in source.get(field, ()))
    return np.frombuffer(b"".join(halves), np.float16).reshape(-1, dim).astype(np.float32)
