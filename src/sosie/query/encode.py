"""What people ask, made into vectors: files, bytes, pictures of the library, parts, sums and differences."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from sosie.analysis.regions import Parts, RegionExtractor
from sosie.analysis.worker import NO_EXTRAS, ONLY_WORKING
from sosie.catalogue import Space, Store, View
from sosie.contracts import Embedder, FeatureMaps, KnowsWords, TextTower, WarmsUp
from sosie.embedders.onnx import unit
from sosie.errors import BadPicture, NotFound, NoVector, UnknownName, UsageError
from sosie.networks.published import WITH_WORDS
from sosie.present.text import visible
from sosie.query.crop import Crops, crop
from sosie.query.labels import LabelWords
from sosie.query.query import Cut, Query
from sosie.regions.pooled import pooled_regions
from sosie.sources.reading import read_uri
from sosie.types import FloatMatrix, Picture, Pixels, Text, Vector

__all__ = ["Asked", "Decoding", "QueryEncoder", "bytes_of", "terms_of", "with_words"]

_WHOLE = Parts()
_WORDS = "text:"
_BLOCK = 64  # queries that are decoded and embedded at once
_TERM = re.compile(r"(?<!\s)\s+([+-])\s+")  # a run of spaces is tried from its first alone


class _Pool(Protocol):
    def submit(self, data: bytes, params: Mapping[str, Any] | None = None) -> Future[Mapping[str, Any]]: ...


class Decoding:
    """A picture at the workers. ``whole`` asks for no more than a search by all of it needs.

    ``future`` is done when the workers are.
    """

    def __init__(self, asked: Asked, data: bytes, pool: _Pool, *, whole: bool) -> None:
        self.asked, self._data, self._pool, self._whole = asked, data, pool, whole
        self._has_working = not whole
        self.sha256 = hashlib.sha256(data).digest()
        self._begun, self._ended = time.perf_counter(), 0.0
        self.future = pool.submit(data, NO_EXTRAS if whole else ONLY_WORKING)
        self.future.add_done_callback(self._end)

    @property
    def took_ms(self) -> float:
        """How long the workers had the picture, their queue included."""
        return (self._ended - self._begun) * 1000 if self._ended else 0.0

    def at(self, pool: _Pool, *, whole: bool) -> Decoding:
        """Return this, or what begins anew because other workers are asked for, or more than has been."""
        if self._pool is not pool or not (whole or self._has_working):
            return Decoding(self.asked, self._data, pool, whole=whole)
        if self._whole is whole:
            return self
        other = copy.copy(self)  # of the same work, which gives both the network's input and the working pixels
        other._whole = whole
        return other

    def result(self) -> Mapping[str, Any]:
        """Wait for what the workers found; raise BadPicture with the picture's name."""
        try:
            return self.future.result()
        except BadPicture as error:
            raise error if isinstance(self.asked, bytes) else error.named(visible(_name(self.asked))) from error

    def _end(self, _: object) -> None:
        self._ended = time.perf_counter()

    def picture(self) -> Picture:
        """Wait for what the network, or whoever takes parts, is to see; raise BadPicture."""
        found = self.result()
        seen = found["input" if self._whole else "working"]
        return Picture(seen, found["width"], found["height"], found["format"])

    def shown(self) -> Pixels:
        """Return the picture itself, decoded once more where a search did without: few answers are verified."""
        pixels: Pixels = self.at(self._pool, whole=False).result()["working"]
        return pixels


Asked: TypeAlias = (
    str | os.PathLike[str] | bytes | int | Picture | Text | Vector | tuple[tuple[float, Any], ...] | Decoding
)
"""A query: a path, ``"a.jpg + b.jpg - text:at night"``, a picture's bytes, the id of a picture of the library, a
Picture, a Text, a Vector, a picture that is being decoded (`Library.decode_ahead`), or a sum of those: pairs of a sign
(1 or -1) and a summand. `sosie.query.convert` makes one of whatever else a program holds."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One summand of a query: its vector (dim,), those by which it is searched in spaces of regions, and its facts."""

    vector: FloatMatrix
    by_space: Mapping[int, FloatMatrix] = field(default_factory=dict)
    crop: Crops | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    decode_ms: float = 0.0  # of the workers
    waited_ms: float = 0.0  # for them, with nothing else to do
    copy_vector: FloatMatrix | None = None  # (dim,) of the last head

    def in_space(self, space: int) -> FloatMatrix:
        """Return what it adds to the vectors of another summand in a space."""
        return self.by_space[space][0] if space in self.by_space else self.vector


