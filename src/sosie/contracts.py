"""The contracts of what people add: sources, embedders, detectors, indexes, and the capabilities that some have beyond.

A capability is a small protocol. Whoever needs it asks with ``isinstance``, or, of a source, with `offered`, which also
looks at what a source wraps. What passes the suites of `sosie.testing` works in every command. The contract of a store
is `sosie.catalogue.contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from sosie.errors import BadPicture
from sosie.types import EmbedderSpec, FloatMatrix, Ids, ImageRef, LeftOut, Picture, Pixels, Region

__all__ = [
    "Detector",
    "Embedder",
    "FeatureMaps",
    "HasFiles",
    "Index",
    "KeepsOriginals",
    "KnowsGone",
    "KnowsWords",
    "LeavesOut",
    "Partial",
    "ReportsProblems",
    "RereadsUris",
    "SharesCores",
    "Source",
    "Streams",
    "TellsTags",
    "TextTower",
    "Tunable",
    "WarmsUp",
    "Wraps",
    "offered",
]

_Capability = TypeVar("_Capability")


# ------------------------------------------------------------------------------------------------ sources


@runtime_checkable
class Source(Protocol):
    """Iterates the references of a collection and reads the bytes of one.

    Iterating may be done again, in a stable order where the source has one (a crawl has none). ``root`` names the
    source: ``--sync`` drops only locations that were found under the same root, and only after a whole iteration
    without error.

    One of another package is made by its entry point from an address of its scheme and `SourceOptions`. The URI of
    each of its pictures is such an address, too: made from that, it reads the picture again, as for a thumbnail.
    """

    @property
    def root(self) -> str: ...

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; raise SourceUnreachable where the root is away."""
        ...

    def read(self, ref: ImageRef) -> bytes:
        """Return the bytes of one picture; raise BadPicture where that one cannot be read."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A source that fetches many pictures at a time, and gives references with their bytes as they come."""

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = ...
    ) -> Iterator[tuple[ImageRef, Any]]:
        """Yield every reference once: with its bytes, with why there are none (BadPicture), None for an unwanted one.

        A source that has all the work done elsewhere yields `sosie.analysis.embedding.Embedded` in place of bytes.
        """
        ...


@runtime_checkable
class KnowsGone(Protocol):
    """A source that can tell a deleted picture from one that is out of reach."""

    def gone(self, uri: str) -> bool:
        """Tell whether a place below the root is deleted."""
        ...


@runtime_checkable
class ReportsProblems(Protocol):
    """A source that says which places it could not look into, so that nothing below them is taken for gone."""

    @property
    def problems(self) -> Sequence[tuple[str, str]]:
        """The URI of each such place and the reason (`BadPicture.reason`), after an iteration."""
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """A source that says which files or rows it took for no pictures."""

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """What the last iteration left out."""
        ...


@runtime_checkable
class Partial(Protocol):
    """A source of which an iteration never shows everything, where ``partial`` is True: ``--sync`` is refused."""

    @property
    def partial(self) -> bool: ...


@runtime_checkable
class KeepsOriginals(Protocol):
    """A source that keeps the bytes of what it downloads."""

    def original(self, sha256: bytes) -> ImageRef | None:
        """Return where the bytes with a digest lie; None where they were not kept."""
        ...


@runtime_checkable
class RereadsUris(Protocol):
    """A source whose pictures can be read by their URIs alone, on any machine that sees the same places."""

    def refuses(self, ref: ImageRef) -> BadPicture | None:
        """Return why a reference may not be read; None where it may."""
        ...


@runtime_checkable
class Wraps(Protocol):
    """A source that adds to another one; what it does not do itself, that one is asked for."""

    @property
    def inner(self) -> Source: ...


def offered(source: Source, capability: type[_Capability]) -> _Capability | None:
    """Return the source, or the first of those that it wraps, that has a capability; None where none has."""
    if isinstance(source, capability):
        return source
    return offered(source.inner, capability) if isinstance(source, Wraps) else None


# ------------------------------------------------------------------------------------------------ networks


