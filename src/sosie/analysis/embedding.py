"""What is made of pictures on their way into a library: decoded ones become rows and vectors.

`ingest` does this beside its decode workers, and a worker of a cluster does it beside its own: there is one such code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from sosie.analysis.features import GREY
from sosie.analysis.regions import Stage
from sosie.arrays import usable
from sosie.catalogue.records import AddRegions, ContentRow, FactValues, LocalFeatures
from sosie.contracts import Embedder, FeatureMaps
from sosie.decode.metadata import check_metadata
from sosie.errors import BadPicture
from sosie.sources.uris import MEMBER
from sosie.types import EmbedderSpec, FloatMatrix, Picture
from sosie.verify.features import RootSift

__all__ = [
    "Decoding",
    "Embedded",
    "Features",
    "Pool",
    "Recognised",
    "embed",
    "features_answer",
    "packed_features",
    "told_of",
]

Features: TypeAlias = Literal["now", "later", "never"]
"""When local features are computed: along with decoding; when copies are asked for; not by adding.

Later is now for what may not be there to be read again: all but files of this machine. Never leaves them to whoever
asks for copies.
"""

_VERSIONS: Mapping[str, str] = {"features": RootSift.version, "grey": GREY}  # by their name in a worker's answer
_FAILED = "the model gives a vector of zeros or of what is no number"


class Pool(Protocol):
    """What is needed of a decode pool."""

    def submit(self, data: bytes, params: Mapping[str, Any] | None = None) -> Future[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Decoding:
    """A picture that is being decoded: the digest and the size of its bytes, and the analysis to come."""

    sha256: bytes
    size: int
    analysed: Future[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Embedded:
    """All that the catalogue needs of a picture: its row, its vector (dim,) of all heads side by side, its regions.

    ``facts`` are what the picture says of itself, ``features`` are what its copies are proved by, where
    that was wanted.
    """

    row: ContentRow
    vector: FloatMatrix
    regions: Mapping[int, AddRegions] = field(default_factory=dict)  # by the id of their space
    facts: Mapping[str, FactValues] = field(default_factory=dict)
    features: tuple[LocalFeatures, ...] = ()

    @property
    def sha256(self) -> bytes:
        return self.row.sha256


@dataclass(frozen=True, slots=True)
class Recognised:
    """A picture that need not be decoded: the library was said to hold its bytes."""

    sha256: bytes


def embed(
    pictures: Sequence[Decoding], embedder: Embedder, stages: Sequence[Stage] = ()
) -> dict[bytes, Embedded | BadPicture]:
    """Wait for the decoders, run the network once, and return what became of each picture, by its digest.

    ``stages`` find regions, which are embedded beside the whole pictures.
    """
    found: dict[bytes, Embedded | BadPicture] = {}
    decoded: list[tuple[Decoding, Mapping[str, Any]]] = []
    for each in pictures:
        try:
            decoded.append((each, each.analysed.result()))
        except BadPicture as error:
            found[each.sha256] = error
    if decoded:
        vectors, regions = _vectors([analysed for _, analysed in decoded], embedder, stages)
        for (each, analysed), vector, parts in zip(decoded, vectors, regions, strict=True):
            facts, features = check_metadata(analysed.get("metadata")), packed_features(analysed)
            made = Embedded(_row(each, analysed), vector, parts, facts, features)
            found[each.sha256] = made if _is_usable(made, embedder.spec) else BadPicture("embedding_failed", _FAILED)
    return found


def packed_features(answer: Mapping[str, Any]) -> tuple[LocalFeatures, ...]:
    """Return what a worker made for proving copies."""
    return tuple(LocalFeatures(_VERSIONS[name], answer[name]) for name in _VERSIONS if answer.get(name))


def features_answer(features: Sequence[LocalFeatures]) -> dict[str, bytes]:
    """Return such features as a worker names them."""
    names = {version: name for name, version in _VERSIONS.items()}
    return {names[each.version]: each.data for each in features}


def told_of(uri: str) -> dict[str, Any]:
    """Return what a decode worker is told of a new picture: whether it can be read again, as a file of this machine."""
    return {"rereadable": uri.startswith("file:///") and MEMBER not in uri}


def _is_usable(made: Embedded, spec: EmbedderSpec) -> bool:
    """Tell whether every head and every region has a vector that can be compared, as it will be stored."""
    edges = np.cumsum([head.dim for head in spec.heads])[:-1]
    heads = [head[None] for head in np.split(made.vector, edges)]
    return all(usable(each).all() for each in (*heads, *(found.vectors for found in made.regions.values())))


def _vectors(
    analysed: Sequence[Mapping[str, Any]], embedder: Embedder, stages: Sequence[Stage]
) -> tuple[FloatMatrix, list[dict[int, AddRegions]]]:
    """Return the vectors of whole pictures (n, dim), and the regions of each by the id of their space."""
    inputs = [Picture(a["input"], a["width"], a["height"], a["format"]) for a in analysed]
    if any(stage.wants_maps for stage in stages):
        assert isinstance(embedder, FeatureMaps)  # or the stage could not have been made
        vectors, maps = embedder.embed_with_maps(inputs)
        found = [(stage.space.id, stage.find(analysed, maps)) for stage in stages]
    else:
        vectors = embedder.embed(inputs)
        found = [(stage.space.id, stage.find(analysed, None)) for stage in stages]
    return vectors, [{space: each[row] for space, each in found} for row in range(len(analysed))]


def _row(picture: Decoding, analysed: Mapping[str, Any]) -> ContentRow:
    return ContentRow(
        sha256=picture.sha256,
        size=picture.size,
        format=analysed["format"],
        width=analysed["width"],
        height=analysed["height"],
        pixels=analysed["pixels"],
        pdq=analysed["pdq"],
        pdq_quality=analysed["pdq_quality"],
        pixels_version=analysed["pixels_version"],
        frames=analysed["frames"],
        repaired=analysed["repaired"],
    )
