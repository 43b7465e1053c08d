"""Which pictures may a query be a copy of: the union of three cheap stages, each with its cost and its yield.

1. Fingerprints: PDQ codes near one of the query's eight turns and flips.
2. Words: pictures that share local features in one pose; what is cropped, pasted or framed is found here.
3. Vectors: neighbours of the copy embedding, the query as it is and in a mirror. Their likeness is normalised by the
   query's own background, as SSCD does (Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", 2022).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sosie.analysis.fingerprints import Codes, hamming, within
from sosie.query.copy_query import CopyQuery
from sosie.query.words import WordStore
from sosie.types import FloatMatrix, Ids
from sosie.verify.features import Features

__all__ = ["Candidate", "Gathered", "Hashes", "Nearest", "compare_hashes", "gather"]

Nearest = Callable[[FloatMatrix, int], tuple[Ids, FloatMatrix]]

_LEAST_QUALITY = 20  # of a fingerprint, to be a hint; a match needs more, see verify.evidence
_RADIUS = 90  # of 256 bits; unrelated pictures differ in 128 ± 16
_BACKGROUND = slice(10, 30)  # ranks of the neighbours that say how like anything is to this query


@dataclass(frozen=True, slots=True)
class Hashes:
    """The fingerprints of a library: ids (n,), codes (n, 32), qualities (n,)."""

    ids: Ids
    codes: Codes
    qualities: Any

    def row(self, content_id: int) -> int | None:
        """Return the position of a picture, or None."""
        at = int(np.searchsorted(self.ids, content_id))
        return at if at < len(self.ids) and self.ids[at] == content_id else None

    def after(self, changed: Ids, now: Hashes) -> Hashes:
        """Return these where pictures that changed, whose ids ascend, have the fingerprints of ``now``, or none."""
        kept = ~np.isin(self.ids, changed, assume_unique=True)
        columns = [
            np.concatenate([old if kept.all() else old[kept], new])
            for old, new in zip(self._columns, now._columns, strict=True)
        ]
        in_order = not len(now.ids) or not len(self.ids) or now.ids[0] > self.ids[-1]
        order = slice(None) if in_order else np.argsort(columns[0])
        return Hashes(*(column[order] for column in columns))

    @property
    def _columns(self) -> tuple[Any, ...]:
        return self.ids, self.codes, self.qualities


@dataclass(slots=True)
class Candidate:
    """A picture that may be the source, which stages named it, and what they know."""

    id: int
    stages: list[str] = field(default_factory=list)
    pdq_distance: int | None = None
    variant: int | None = None
    copy_score: float | None = None
    quality: int = 0  # of the worse of the two fingerprints


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates, best hints first, and for every stage how many it named and how long it took."""

    candidates: list[Candidate]
    stages: dict[str, dict[str, float]]


def gather(
    query: CopyQuery,
    *,
    hashes: Hashes,
    words: WordStore,
    nearest: Nearest | None,
    allowed: Callable[[int], bool],
    most: int,
    features: Features | None = None,
) -> Gathered:
    """Return at most ``most`` candidates of each stage; ``features`` stand in for the query's own in a second look."""
    found: dict[int, Candidate] = {}
    stages: dict[str, dict[str, float]] = {}

    def run(name: str, stage: Callable[[], Mapping[int, Mapping[str, Any]]]) -> None:
        started = time.perf_counter()
        named = {i: facts for i, facts in stage().items() if allowed(i)}
        for content_id, facts in list(named.items())[:most]:
            candidate = found.setdefault(content_id, Candidate(content_id))
            candidate.stages.append(name)
            for key, value in facts.items():
                setattr(candidate, key, value)
        stages[name] = {
            "candidates": min(len(named), most),
            "ms": round((time.perf_counter() - started) * 1000, 3),
        }

    if features is None:
        run("fingerprint", lambda: _by_fingerprint(query, hashes))
    run("words", lambda: _by_words(features or query.features, words, 2 * most))
    if features is None and nearest is not None and len(query.vectors):
        run("vectors", lambda: _by_vectors(query, nearest, most))
    for candidate in found.values():
        compare_hashes(query.codes, query.quality, hashes, candidate)
    return Gathered(list(found.values()), stages)


def _by_fingerprint(query: CopyQuery, hashes: Hashes) -> dict[int, dict[str, Any]]:
    if query.quality < _LEAST_QUALITY:
        return {}
    usable = np.flatnonzero(hashes.qualities >= _LEAST_QUALITY)
    at, distances, which = within(query.codes, hashes.codes[usable], radius=_RADIUS)
    return {
        int(hashes.ids[usable[row]]): {"pdq_distance": int(distance), "variant": int(variant)}
        for row, distance, variant in zip(at.tolist(), distances.tolist(), which.tolist(), strict=True)
    }


def _by_words(features: Features, words: WordStore, k: int) -> dict[int, dict[str, Any]]:
    ids, _ = words.search(features, k=k)
    return {int(i): {} for i in ids}


def _by_vectors(query: CopyQuery, nearest: Nearest, most: int) -> dict[int, dict[str, Any]]:
    ids, scores = nearest(query.vectors, max(most, _BACKGROUND.stop))
    best: dict[int, float] = {}
    for row_ids, row_scores in zip(ids, scores, strict=True):
        known = row_ids >= 0
        background = float(row_scores[known][_BACKGROUND].mean()) if known[_BACKGROUND.start :].any() else 0.0
        for content_id, score in zip(row_ids[known].tolist(), row_scores[known].tolist(), strict=True):
            normalised = (score - background) / max(1e-3, 1 - background)
            best[content_id] = max(normalised, best.get(content_id, -1.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return {content_id: {"copy_score": max(0.0, score)} for content_id, score in ordered}


def compare_hashes(codes: Codes, quality: int, hashes: Hashes, candidate: Candidate) -> None:
    """Know the distance of fingerprints also for candidates of other stages, where both have quality.

    ``codes`` (8, 32) are the query's turns and flips, ``quality`` is theirs.
    """
    row = hashes.row(candidate.id)
    candidate.quality = 0 if row is None else min(quality, int(hashes.qualities[row]))
    if candidate.pdq_distance is not None or row is None or candidate.quality < _LEAST_QUALITY:
        return
    distances = hamming(codes, hashes.codes[row : row + 1])[:, 0]
    candidate.pdq_distance, candidate.variant = int(distances.min()), int(distances.argmin())
