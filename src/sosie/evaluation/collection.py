"""Pictures as an evaluation sees them: vectors, labels and names, wherever they come from."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from sosie import __version__
from sosie.catalogue import Space
from sosie.contracts import Source
from sosie.errors import BadPicture, SosieError, UsageError
from sosie.evaluation.metrics import Ints
from sosie.library import Library
from sosie.types import FloatMatrix, ImageRef, LabelValue, Picture, Pixels

__all__ = ["Collection", "Search", "from_library", "from_source", "setting_of", "shrunk", "through_view"]

SIDE = 144  # of the small pictures in reports

Search: TypeAlias = Callable[[Ints, int], tuple[Ints, FloatMatrix]]
"""From rows of queries and k to rows of references (q, k) and scores (q, k), best first, -1 where there is none."""


@dataclass(frozen=True)
class Collection:
    """n pictures in a stable order: their ``keys`` (equal for equal content), places, labels and vectors (n, dim).

    ``picture`` gives a small JPEG of a row, or None.
    """

    keys: tuple[str, ...]
    uris: tuple[str, ...]
    labels: tuple[Mapping[str, LabelValue], ...]
    vectors: FloatMatrix
    picture: Callable[[int], bytes | None] = lambda _row: None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def digest(self) -> str:
        """A digest of keys and vectors: equal where the same answers can be expected."""
        digest = hashlib.sha256("\n".join(self.keys).encode())
        digest.update(np.ascontiguousarray(self.vectors).data)
        return digest.hexdigest()[:16]

    def rows_of(self, other: Collection) -> Ints:
        """Return for each picture of ``other`` its row here, or -1."""
        place = {key: row for row, key in enumerate(self.keys)}
        return np.array([place.get(key, -1) for key in other.keys], dtype=np.int64)

    def take(self, keys: Sequence[str]) -> Collection:
        """Return the pictures of these keys, in this order; every key must be here."""
        place = {key: row for row, key in enumerate(self.keys)}
        rows = [place[key] for key in keys]
        return Collection(
            keys=tuple(keys),
            uris=tuple(self.uris[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            vectors=self.vectors[rows],
            picture=lambda row: self.picture(rows[row]),
        )

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each picture, for a run folder."""
        rows = zip(self.keys, self.uris, self.labels, strict=True)
        return [{"key": key, "uri": uri, "labels": dict(labels)} for key, uri, labels in rows]


def from_library(library: Library, space: Space | None = None) -> Collection:
    """Return the live pictures of a library, in order of id, with their vectors of one space.

    Raises UsageError where it has pictures, but no vectors of its model.
    """
    ids, vectors = library.vectors(space)
    if not len(ids) and (count := library.catalogue.counts()["pictures"]):
        raise UsageError(
            f"none of the {count} pictures has a vector of {library.space.name}: bring them up to date with `sosie add`"
        )
    records = {record.id: record for record in library.catalogue.pictures(ids.tolist())}
    ordered = [records[int(each)] for each in ids]

    def picture(row: int) -> bytes | None:
        try:
            return shrunk_jpeg(library.thumbnail(ordered[row].id))
        except (SosieError, OSError):
            return None

    return Collection(
        keys=tuple(record.sha256 for record in ordered),
        uris=tuple(record.uris[0] for record in ordered),
        labels=tuple(dict(record.labels) for record in ordered),
        vectors=vectors,
        picture=picture,
    )


def from_source(library: Library, source: Source, *, note: Callable[[str], None] = lambda _text: None) -> Collection:
    """Decode and embed the pictures of a source without adding them; one that cannot be used is noted and left out."""
    keys, refs, vectors, small = [], [], [], []
    for batch in _batches(_decoded(library, source, note), 64):
        vectors.append(library.embedder.embed([picture for _, _, picture, _ in batch])[:, : library.space.dim])
        for key, ref, _, shown in batch:
            keys.append(key)
            refs.append(ref)
            small.append(shown)
    empty = np.empty((0, library.space.dim), np.float32)
    return Collection(
        keys=tuple(keys),
        uris=tuple(ref.uri for ref in refs),
        labels=tuple(dict(ref.labels) for ref in refs),
        vectors=np.concatenate([empty, *vectors]),
        picture=lambda row: small[row],
    )


def setting_of(library: Library) -> dict[str, Any]:
    """Return what answers depend on besides the pictures, for a stored run."""
    spec = library.embedder.spec
    model = {"name": spec.name, "version": spec.version, "space": library.space.name, "spec": library.space.spec_hash}
    return {"model": model, "sosie": __version__}


def through_view(library: Library, queries: FloatMatrix) -> Search:
    """Search as the library itself does: main index and tail, whatever its kind."""
    ids, _ = library.vectors()
    view = library.view()

    def search(rows: Ints, k: int) -> tuple[Ints, FloatMatrix]:
        found, scores = view.search(queries[rows], k)
        return np.where(found >= 0, np.searchsorted(ids, found), -1), scores

    return search


def _decoded(
    library: Library, source: Source, note: Callable[[str], None]
) -> Iterator[tuple[str, ImageRef, Picture, bytes]]:
    for ref in source:
        try:
            data = source.read(ref)
            made = library.engine.analyse(data)
        except BadPicture as error:
            note(f"left out {ref.uri}: {error}")
            continue
        picture = Picture(made["input"], made["width"], made["height"], made["format"])
        yield hashlib.sha256(data).hexdigest(), ref, picture, shrunk(made["working"])


def _batches(items: Iterator[Any], size: int) -> Iterator[Sequence[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def shrunk(pixels: Pixels, side: int = SIDE) -> bytes:
    """Return a small JPEG of some pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return out.getvalue()


def shrunk_jpeg(data: bytes) -> bytes:
    """Return a smaller JPEG of a JPEG."""
    return shrunk(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
