"""What the catalogue stores, as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sosie.types import EmbedderSpec, FloatMatrix, Ids, ImageRef, LabelValue, Region

__all__ = [
    "LAST",
    "AddContent",
    "AddLocation",
    "AddQuarantine",
    "AddRegions",
    "Change",
    "ContentChange",
    "ContentRow",
    "Decision",
    "FactValues",
    "Held",
    "Job",
    "KnownPlace",
    "LocalFeatures",
    "Located",
    "LogEntry",
    "PairVerdict",
    "PictureRecord",
    "Place",
    "QuarantineRow",
    "RegionRow",
    "Space",
    "Vouched",
    "digest_of",
    "fields_digest",
    "is_below",
    "row_is_sound",
]


LAST = "\U0010ffff"  # sorts behind every character of a URI


def is_below(uri: str, root: str) -> bool:
    """Tell whether a place is below a root: by its path, a member of an archive by that archive's root alone."""
    return uri.startswith(root) and ("!/" in root or "!/" not in uri or not root.endswith("/"))


def digest_of(data: bytes) -> bytes:
    """Return the digest (8 bytes) that is stored beside what must not change unseen."""
    return hashlib.blake2b(data, digest_size=8).digest()


def fields_digest(*fields: object) -> bytes:
    """Return the digest of a row: of its fields, in the order of its table."""
    return digest_of(repr(fields).encode("utf-8", "surrogatepass"))


def row_is_sound(row: Sequence[object]) -> bool:
    """Tell whether a row, its digest last, is what was written; one of an older version has no digest."""
    return row[-1] is None or fields_digest(*row[:-1]) == row[-1]


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One picture's bytes: what was read out of them."""

    sha256: bytes
    size: int  # bytes
    format: str
    width: int
    height: int
    pixels: bytes  # digest of the decoded pixels
    pdq: bytes | None = None  # 32 bytes
    pdq_quality: int = 0
    pixels_version: int = 1  # 1: of pixels that were shrunken, so that equal ones prove nothing; EXACT_PIXELS: of all
    frames: int | None = None  # None: not counted
    repaired: str | None = None  # what was wrong with a file that was decoded all the same


@dataclass(frozen=True, slots=True)
class AddRegions:
    """The regions of one kind that were found in a picture, at least one, and their vectors (n, dim)."""

    kind: str
    regions: Sequence[Region]
    vectors: FloatMatrix


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """What copies of a picture are proved by, packed: its local features, or itself very small, by a version."""

    version: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AddContent:
    """Write a picture, or the vectors that a known one lacks: its row, where it was found, vectors by space id."""

    row: ContentRow
    ref: ImageRef
    vectors: Mapping[int, FloatMatrix]  # space id → (dim,)
    regions: Mapping[int, AddRegions] = field(default_factory=dict)  # space id → what takes the place of those there
    added_at: float | None = None  # seconds since 1970; None: now. A known picture keeps its own.
    facts: Mapping[str, FactValues] = field(default_factory=dict)  # in the place of those of the same names
    features: Sequence[LocalFeatures] = ()


@dataclass(frozen=True, slots=True)
class AddLocation:
    """A known picture was found at ``ref``; ``gone`` are the places it has left."""

    sha256: bytes
    ref: ImageRef
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddQuarantine:
    """The file at ``ref`` cannot become a picture."""

    ref: ImageRef
    reason: str
    detail: str


Change: TypeAlias = AddContent | AddLocation | AddQuarantine


@dataclass(frozen=True, slots=True)
class Located:
    """What is stored of a place: which picture it holds and what its file looked like then."""

    content_id: int
    sha256: bytes
    root: str
    stamp: tuple[int | None, int | None, int | None]  # size, mtime_ns, inode
    gone: bool = False  # it was not there when it was looked for


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """What a catalogue knows of a place: the picture there, or why there is none; both None: nothing."""

    located: Located | None = None
    refused: tuple[tuple[int | None, int | None, int | None], str] | None = None  # stamp, reason
    labels: Mapping[str, LabelValue] | None = None  # of the picture; None: they have to be asked for


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture of the library as its users see it."""

    id: int
    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    uris: tuple[str, ...]
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    added_at: float = 0.0
    gone: bool = False  # no place of it is there any more, as far as is known
    facts: Mapping[str, FactValues] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the record with plain JSON types."""
        labels = {k: list(v) if isinstance(v, tuple) else v for k, v in self.labels.items()}
        return {
            "id": self.id,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "uris": list(self.uris),
            "labels": labels,
            "added_at": self.added_at,
            **({"facts": {name: list(values) for name, values in self.facts.items()}} if self.facts else {}),
            **({"gone": True} if self.gone else {}),
        }


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A file that could not become a picture, and why."""

    uri: str
    reason: str
    detail: str
    tries: int
    at: float


@dataclass(frozen=True, slots=True)
class Space:
    """One head of one embedder over one kind of region."""

    id: int
    name: str
    spec: EmbedderSpec
    spec_hash: str
    head: str
    dim: int
    regions: str = "whole"


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A stored region, and the picture that it is a part of."""

    id: int
    content_id: int
    region: Region


@dataclass(frozen=True, slots=True)
class Held:
    """The regions of some pictures, picture by picture: ids (n,), pictures (n,), how sure (n,), vectors (n, dim)."""

    ids: Ids
    owners: Ids
    sure: FloatMatrix
    vectors: FloatMatrix


FactValues: TypeAlias = tuple[str | float, ...]
"""What was read from a picture, or recognised in it, under one name: at least one text or number."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies, or lay: ``seen_at`` is when its file was last found, ``gone_at`` since when it is away."""

    uri: str
    root: str
    seen_at: float | None = None  # seconds since 1970; None: before that was written down
    gone_at: float | None = None  # None: it is there, as far as is known


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What a judge found of two pictures, given by the SHA-256 of their bytes: read "a verdict b"."""

    a: bytes  # below b
    b: bytes
    judge: str  # its version: another one judges anew
    verdict: str
    probability: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0  # seconds since 1970; 0: when it is stored


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What somebody did; ``id`` ascends in time."""

    id: int
    at: float
    actor: str
    deed: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a plain document."""
        return {"id": self.id, "at": self.at, "actor": self.actor, "deed": self.deed, "detail": dict(self.detail)}


@dataclass(frozen=True, slots=True)
class ContentChange:
    """What a commit did to a picture: added, removed, placed, embedded, labelled, its facts, its features."""

    epoch: int
    content_id: int
    what: str


@dataclass(frozen=True, slots=True)
class Vouched:
    """A derived file, or folder, that goes with the catalogue, as long as its digest is this one."""

    name: str  # path below the library's folder
    kind: str  # index, segment, words
    digest: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0  # seconds since 1970; 0: when it is stored


@dataclass(frozen=True, slots=True)
class Job:
    """Long work that somebody asked a server for."""

    id: str
    kind: str
    state: str
    actor: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    created_at: float = 0.0  # seconds since 1970; 0: when it is stored
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of two pictures; kept by content, so that it survives re-indexing."""

    a: str  # SHA-256 as hex, a < b
    b: str
    decision: str
    note: str
    at: float