class QueryEncoder:
    """Turns what people ask of one space into vectors, with one run of the decoders and the network for all of it."""

    def __init__(
        self,
        *,
        catalogue: Store,
        view: View,
        embedder: Embedder,
        extractor: RegionExtractor,
        pool: Callable[[], _Pool],
        read: Callable[[int], bytes],
    ) -> None:
        self._catalogue, self._view, self._embedder, self._extractor = catalogue, view, embedder, extractor
        self._pool, self._read = pool, read
        self._labels = LabelWords(catalogue, view.space)

    def vectors(self, asked: Sequence[Asked]) -> FloatMatrix:
        """Return the unit vectors (n, dim) by which queries are searched, so many at a time as stay in memory."""
        blocks = [self.encode(asked[at : at + _BLOCK]) for at in range(0, len(asked), _BLOCK)]
        rows = [query.vector for block in blocks for query in block]
        return np.stack(rows) if rows else np.empty((0, self._view.space.dim), np.float32)

    def encode(
        self, asked: Sequence[Asked], parts: Parts = _WHOLE, spaces: Mapping[str, Space] | None = None
    ) -> list[Query]:
        """Return one query for each of ``asked``; ``parts`` takes a part of each, and the objects of its first picture.

        ``spaces`` are those of regions that will be searched, by their kind: the query gets vectors for each.
        """
        started = time.perf_counter()
        terms = [terms_of(each) for each in asked]
        others = replace(parts, objects=False)  # only the first picture of a sum is searched object by object
        flat = [(term, others if at else parts) for each in terms for at, (_, term) in enumerate(each)]
        seen = self._see(flat, spaces or {})
        waited = sum(each.waited_ms for each in seen)
        embed = ((time.perf_counter() - started) * 1000 - waited) / len(asked)
        queries, at = [], 0
        for each, group in zip(asked, terms, strict=True):
            mine = seen[at : at + len(group)]
            took = {"decode": sum(one.decode_ms for one in mine), "embed": embed}
            queries.append(replace(_sum(_name(each), group, mine, whole=parts.whole), took=took))
            at += len(group)
        return queries

    def _see(self, asked: Sequence[tuple[Asked, Parts]], spaces: Mapping[str, Space]) -> list[_Seen]:
        """Decode what has to be decoded, take its parts, and embed everything in one run of the network."""
        facts: list[dict[str, Any]] = [{} for _ in asked]
        decoded = bool(set(spaces) - {"objects"})  # what masks and squares are made of is not stored
        masked = any(kind.startswith("mask:") for kind in spaces)  # squares are of what the network sees anyway
        stored = {
            at: each for at, (each, parts) in enumerate(asked) if isinstance(each, int) and not (parts.given or decoded)
        }
        pictures = {at: each for at, (each, _) in enumerate(asked) if isinstance(each, Picture)}
        given = {at: self._embed_words(each) for at, (each, _) in enumerate(asked) if isinstance(each, Text)}
        given |= {at: self._checked(each) for at, (each, _) in enumerate(asked) if isinstance(each, Vector)}
        decoding = {}
        for at, (each, taken) in enumerate(asked):
            if isinstance(each, int):
                facts[at] = {"exclude": each}
            elif isinstance(each, Picture):
                facts[at] = {"shown": partial(_pixels, each)}
            if at not in stored and not isinstance(each, Picture | Text | Vector | tuple):
                decoding[at] = self._decode(each, whole=not (taken.given or masked))
                facts[at] |= {"sha256": decoding[at].sha256, "shown": decoding[at].shown}
        if decoding:  # the network and the vectors are loaded while the workers decode
            if isinstance(self._embedder, WarmsUp):
                self._embedder.warm_up()
            self._view.warm_up()
        waits = dict.fromkeys(range(len(asked)), 0.0)
        for at, wanted in decoding.items():
            started = time.perf_counter()
            pictures[at] = wanted.picture()
            waits[at] = (time.perf_counter() - started) * 1000
            facts[at] |= {"pixels": wanted.result()["pixels"]}
        looks = {at: self._look(each, *asked[at]) for at, each in pictures.items()}
        found = self._embed(looks, spaces)
        for at, content_id in stored.items():
            found[at] = _Seen(self._stored_vector(content_id))
        for at, vector in given.items():
            found[at] = _Seen(vector)
        took = {at: each.took_ms for at, each in decoding.items()}
        return [
            replace(found[at], facts=facts[at], decode_ms=took.get(at, 0.0), waited_ms=waits[at])
            for at in range(len(asked))
        ]

    def decode_ahead(self, data: bytes, *, whole: bool = True) -> Decoding:
        """Begin to decode a picture, without waiting for it."""
        return Decoding(data, data, self._pool(), whole=whole)

    def begin(self, asked: Sequence[Asked]) -> list[Asked]:
        """Begin to decode single pictures, each read once however often it is used; words, vectors, sums stay."""
        plain = (int, Picture, Text, Vector, tuple)
        return [
            each if isinstance(each, plain) or len(terms_of(each)) > 1 else self._decode(each, whole=False)
            for each in asked
        ]

    def pictures(self, asked: Sequence[Asked], parts: Parts = _WHOLE) -> list[tuple[str, Picture]]:
        """Return pictures by name, with the parts taken, for another network than the library's.

        Raises UsageError for words, vectors and sums, which are no one picture.
        """
        found = []
        for each in asked:
            if isinstance(each, Text | Vector | tuple) or len(terms_of(each)) > 1:
                raise UsageError(f"this takes one picture, not {visible(_name(each))}")
            picture = each if isinstance(each, Picture) else self._decode(each, whole=False).picture()
            found.append((_name(each), self._look(picture, each, replace(parts, objects=False)).picture))
        return found

    def _decode(self, asked: str | os.PathLike[str] | bytes | int | Decoding, *, whole: bool) -> Decoding:
        if isinstance(asked, Decoding):
            return asked.at(self._pool(), whole=whole)
        data = self._read(asked) if isinstance(asked, int) else bytes_of(asked)
        return Decoding(asked, data, self._pool(), whole=whole)

    def _look(self, picture: Picture, asked: Asked, parts: Parts) -> Crops:
        """Take the parts of a picture; its name, which costs a digest, is for what is said of them."""
        return crop(picture, parts, self._extractor, name=_name(asked)) if parts.given else Crops(picture)

    def _embed(self, looks: Mapping[int, Crops], spaces: Mapping[str, Space]) -> dict[int, _Seen]:
        """Embed what is looked at, its objects, and what each kind of regions sees in it, in one run."""
        masks = {kind: kind.removeprefix("mask:") for kind in spaces if kind.startswith("mask:")}
        pictures: list[Picture] = []
        for each in looks.values():
            pictures += [each.picture, *each.crops]
            pictures += [self._masked(each, wanted) for wanted in masks.values()]
        if not pictures:
            return {}
        pooled = spaces.get("pooled")
        maps = None
        if pooled and isinstance(self._embedder, FeatureMaps):
            heads, maps = self._embedder.embed_with_maps(pictures)
        else:
            heads = self._embedder.embed(pictures)
        vectors = heads[:, : self._view.space.dim]
        copies = heads[:, -self._embedder.spec.heads[-1].dim :]
        if not np.isfinite(vectors).all():
            raise BadPicture("embedding_failed", f"{self._embedder.spec.name} gives what is no number for this picture")
        found, row = {}, 0
        for at, each in looks.items():
            crops = vectors[row + 1 : row + 1 + len(each.crops)]
            by_space = {}
            if crops.size:
                by_space[spaces["objects"].id if "objects" in spaces else self._view.space.id] = crops
            for nth, kind in enumerate(masks):
                by_space[spaces[kind].id] = vectors[row + 1 + len(crops) + nth][None]
            if pooled and maps is not None:
                by_space[pooled.id] = pooled_regions(maps[row : row + 1])[1][0]
            found[at] = _Seen(vectors[row], by_space, each, copy_vector=copies[row])
            row += 1 + len(crops) + len(masks)
        return found

    def _masked(self, seen: Crops, wanted: str) -> Picture:
        """Return a picture with the mask by which the library's were embedded; one that was masked already stays."""
        return seen.picture if "mask" in seen.about else crop(seen.picture, Parts(mask=wanted), self._extractor).picture

    def _embed_words(self, text: Text) -> FloatMatrix:
        if isinstance(self._embedder, KnowsWords) and self._embedder.knows_words:
            return self._embedder.embed_words(text.words, self._labels)
        if not isinstance(self._embedder, TextTower):
            raise UsageError(f"{self._embedder.spec.name} knows no words: {WITH_WORDS}")
        vector: FloatMatrix = self._embedder.embed_text([text.words])[0]
        return vector

    def _checked(self, given: Vector) -> FloatMatrix:
        """Return a vector that was given as a unit vector; raise UsageError for one that is of no use here."""
        values, dim = np.asarray(given.values, np.float32), self._view.space.dim
        if values.shape != (dim,):
            raise UsageError(
                f"the vector has shape {values.shape}, and those of {self._view.space.name} have ({dim},): embed with "
                "the same model (`lib.embed`)"
            )
        if wrong := int((~np.isfinite(values)).sum()):
            raise UsageError(f"{wrong} of the {dim} numbers of the vector are NaN or infinite: embed it again")
        if not np.any(values):
            raise UsageError("the vector is all zeros, and so points nowhere: embed it again")
        vector: FloatMatrix = unit(values[None])[0]
        return vector

    def _stored_vector(self, content_id: int) -> FloatMatrix:
        vector = self._catalogue.vector(self._view.space, content_id)
        if vector is None:
            if not self._catalogue.pictures([content_id]):
                raise UnknownName(f"the library has no picture {content_id}; `sosie labels` and a search show ids")
            name = self._embedder.spec.name
            raise NoVector(f"picture {content_id} has no vector of {name} yet: `sosie add` its folder again")
        return vector


