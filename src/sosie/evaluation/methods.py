"""What a library can answer "what is this a copy of?" with, as methods of ``evaluate copies``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sosie.analysis.fingerprints import BITS, MIN_QUALITY, hamming, variants
from sosie.catalogue import Space
from sosie.errors import BadPicture, UnknownName
from sosie.evaluation.copies import Answer, Method
from sosie.library import Library
from sosie.registry import nearest
from sosie.types import FloatMatrix, Picture

__all__ = ["library_methods"]

Answers = Sequence[Sequence[Answer]]


def library_methods(library: Library, names: Sequence[str] = (), *, depth: int = 10) -> dict[str, Method]:
    """Return the methods of these names, in their order; all that the library has where none is named.

    ``copies`` is what `sosie copies` answers, with its probability; each head of the embedder is one (by its name);
    ``pdq`` compares fingerprints, ``pdq-turns`` those of the query's eight turns and flips. Raises UnknownName.
    """
    seen = _Seen(library)
    known: dict[str, Callable[[Sequence[bytes]], Answers]] = {"copies": _by_proof(library, depth)}
    known |= {space.head: _by_vectors(library, seen, space, at, depth) for at, space in enumerate(library.spaces)}
    known |= {
        "pdq": _by_fingerprint(library, seen, turns=1, depth=depth),
        "pdq-turns": _by_fingerprint(library, seen, turns=8, depth=depth),
    }
    for name in names:
        if name not in known:
            raise UnknownName(f"no method is called {name!r}; {nearest(name, known)}")
    return {name: known[name] for name in (names or known)}


class _Seen:
    """Decodes and embeds a batch once, however many methods ask for it."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._files: list[bytes] = []
        self._analysed: list[Mapping[str, Any]] = []
        self._vectors: FloatMatrix | None = None

    def analysed(self, files: Sequence[bytes]) -> list[Mapping[str, Any]]:
        """Return what ingest makes of each file."""
        if list(files) != self._files:
            self._files, self._vectors = list(files), None
            self._analysed = [
                future.result() for future in [self._library.engine.queries.submit(data) for data in files]
            ]
        return self._analysed

    def vectors(self, files: Sequence[bytes]) -> FloatMatrix:
        """Return the vectors of all heads side by side (n, dim)."""
        analysed = self.analysed(files)
        if self._vectors is None:
            pictures = [Picture(a["input"], a["width"], a["height"], a["format"]) for a in analysed]
            self._vectors = self._library.embedder.embed(pictures)
        return self._vectors


def _by_proof(library: Library, depth: int) -> Method:
    def method(files: Sequence[bytes]) -> Answers:
        workers = os.cpu_count() or 1
        library.copies.prepare(workers=workers)
        named = [(f"altered {at}", data) for at, data in enumerate(files)]
        found = list(library.copies.find_many(named, k=depth + 1, least=0.0, workers=workers))
        hits = [[] if isinstance(each, BadPicture) else list(each) for each in found]
        keys = _keys(library, (hit.id for row in hits for hit in row))
        return [[Answer(keys[hit.id], hit.score, hit.probability) for hit in row if hit.id in keys] for row in hits]

    return method


def _by_vectors(library: Library, seen: _Seen, space: Space, at: int, depth: int) -> Method:
    start = sum(each.dim for each in library.spaces[:at])

    def method(files: Sequence[bytes]) -> Answers:
        vectors = np.ascontiguousarray(seen.vectors(files)[:, start : start + space.dim])
        ids, scores = library.view(space).search(vectors, depth + 1)
        keys = _keys(library, ids.ravel().tolist())
        return [
            [Answer(keys[i], float(s)) for i, s in zip(row, each, strict=True) if i in keys]
            for row, each in zip(ids.tolist(), scores.tolist(), strict=True)
        ]

    return method


def _by_fingerprint(library: Library, seen: _Seen, *, turns: int, depth: int) -> Method:
    ids, codes, qualities = library.catalogue.fingerprints()
    usable = qualities >= MIN_QUALITY  # a featureless picture is never a match
    ids, codes = ids[usable], codes[usable]
    keys = _keys(library, ids.tolist())

    def answers(analysed: Mapping[str, Any]) -> list[Answer]:
        if analysed["pdq_quality"] < MIN_QUALITY or not len(ids):
            return []
        mine = np.frombuffer(analysed["pdq"], np.uint8)[None]
        if turns > 1:
            mine = variants(Picture(analysed["working"], analysed["width"], analysed["height"]))
        distance = hamming(mine, codes).min(axis=0)
        order = np.argsort(distance, kind="stable")[: depth + 1]
        found = zip(ids[order].tolist(), distance[order].tolist(), strict=True)
        return [Answer(keys[i], 1 - d / BITS) for i, d in found if i in keys]

    return lambda files: [answers(each) for each in seen.analysed(files)]


def _keys(library: Library, ids: Iterable[int]) -> dict[int, str]:
    known = sorted({i for i in ids if i >= 0})
    return {record.id: record.sha256 for record in library.catalogue.pictures(known)}