@runtime_checkable
class Embedder(Protocol):
    """Turns pictures into unit vectors. Constructing one does no I/O; the first ``embed`` may load weights."""

    @property
    def spec(self) -> EmbedderSpec: ...

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, dim): the vectors of ``spec.heads`` side by side, each of unit length."""
        ...


@runtime_checkable
class TextTower(Protocol):
    """An embedder that embeds words, too."""

    def embed_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Return unit vectors (n, dim of the first head) in the space of pictures; raise UsageError without a tower."""
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """An embedder that may know single words, not sentences: names of a library's own can stand beside them."""

    @property
    def knows_words(self) -> bool: ...

    def embed_words(self, text: str, own: Callable[[Sequence[str]], FloatMatrix | None]) -> FloatMatrix:
        """Return the unit vector (dim of the first head) of the words of a text; raise UsageError for an unknown one.

        ``own`` gives the vector of a name by any of its spellings, and goes before the words of the embedder.
        """
        ...


@runtime_checkable
class TellsTags(Protocol):
    """An embedder that may tell by a picture's vector what it surely holds."""

    @property
    def tags_version(self) -> str | None:
        """What tags are told by, another one where they may differ; None where none are told."""
        ...

    def tags_of(self, vectors: FloatMatrix) -> list[tuple[str, ...]]:
        """Return the tags of pictures by vectors (n, dim of the first head), the surest first."""
        ...


@runtime_checkable
class FeatureMaps(Protocol):
    """An embedder that gives the last feature maps of its network, for pooled regions, where it has them."""

    @property
    def has_feature_map(self) -> bool: ...

    def feature_maps(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return the maps (n, channels, height, width)."""
        ...

    def embed_with_maps(self, pictures: Sequence[Picture]) -> tuple[FloatMatrix, FloatMatrix]:
        """Return ``embed`` and ``feature_maps`` of the same pictures for one run of the network."""
        ...


@runtime_checkable
class WarmsUp(Protocol):
    """An embedder that can load its network before the first picture."""

    def warm_up(self) -> None: ...


@runtime_checkable
class HasFiles(Protocol):
    """An embedder that runs from files."""

    @property
    def files(self) -> Sequence[Path]: ...


@runtime_checkable
class SharesCores(Protocol):
    """An embedder that can serve many callers at once on a bounded number of cores."""

    def share_cores(self, threads: int) -> None: ...


@runtime_checkable
class Detector(Protocol):
    """Finds objects in pictures."""

    def detect(self, pixels: Pixels) -> list[Region]:
        """Return the objects (height, width, 3), surest first."""
        ...


# ------------------------------------------------------------------------------------------------ indexes


@runtime_checkable
class Index(Protocol):
    """Nearest neighbours among vectors; integers and vectors, nothing else.

    The class takes its parameters as keywords, all of them with defaults: ``type(index)(**index.params)`` is an empty
    index of the same kind.
    """

    def __init__(self, **params: Any) -> None: ...

    @property
    def kind(self) -> str: ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Every parameter that building or searching depends on."""
        ...

    @property
    def ids(self) -> Ids:
        """The ids held, ascending."""
        ...

    def build(self, ids: Ids, vectors: FloatMatrix) -> None:
        """Index ``vectors`` (n, dim) under ``ids`` (n,), unique and >= 0; raise ValueError for anything else."""
        ...

    def search(self, queries: FloatMatrix, k: int, allow: Ids | None = None) -> tuple[Ids, FloatMatrix]:
        """Return ids and scores, both (q, k), best first; -1 and -inf fill up what is not there.

        ``allow`` is a sorted array of the ids that may be returned. Scores are inner products. Thread-safe.
        """
        ...

    def save(self, folder: str) -> None:
        """Write files into an existing, empty folder."""
        ...

    def load(self, folder: str) -> None:
        """Read what ``save`` wrote."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """An index whose search parameters can be changed after it was built.

    Its class may declare ``build_space``, the values of its build parameters that the tuner tries.
    """

    @property
    def knobs(self) -> Mapping[str, tuple[Any, ...]]:
        """The search parameters, and the values that the tuner tries of each, from cheap to thorough."""
        ...

    def tuned(self, changes: Mapping[str, Any]) -> Index:
        """Return this index with other search parameters; what was built is shared. Raise UsageError."""
        ...
