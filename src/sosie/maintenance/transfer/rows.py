"""What travels: pictures as rows, how much there is of each, and digests that need no order."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sosie.catalogue import ContentRow, Located, Space, Store
from sosie.errors import SosieError
from sosie.types import LabelValue

__all__ = ["BATCH", "LATER", "Moved", "Row", "Sums", "read_rows", "refused"]

BATCH = 500  # pictures that are in memory at once
_HASH_BYTES = 16
# What is known of pictures since schema 2, and what stands for not knowing it: left out, as in exports from before.
LATER: Mapping[str, Any] = {"pixels_version": 1, "frames": None, "repaired": None}


@dataclass(frozen=True, slots=True)
class Moved:
    """What was written or read: how much of each, and its digest. Pictures without a place stay behind."""

    counts: Mapping[str, int]
    digests: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the counts and digests with plain JSON types."""
        return asdict(self)


@dataclass(slots=True)
class Sums:
    """Counts and digests in the making."""

    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    sums: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, what: str, row: Any) -> None:
        text = json.dumps(row, sort_keys=True, ensure_ascii=True).encode()
        self.counts[what] += 1
        self.sums[what] += int.from_bytes(hashlib.blake2b(text, digest_size=_HASH_BYTES).digest())

    def moved(self) -> Moved:
        digests = {what: f"{total % (1 << 8 * _HASH_BYTES):032x}" for what, total in self.sums.items()}
        return Moved(dict(self.counts), digests)


@dataclass(frozen=True, slots=True)
class Row:
    """One picture as it travels; places are (uri, root, size, mtime_ns, inode)."""

    content: ContentRow
    added_at: float
    places: tuple[tuple[Any, ...], ...]
    labels: Mapping[str, LabelValue]
    vectors: Mapping[str, bytes]  # space name → float16

    def to_json(self) -> dict[str, Any]:
        content = {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(self.content).items()}
        content = {k: v for k, v in content.items() if k not in LATER or v != LATER[k]}
        labels = {k: list(v) if isinstance(v, tuple) else v for k, v in self.labels.items()}
        vectors = {name: vector.hex() for name, vector in self.vectors.items()}
        places = [list(place) for place in self.places]
        return {**content, "added_at": self.added_at, "places": places, "labels": labels, "vectors": vectors}


def read_rows(store: Store, ids: Sequence[int], spaces: Sequence[Space]) -> list[Row]:
    """Return some pictures as they travel."""
    vectors: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    for space in spaces:
        found, matrix = store.vectors_of(space, ids)
        for content_id, vector in zip(found.tolist(), matrix.astype(np.float16), strict=True):
            vectors[content_id][space.name] = vector.tobytes()
    contents = store.contents(ids)
    records = store.pictures(ids)
    known = store.look_up([uri for record in records for uri in record.uris])
    return [
        Row(
            content=contents[record.id],
            added_at=record.added_at,
            places=tuple(place_of(uri, known[uri].located) for uri in record.uris),
            labels=record.labels,
            vectors=vectors[record.id],
        )
        for record in records
    ]


def place_of(uri: str, located: Located | None) -> tuple[Any, ...]:
    if located is None:
        raise SosieError(f"{uri} was changed while the library was read: export it again")
    return (uri, located.root, *located.stamp)


def refused(store: Store) -> Iterator[dict[str, Any]]:
    roots = {ref.uri: root for root, ref in store.quarantined_refs()}
    for row in store.quarantine():
        stamp, _ = store.quarantined(row.uri) or ((None, None, None), "")
        size, mtime_ns, inode = stamp
        stamped = {"size": size, "mtime_ns": mtime_ns, "inode": inode}
        yield {"uri": row.uri, "reason": row.reason, "detail": row.detail, "root": roots[row.uri], **stamped}
