"""Regions as they travel: one row for each picture in each space of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.catalogue import AddRegions, Space, Store
from sosie.types import Region

__all__ = ["Found", "from_parquet", "read_regions", "region_schema", "to_parquet"]

_PLACE = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in one picture in one space, in its order; vectors are float16, as they are stored."""

    sha256: bytes
    space: str
    regions: tuple[Region, ...]
    vectors: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        rows = [
            [*region.box, region.label, region.confidence, vector.hex()]
            for region, vector in zip(self.regions, self.vectors, strict=True)
        ]
        return {"sha256": self.sha256.hex(), "space": self.space, "regions": rows}

    def change(self, space: Space) -> AddRegions:
        """Return what writes it to a space."""
        flat = np.frombuffer(b"".join(self.vectors), np.float16)
        return AddRegions(space.regions, self.regions, flat.reshape(-1, space.dim).astype(np.float32))


def read_regions(store: Store, ids: Mapping[bytes, int], spaces: Mapping[str, Space]) -> list[Found]:
    """Return what is stored of some pictures (by SHA-256) in these spaces (by the name that they travel under)."""
    digests = {content_id: sha256 for sha256, content_id in ids.items()}
    found = []
    for name, space in spaces.items():
        rows, vectors = store.regions_of(space, sorted(digests))
        by_picture: defaultdict[int, list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            by_picture[row.content_id].append(at)
        small = vectors.astype(np.float16)
        found += [
            Found(digests[i], name, tuple(rows[at].region for at in mine), tuple(small[at].tobytes() for at in mine))
            for i, mine in by_picture.items()
        ]
    return found


def region_schema(pa: Any) -> Any:
    numbers = [(name, pa.float64()) for name in _PLACE]
    region = [*numbers, ("label", pa.string()), ("confidence", pa.float64()), ("vector", pa.list_(pa.float16()))]
    return pa.schema([("sha256", pa.string()), ("space", pa.string()), ("regions", pa.list_(pa.struct(region)))])


def to_parquet(pa: Any, found: Iterable[Found]) -> Any:
    """Return a table of what was found."""
    plain = [
        {"sha256": each.sha256.hex(), "space": each.space, "regions": [*map(_plain, each.regions, each.vectors)]}
        for each in found
    ]
    return pa.Table.from_pylist(plain, schema=region_schema(pa))


def from_parquet(rows: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Return what rows of such a table hold."""
    return [
        Found(
            bytes.fromhex(one["sha256"]),
            one["space"],
            tuple(Region(tuple(r[n] for n in _PLACE), r["label"], r["confidence"]) for r in one["regions"]),
            tuple(np.asarray(each["vector"], np.float16).tobytes() for each in one["regions"]),
        )
        for one in rows
    ]


def _plain(region: Region, vector: bytes) -> dict[str, Any]:
    seen = {"label": region.label, "confidence": region.confidence, "vector": np.frombuffer(vector, np.float16)}
    return {**dict(zip(_PLACE, region.box, strict=True)), **seen}
