"""The values that flow through Sosie: frozen, typed, without behaviour that needs I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from numbers import Integral
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from sosie.errors import UsageError
from sosie.extras import needed

__all__ = [
    "EXACT_PIXELS",
    "METADATA",
    "TAKEN",
    "Box",
    "Classification",
    "Distance",
    "EmbedderSpec",
    "Evidence",
    "FloatMatrix",
    "Head",
    "Hit",
    "Ids",
    "ImageRef",
    "LabelValue",
    "LeftOut",
    "Picture",
    "Pixels",
    "Preprocessing",
    "Region",
    "SearchResult",
    "Tabular",
    "Text",
    "Vector",
    "Verdict",
    "columns_of",
    "number_text",
    "whole_number",
]

Pixels: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3), sRGB
FloatMatrix: TypeAlias = npt.NDArray[np.float32]  # (n, dim)
Ids: TypeAlias = npt.NDArray[np.int64]  # (n,)
Distance: TypeAlias = Literal["cosine", "l2", "angular"]
"""1 - cosine; the Euclidean distance of unit vectors; Annoy's ``angular``, which is the same on unit vectors."""

LabelValue: TypeAlias = str | float | tuple[str, ...]  # single | number | multi


def number_text(value: float) -> str:
    """Return the shortest text that reads back as the same number, whole numbers without a point."""
    whole = abs(value) < 1e16 and value == int(value)
    return str(int(value)) if whole else repr(float(value))


def whole_number(value: object) -> int | None:
    """Return a whole number of any library's type, such as an id; None for what is none, and for a bool."""
    return None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


Box: TypeAlias = tuple[float, float, float, float]  # x, y, width, height, relative to the upright picture, 0..1

TAKEN = "exif.date"
METADATA: Mapping[str, type[str] | type[float]] = {
    TAKEN: str,
    **dict.fromkeys(("exif.camera", "exif.lens", "exif.title", "exif.keywords", "exif.creator", "exif.rights"), str),
    **dict.fromkeys(("exif.orientation", "exif.latitude", "exif.longitude"), float),
}
"""Facts that a picture tells of itself (EXIF, XMP, IPTC): their names, and whether they are texts or numbers."""

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1  # of 64 signed bits