def _sum(name: str, group: Sequence[tuple[float, Asked]], seen: Sequence[_Seen], *, whole: bool) -> Query:
    """Add up the summands of a query, in every space; only the first may have several vectors in one."""
    signs = np.array([sign for sign, _ in group], np.float32)
    by_space = {
        space: unit(vectors + sum(s * each.in_space(space) for s, each in zip(signs[1:], seen[1:], strict=True)))
        for space, vectors in seen[0].by_space.items()
    }
    alone = len(group) == 1 and group[0][0] > 0
    names = [name] if alone else [("- " if sign < 0 else "") + _name(term) for sign, term in group]
    facts = {**seen[0].facts, "copy_vector": seen[0].copy_vector} if alone else {}
    return Query(
        name,
        unit((signs[:, None] * np.stack([each.vector for each in seen])).sum(axis=0, keepdims=True))[0],
        single=alone and not isinstance(group[0][1], Text | Vector),
        terms=tuple(zip(names, (each.vector for each in seen), strict=True)),
        parts=seen[0].crop.objects if seen[0].crop else (),
        vectors=by_space,
        about=seen[0].crop.about if seen[0].crop else {},
        **(facts if whole else _part(seen[0].crop, facts)),
    )


def _part(crop: Crops | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a part: it is not the picture, which may be an answer to it."""
    if crop is None or crop.box is None or crop.unmasked is None or not facts:
        return {}
    cut = Cut(crop.box, facts.get("exclude"), facts.get("sha256"), facts.get("pixels"))
    return {"cut": cut, "shown": partial(_pixels, crop.unmasked), "copy_vector": facts["copy_vector"]}


def _pixels(picture: Picture) -> Pixels:
    return picture.pixels


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
        if error.reason == "not_a_file" and Path(text).is_dir():
            shown = visible(text.rstrip("/"))
            raise UsageError(f"{shown} is a folder: give its pictures, such as {shown}/*.jpg") from error
        raise error.named(visible(text)) from error


def terms_of(asked: Asked) -> list[tuple[float, Asked]]:
    """Split ``a.jpg + b.jpg - text:at night``, pictures that are added first; a file of that very name is one picture.

    What is added first may be searched by its parts, and words and vectors have none.
    """
    if isinstance(asked, tuple):
        terms = list(asked)
    elif not isinstance(asked, str) or os.path.exists(asked):  # noqa: PTH110 - False for what is too long for a path
        return [(1.0, asked)]
    else:
        first, *rest = _TERM.split(asked.strip())
        pairs = zip(rest[::2], rest[1::2], strict=True)
        split = [(1.0, first), *((1.0 if sign == "+" else -1.0, term) for sign, term in pairs)]
        terms = [(sign, Text(term[len(_WORDS) :]) if term.startswith(_WORDS) else term) for sign, term in split]
    return sorted(terms, key=lambda term: term[0] < 0 or isinstance(term[1], Text | Vector))


def with_words(asked: Asked | None, text: str | None) -> Asked:
    """Return a query with words added to it; raise UsageError where there is neither."""
    if asked is None:
        if text is None:
            raise UsageError("search with a picture, with words, or with both")
        return Text(text)
    return asked if text is None else (*terms_of(asked), (1.0, Text(text)))


def _name(asked: Asked) -> str:
    if isinstance(asked, Decoding) and not isinstance(asked.asked, bytes):
        asked = asked.asked
    if isinstance(asked, bytes | Decoding):
        sha256 = hashlib.sha256(asked).digest() if isinstance(asked, bytes) else asked.sha256
        return f"bytes:{sha256.hex()[:16]}"
    if isinstance(asked, int):
        return f"id:{asked}"
    if isinstance(asked, Picture | Vector):
        return type(asked).__name__.lower()
    if isinstance(asked, Text):
        return _WORDS + asked.words
    if isinstance(asked, tuple):
        return " ".join(("+ " if sign > 0 else "- ") + _name(each) for sign, each in asked).removeprefix("+ ")
    return os.fspath(asked)
