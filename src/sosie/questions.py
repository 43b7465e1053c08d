"""What people ask, made into vectors: files, bytes, pictures of the library, parts, sums and differences."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from sosie.catalogue import Store, View
from sosie.embedders.onnx import OnnxEmbedder, unit
from sosie.errors import BadPicture, NotFound, UnknownName, UsageError
from sosie.search import Query
from sosie.sources.reading import read_uri
from sosie.types import Box, Embedder, FloatMatrix, Picture

__all__ = ["Asked", "Questions", "bytes_of"]

Asked: TypeAlias = str | os.PathLike[str] | bytes | int | Picture
"""A query: a path, ``"a.jpg + b.jpg - c.jpg"``, a picture's bytes, the id of a picture of the library, or a Picture."""

_TERM = re.compile(r"\s+([+-])\s+")


class _Pool(Protocol):
    def submit(self, data: bytes) -> Future[Mapping[str, Any]]: ...


class Questions:
    """Turns what people ask of one space into vectors, with one run of the decoders and the network for all of it."""

    def __init__(
        self,
        *,
        catalogue: Store,
        view: View,
        embedder: Embedder,
        pool: Callable[[], _Pool],
        read: Callable[[int], bytes],
    ) -> None:
        self._catalogue, self._view, self._embedder = catalogue, view, embedder
        self._pool, self._read = pool, read

    def understand(self, asked: Sequence[Asked], box: Box | None = None) -> list[Query]:
        """Return one query for each of ``asked``; ``box`` (x, y, width, height, each 0..1) takes a part of each."""
        terms = [_terms(each) for each in asked]
        flat = [term for group in terms for _, term in group]
        vectors, facts = self._vectors_of(flat, box)
        queries, at = [], 0
        for each, group in zip(asked, terms, strict=True):
            part = vectors[at : at + len(group)]
            signs = np.asarray([[sign] for sign, _ in group], np.float32)
            alone = facts[at] if len(group) == 1 and box is None else {}
            queries.append(Query(_name(each), unit((signs * part).sum(axis=0, keepdims=True))[0], **alone))
            at += len(group)
        return queries

    def _vectors_of(self, asked: Sequence[Asked], box: Box | None) -> tuple[FloatMatrix, list[dict[str, Any]]]:
        dim = self._view.space.dim
        vectors = np.zeros((len(asked), dim), np.float32)
        facts: list[dict[str, Any]] = [{} for _ in asked]
        pictures: dict[int, Picture] = {}
        futures = {}
        for at, each in enumerate(asked):
            if isinstance(each, int) and box is None:
                vectors[at] = self._stored_vector(each)
                facts[at] = {"exclude": each}
            elif isinstance(each, Picture):
                pictures[at] = _cut(each, box)
            else:
                data = self._read(each) if isinstance(each, int) else bytes_of(each)
                facts[at] = {"sha256": hashlib.sha256(data).digest()}
                futures[at] = self._pool().submit(data)
        if futures:  # the network and the vectors are loaded while the workers decode
            if isinstance(self._embedder, OnnxEmbedder):
                self._embedder.warm_up()
            self._view.warm_up()
        for at, future in futures.items():
            analysed = future.result()
            facts[at]["pixels"] = analysed["pixels"]
            shown = analysed["working"] if box else analysed["input"]
            pictures[at] = _cut(Picture(shown, analysed["width"], analysed["height"], analysed["format"]), box)
        if pictures:
            vectors[list(pictures)] = self._embedder.embed(list(pictures.values()))[:, :dim]
        return vectors, facts

    def _stored_vector(self, content_id: int) -> FloatMatrix:
        vector = self._catalogue.vector(self._view.space, content_id)
        if vector is None:
            raise UnknownName(f"the library has no picture {content_id}; `sosie labels` and a search show ids")
        return vector


def bytes_of(asked: str | os.PathLike[str] | bytes) -> bytes:
    """Return the bytes of a picture given by path, URI or as they are; raise NotFound, BadPicture."""
    if isinstance(asked, bytes):
        return asked
    text = os.fspath(asked)
    try:
        return read_uri(text if "://" in text else Path(text).absolute().as_uri())
    except BadPicture as error:
        if error.reason == "missing":
            raise NotFound(f"there is no picture at {text}: check the path") from error
        raise


def _terms(asked: Asked) -> list[tuple[float, Asked]]:
    """Split ``a.jpg + b.jpg - c.jpg``; a file of that very name is one picture."""
    if not isinstance(asked, str) or not _TERM.search(asked) or Path(asked).exists():
        return [(1.0, asked)]
    first, *rest = _TERM.split(asked.strip())
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return [(1.0, first), *((1.0 if sign == "+" else -1.0, term) for sign, term in pairs)]


def _name(asked: Asked) -> str:
    if isinstance(asked, bytes):
        return f"bytes:{hashlib.sha256(asked).hexdigest()[:16]}"
    if isinstance(asked, int):
        return f"id:{asked}"
    if isinstance(asked, Picture):
        return "picture"
    return os.fspath(asked)


def _cut(picture: Picture, box: Box | None) -> Picture:
    if box is None:
        return picture
    x, y, width, height = box
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 - x + 1e-6 and 0 < height <= 1 - y + 1e-6):
        raise UsageError(f"a box is x,y,width,height between 0 and 1 and inside the picture, not {box}")
    rows, columns = picture.pixels.shape[:2]
    top, left = int(y * rows), int(x * columns)
    bottom, right = max(top + 1, round((y + height) * rows)), max(left + 1, round((x + width) * columns))
    return Picture(np.ascontiguousarray(picture.pixels[top:bottom, left:right]), right - left, bottom - top)