# ------------------------------------------------------------------------------------------------ sources


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where one picture is, and what can be known of it without reading it.

    ``uri`` is percent-encoded, so that any file name survives (``file:///a%FF.jpg``). ``size``, ``mtime_ns`` and
    ``inode`` together let ingest skip an unchanged file; a source that has none leaves them None. They fit in 64 signed
    bits, as stores need: an inode is taken modulo 2^64, a size or a time beyond is the nearest that fits.
    """

    uri: str
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    size: int | None = None
    mtime_ns: int | None = None
    inode: int | None = None

    def __post_init__(self) -> None:
        for name, fit in (("size", _clamped), ("mtime_ns", _clamped), ("inode", _signed)):
            value = getattr(self, name)
            if value is not None and not _LOWEST <= value <= _HIGHEST:
                object.__setattr__(self, name, fit(value))

    @property
    def stamp(self) -> tuple[int | None, int | None, int | None]:
        """Size, time of change and inode: a file whose stamp is as before is taken for unchanged."""
        return self.size, self.mtime_ns, self.inode


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files or rows that a source left out for one reason: how many, and the addresses of the first of them."""

    reason: str
    ending: str  # of files; empty where they have none
    count: int
    some: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it with plain JSON types."""
        return {"reason": self.reason, "ending": self.ending, "count": self.count, "some": list(self.some)}


def _clamped(number: int) -> int:
    return min(max(number, _LOWEST), _HIGHEST)


def _signed(number: int) -> int:
    """Return a number of 64 unsigned bits as the signed one with the same bits."""
    return (number - _LOWEST) % (1 << 64) + _LOWEST


# ------------------------------------------------------------------------------------------------ pictures


EXACT_PIXELS = 2  # the version of digests of all decoded pixels; those of version 1 were of reduced ones


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: upright, sRGB, alpha laid over white (over black where white leaves nothing to be seen).

    ``pixels`` may be smaller than ``width`` × ``height`` (the picture's own upright size): JPEGs are decoded at a
    reduced scale where a caller said how much it needs. ``exact`` is the digest of all decoded pixels of all
    ``frames`` (`sosie.decode.identity`), None where nobody asked for it.
    """

    pixels: Pixels
    width: int
    height: int
    format: str = ""
    exact: bytes | None = None
    frames: int = 1
    repaired: str | None = None  # what was wrong with a file that was decoded all the same
    metadata: Mapping[str, list[str | float]] = field(default_factory=dict)  # by the names of METADATA, where asked for


# ------------------------------------------------------------------------------------------------ regions


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture: a box, what was seen in it and how surely, and which of its pixels belong to it.

    ``mask`` (height, width) of bool covers the whole picture as it was looked at, not the box alone; None where there
    is none. A region without a label and with confidence 0 is the whole picture: nothing was found in it.
    """

    box: Box
    label: str | None = None
    confidence: float = 1.0
    mask: npt.NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)

    @property
    def area(self) -> float:
        """The share of the picture that the box covers."""
        return self.box[2] * self.box[3]

    def to_json(self) -> dict[str, Any]:
        """Return the region with plain JSON types, without its mask."""
        return {
            "box": [round(edge, 5) for edge in self.box],
            "label": self.label,
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True, slots=True)
class Text:
    """Words to search with; where the model has a text tower, a sentence: "a red bicycle at night"."""

    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """An embedding to search with, (dim,) of the space that is searched; its length does not matter."""

    values: FloatMatrix


# ------------------------------------------------------------------------------------------------ embedders


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input; part of a model's identity.

    ``fit``: ``squash`` to a square, ``crop`` the centre square, ``pad`` to a square with grey.
    Input is ``(value / scale - mean) / std`` per channel, in ``channels`` order.
    """

    side: int
    fit: Literal["squash", "crop", "pad"] = "squash"
    resample: Literal["bilinear", "bicubic", "box", "lanczos"] = "bicubic"
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Head:
    """One unit vector that a network gives: ``semantic`` for likeness, ``copy`` for edited copies."""

    name: str
    dim: int


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What an embedder is; equal specs give equal vectors."""

    name: str
    version: str
    heads: tuple[Head, ...]
    preprocessing: Preprocessing
    licence: str
    tasks: tuple[str, ...] = ("image",)
    url: str | None = None
    sha256: str | None = None

    @property
    def dim(self) -> int:
        return sum(head.dim for head in self.heads)


# ------------------------------------------------------------------------------------------------ tables


class Tabular:
    """Something with columns that DataFrame libraries take over; each is imported when it is asked for.

    Libraries that speak Arrow's PyCapsule interface (polars, DuckDB, pyarrow …) take it as it is.
    """

    __slots__ = ()

    def columns(self) -> dict[str, list[object]]:
        """Return name → values, all columns of one length."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame; raise MissingExtra."""
        return needed("pandas", "a DataFrame").DataFrame(self.columns())

    def to_polars(self) -> Any:
        """Return a polars.DataFrame; raise MissingExtra."""
        return needed("polars", "a DataFrame").DataFrame(self.columns(), strict=False)

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table; raise MissingExtra."""
        return needed("pyarrow", "an Arrow table", extra="parquet").table(self.columns())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def columns_of(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """Return rows as columns, in the order in which names come; a value that a row lacks is None.

    A mapping in a row becomes a column for each of its keys, ``labels.colour``. A column is of one type: where texts,
    numbers and lists meet, as in labels that people gave, numbers become texts, and these lists of one.
    """
    flat = [_flat(row) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: _of_one_type([row.get(name) for row in flat]) for name in names}


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = value
    return found


def _of_one_type(values: list[object]) -> list[object]:
    values = [list(value) if isinstance(value, tuple) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if not kinds & {str, list} or len(kinds) < 2:
        return values
    texts = [number_text(value) if isinstance(value, int | float) else value for value in values]
    return [[value] if list in kinds and isinstance(value, str) else value for value in texts]


# ------------------------------------------------------------------------------------------------ answers


class Verdict(StrEnum):
    """What a hit is to its query, strongest first: read "the hit … the query".

    ``contains``: the hit holds the query; ``is_part_of``: the hit is in it.
    """

    IDENTICAL = "identical"
    SAME_PIXELS = "same_pixels"
    ALTERED_COPY = "altered_copy"
    CONTAINS = "contains"
    IS_PART_OF = "is_part_of"
    SAME_OBJECT = "same_object"
    SIMILAR = "similar"

    @property
    def is_copy(self) -> bool:
        """Whether it says that one picture was made from the other, or both from one."""
        return self in _COPIES

    @property
    def outranks_similar(self) -> bool:
        """Whether it says more than that two pictures look alike."""
        return self is not Verdict.SIMILAR


_COPIES = frozenset(
    {Verdict.IDENTICAL, Verdict.SAME_PIXELS, Verdict.ALTERED_COPY, Verdict.CONTAINS, Verdict.IS_PART_OF}
)


Evidence: TypeAlias = Mapping[str, Any]

_HIT_COLUMNS = (
    "query", "rank", "id", "uri", "score", "distance", "verdict", "probability", "region", "gone", "weak",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a picture of the library, what it is to the query, and why."""

    rank: int
    id: int
    uri: str
    score: float
    verdict: Verdict
    probability: float | None = None
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    region: Box | None = None
    evidence: Evidence = field(default_factory=dict)
    gone: bool = False  # its file was not there when it was last looked for
    weak: bool = False  # no more alike than pictures of this library that have nothing to do with each other
    facts: Mapping[str, tuple[str | float, ...]] = field(default_factory=dict)  # what was read or recognised in it

    def distance(self, metric: str | None = "dot", kind: Distance | None = None) -> float:
        """Return how far the hit is from its query, 0 for the very same picture.

        ``metric`` is that of the index: its scores are cosines (dot), or minus a sum of differences (manhattan) or of
        differing signs (hamming). ``kind`` None is the index's own distance, of a cosine 1 minus it. Raises UsageError
        for a kind that cannot be told from the score.
        """
        if metric is None:
            raise UsageError("copies are ordered by their odds, and have no distance")
        if kind not in (None, *get_args(Distance)):
            raise UsageError(f"a distance is {', '.join(get_args(Distance))}, not {kind!r}")
        if metric != "dot" and kind is not None:
            raise UsageError(f"the index is of the metric {metric}: its own distance is shown, {kind} is not known")
        if self.verdict in (Verdict.IDENTICAL, Verdict.SAME_PIXELS):
            return 0.0  # stored vectors are rounded: a score with itself is not quite 1
        if metric != "dot":
            return max(0.0, -self.score)
        far = max(0.0, 1 - self.score)
        return far if kind in (None, "cosine") else (2 * far) ** 0.5

    def to_json(self, metric: str | None = "dot") -> dict[str, Any]:
        """Return the hit as DESIGN §5 lays it down, with its distance by the index's ``metric``, if it has one."""
        return {
            "rank": self.rank,
            "id": self.id,
            "uri": self.uri,
            "score": round(self.score, 6),
            "distance": None if metric is None else round(self.distance(metric), 6),
            "verdict": str(self.verdict),
            "probability": self.probability,
            "labels": {k: list(v) if isinstance(v, tuple) else v for k, v in self.labels.items()},
            "region": list(self.region) if self.region else None,
            "evidence": dict(self.evidence),
            **({"facts": {name: list(values) for name, values in self.facts.items()}} if self.facts else {}),
            **({"gone": True} if self.gone else {}),
            **({"weak": True} if self.weak else {}),
        }


@dataclass(frozen=True, slots=True)
class Classification:
    """What a classifier says of one picture: its classes with their probabilities, likeliest first.

    ``label`` is the label that the classes were learned from; ``several``: a picture may have several classes, and
    their probabilities do not sum to 1.
    """

    query: str
    model: str
    label: str
    several: bool
    classes: tuple[tuple[str, float], ...]

    def sure(self, least: float) -> tuple[str, ...]:
        """Return the classes whose probability is at least ``least``; the likeliest alone where there can be one."""
        likely = tuple(name for name, probability in self.classes if probability >= least)
        return likely if self.several else likely[:1]

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """Return a document with the ``most`` likeliest classes."""
        return {
            "query": self.query,
            "model": self.model,
            "label": self.label,
            "several": self.several,
            "classes": [
                {"class": name, "probability": round(probability, 6)} for name, probability in self.classes[:most]
            ],
        }


@dataclass(frozen=True, slots=True)
class SearchResult(Tabular):
    """The answer to one query: an ordered sequence of hits and how it was come by.

    It can be pickled, and then no longer draws itself in a notebook: that reads thumbnails of its library.
    """

    query: str
    hits: tuple[Hit, ...]
    took_ms: float  # what was waited for, all of it; of several queries at once, the share of each
    index: Mapping[str, Any]
    asked: Mapping[str, Any] = field(default_factory=dict)  # the parts of the query that were searched for
    took: Mapping[str, float] = field(default_factory=dict)  # milliseconds: decode, embed, search, verify, total
    answered: bool | None = None  # None: as the hits say
    not_judged: int = 0  # candidates that nothing is stored of, and whose files were not read
    # what draws the answer in a notebook, where somebody lent it: a value does no I/O of its own
    draw: Callable[[SearchResult], str] | None = field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def has_answer(self) -> bool:
        """Whether any hit is more than weak."""
        return any(not hit.weak for hit in self.hits) if self.answered is None else self.answered

    def first(self, k: int) -> SearchResult:
        """Return this with no more than ``k`` hits."""
        return replace(self, hits=self.hits[:k])

    @property
    def metric(self) -> str | None:
        """What the scores are by the index that answered; None where they are odds that hits are copies."""
        return None if self.index.get("kind") == "copies" else str(self.index.get("metric", "dot"))

    def lasting(self, total: float, **parts: float) -> SearchResult:
        """Return this with how long it took in all and in more parts, in milliseconds."""
        return replace(self, took_ms=total, took={**self.took, **parts, "total": total})

    def __getitem__(self, at: int) -> Hit:
        return self.hits[at]

    def __reduce__(self) -> tuple[Callable[..., SearchResult], tuple[Any, ...]]:
        kept = [getattr(self, each.name) for each in fields(self) if each.name != "draw"]
        return SearchResult, tuple(kept)

    def columns(self) -> dict[str, list[object]]:
        """Return the hits as columns: the query, what a hit has but its evidence, and one for each label and fact."""
        rows = [
            {"query": self.query, **hit.to_json(self.metric), "gone": hit.gone, "weak": hit.weak} for hit in self.hits
        ]
        for row in rows:
            del row["evidence"]
        return columns_of(rows) or {name: [] for name in _HIT_COLUMNS}

    def _repr_html_(self) -> str | None:
        """Return a contact sheet for Jupyter; None, where nobody lent how, leaves it to ``repr``."""
        return None if self.draw is None else self.draw(self)

    def to_json(self, distance: Distance | None = None) -> dict[str, Any]:
        """Return the document of DESIGN §5; hits have distances of another kind, too, where one is asked for."""
        hits = [hit.to_json(self.metric) for hit in self.hits]
        if distance is not None:
            hits = [
                {**shown, "distances": {distance: round(hit.distance(self.metric, distance), 6)}}
                for shown, hit in zip(hits, self.hits, strict=True)
            ]
        return {
            "query": self.query,
            "hits": hits,
            "answered": self.has_answer,
            **({"not_judged": self.not_judged} if self.not_judged else {}),
            "took_ms": round(self.took_ms, 3),
            **({"took": {part: round(ms, 3) for part, ms in self.took.items()}} if self.took else {}),
            "index": dict(self.index),
            **({"asked": dict(self.asked)} if self.asked else {}),
        }
