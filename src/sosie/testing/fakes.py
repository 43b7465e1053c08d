"""Small real things to test with: pictures in memory, a toy embedder, a library of nothing but vectors.

They keep the contracts of their kinds, so that a test of a third party needs no mock, no network and no folder:

    source = MemorySource({"a.jpg": data, "folder/b.png": more})
    report = library.add(source)

A toy is known to libraries by an entry in the table, as any embedder is:

    monkeypatch.setitem(sosie.registry.EMBEDDERS, "toy", Entry("sosie.testing.fakes:ToyEmbedder"))
    library = sosie.open(folder, model="toy")
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

import numpy as np

from sosie.catalogue import AddContent, ContentRow
from sosie.embedders.preprocessing import prepare
from sosie.errors import BadPicture
from sosie.library import Library
from sosie.types import EmbedderSpec, FloatMatrix, Head, ImageRef, Picture, Preprocessing

__all__ = ["MemorySource", "ToyEmbedder", "fill_with_vectors"]

_COMMIT = 1_000  # pictures


class MemorySource:
    """Pictures held in memory, by name. ``reads`` counts how often bytes were asked for."""

    root = "memory:///"

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        self._pictures = dict(pictures)
        self.reads = 0

    def __iter__(self) -> Iterator[ImageRef]:
        for name, data in sorted(self._pictures.items()):
            yield ImageRef(self.root + quote(name), size=len(data))

    def read(self, ref: ImageRef) -> bytes:
        """Return the bytes of one picture; raise BadPicture for a name that is not held."""
        self.reads += 1
        try:
            return self._pictures[unquote(ref.uri.removeprefix(self.root))]
        except KeyError:
            raise BadPicture("missing", f"nothing is held under {ref.uri}") from None


class ToyEmbedder:
    """The mean colours of a grid of 4 × 4 cells: 48 numbers, no weights. ``embedded`` counts the pictures seen."""

    spec = EmbedderSpec(
        name="toy",
        version="1",
        heads=(Head("semantic", 48),),
        preprocessing=Preprocessing(side=16, resample="box"),
        licence="MIT",
    )

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, 48) float32 unit vectors."""
        self.embedded += len(pictures)
        side = self.spec.preprocessing.side
        pixels = [prepare(picture, self.spec.preprocessing).pixels for picture in pictures]
        cells = np.asarray(pixels, np.float32).reshape(len(pictures), 4, side // 4, 4, side // 4, 3).mean(axis=(2, 4))
        vectors = cells.reshape(len(pictures), 48) + 1  # black has no direction
        unit: FloatMatrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def fill_with_vectors(library: Library, vectors: FloatMatrix) -> None:
    """Add a picture that is nothing but a vector for each of ``vectors`` (n, dim): what searches at scale need.

    Every space of the library takes the first of the numbers that it has room for, made unit length again.
    """
    parts = {space.id: _unit(vectors[:, : space.dim]) for space in library.spaces}
    for start in range(0, len(vectors), _COMMIT):
        changes = []
        for at in range(start, min(start + _COMMIT, len(vectors))):
            digest = hashlib.sha256(at.to_bytes(8, "little")).digest()
            row = ContentRow(digest, 1, "JPEG", 96, 64, digest)
            rows = {space: part[at] for space, part in parts.items()}
            changes.append(AddContent(row, ImageRef(f"memory:///vectors/{at}"), rows))
        library.catalogue.apply(changes, root="memory:///vectors/")


def _unit(vectors: FloatMatrix) -> FloatMatrix:
    unit: FloatMatrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
