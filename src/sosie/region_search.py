"""Searching by parts: candidates from every space, then each candidate scored in every space, exactly, and fused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie import rank
from sosie.catalogue import Catalogue, Condition, RegionRow
from sosie.indexes.tune import EXACT_UNTIL
from sosie.regions.fusion import Matched, Weights, combine, match_regions
from sosie.regions.table import Held
from sosie.search import Query, make_hit, same_pictures
from sosie.space_view import SpaceView
from sosie.types import FloatMatrix, Hit, Ids, SearchResult
from sosie.verify.blas import one_thread

__all__ = ["KindView", "answer_by_regions"]

_DEPTH = 50  # candidates that each part of a query brings, at least


@dataclass(frozen=True, slots=True)
class KindView:
    """One kind of regions, as it is searched: its name, its vectors, how they count."""

    name: str
    view: SpaceView
    weights: Weights


def answer_by_regions(
    queries: Sequence[Query],
    *,
    whole: SpaceView,
    kinds: Sequence[KindView],
    catalogue: Catalogue,
    k: int,
    condition: Condition | None = None,
) -> list[SearchResult]:
    """Answer several queries at once, in their order; several regions of a picture are one hit, its best one shown."""
    allow = catalogue.live_ids(condition) if condition else None
    allowed_rows = {each.name: each.view.allowed(condition) for each in kinds} if condition else {}
    results = []
    for query in queries:
        started = time.perf_counter()
        run = _Run(query, whole, kinds, catalogue)
        with one_thread():
            hits = run.hits(k, allow, allowed_rows)
        took_ms = (time.perf_counter() - started) * 1000
        results.append(SearchResult(query.name, hits, took_ms, whole.description, query.about))
    return results


class _Run:
    """One query on its way through the spaces."""

    def __init__(self, query: Query, whole: SpaceView, kinds: Sequence[KindView], catalogue: Catalogue) -> None:
        self._query, self._whole, self._kinds, self._catalogue = query, whole, kinds, catalogue

    def hits(self, k: int, allow: Ids | None, allowed_rows: Mapping[str, Ids]) -> tuple[Hit, ...]:
        same = same_pictures(self._query, self._catalogue)
        first = [i for i in same if i != self._query.exclude and (allow is None or i in set(allow.tolist()))]
        candidates = self._candidates(k, allow, allowed_rows) | set(first)
        ids, vectors = self._catalogue.whole_vectors(self._whole.space, sorted(candidates - {self._query.exclude}))
        if not len(ids):
            return ()
        scores = {"whole": vectors @ self._query.vector}
        matched = {each.name: self._match(each, ids) for each in self._kinds}
        scores |= {name: found.scores for name, (found, _) in matched.items()}
        shares = [(scores[each.name], each.weights.share) for each in self._kinds]
        fused = combine(scores["whole"], shares)
        order = np.lexsort((ids, -fused))
        ranked = rank.put_first(ids[order].tolist(), fused[order].tolist(), first, k)
        rows = {int(i): row for row, i in enumerate(ids)}
        records = {record.id: record for record in self._catalogue.pictures([i for i, _ in ranked])}
        kept = [(i, score) for i, score in ranked if i in records]
        best = [self._best(rows[i], matched) for i, _ in kept]
        regions = self._catalogue.regions([i for i in best if i])
        return tuple(
            make_hit(
                position,
                records[i],
                score,
                same.get(i),
                evidence=self._evidence(rows[i], vectors, scores, matched, regions.get(region)),
                region=regions.get(region),
            )
            for position, ((i, score), region) in enumerate(zip(kept, best, strict=True), 1)
        )

    def _candidates(self, k: int, allow: Ids | None, allowed_rows: Mapping[str, Ids]) -> set[int]:
        """Return the pictures that may be an answer: some that each space puts first."""
        depth = max(2 * k, _DEPTH) + 1  # a picture of the library is not an answer to itself
        ids, _ = self._whole.search(self._query.vector[None], depth, allow)
        found = set(ids[ids >= 0].tolist())
        for each in self._kinds:
            parts = self._looking(each)
            if not len(parts):
                continue
            rows, scores = each.view.search(parts, depth, allowed_rows.get(each.name))
            order = np.argsort(-scores.ravel(), kind="stable")
            rows = rows.ravel()[order]
            # many parts would bring many pictures: those that fit some part best are enough
            best = list(dict.fromkeys(rows[rows >= 0].tolist()))[: 2 * depth]
            whole = each.view.space.regions == "whole"
            found |= set(best) if whole else set(each.view.owners_of(np.array(best, np.int64)).tolist())
        return found

    def _parts(self, kind: KindView) -> FloatMatrix:
        return self._query.vectors.get(kind.view.space.id, self._query.vector[None])

    def _looking(self, kind: KindView) -> FloatMatrix:
        """Return those parts of the query (m, dim) that look for candidates in a space; all of them score.

        Of squares it is the largest: with whole pictures it brings nearly all that all squares bring (measured in
        docs/explanation/regions.md). Where even that would be a look at too many, whole pictures bring them alone.
        """
        parts = self._parts(kind)
        if kind.name != "pooled":
            return parts
        return parts[: 1 if kind.view.description["tail"] < EXACT_UNTIL else 0]

    def _match(self, kind: KindView, ids: Ids) -> tuple[Matched, Held]:
        """Score the candidates by one kind of regions; a picture that has none of it counts as a whole."""
        held = self._held(kind.view, ids)
        parts, asked = self._parts(kind), self._query.parts if kind.name == "objects" else ()
        found = match_regions(parts, held.vectors, held.owners, asked=asked, confidence=held.sure, weights=kind.weights)
        return _spread(found, ids), held

    def _held(self, view: SpaceView, ids: Ids) -> Held:
        if view.space.regions != "whole":
            return view.regions_of(ids)
        found, vectors = self._catalogue.whole_vectors(view.space, ids.tolist())
        return Held(np.zeros_like(found), found, np.ones(len(found), np.float32), vectors)

    def _best(self, row: int, matched: Mapping[str, tuple[Matched, Held]]) -> int:
        """Return the id of the region that is shown, or 0: the best of the kind that counts most."""
        for each in sorted(self._kinds, key=lambda each: -each.weights.share):
            found, held = matched[each.name]
            at = int(found.region[row])
            if at >= 0 and held.ids[at]:
                return int(held.ids[at])
        return 0

    def _evidence(
        self,
        row: int,
        vectors: FloatMatrix,
        scores: Mapping[str, FloatMatrix],
        matched: Mapping[str, tuple[Matched, Held]],
        shown: RegionRow | None,
    ) -> dict[str, Any]:
        """Say what each space and each part of the query gave."""
        told: dict[str, Any] = {"parts": {name: round(float(each[row]), 4) for name, each in scores.items()}}
        if len(self._query.terms) > 1:
            told["terms"] = {name: round(float(vectors[row] @ vector), 4) for name, vector in self._query.terms}
        if shown is not None and shown.region.label:
            told["object"] = {"label": shown.region.label, "confidence": round(shown.region.confidence, 4)}
            kind = max(self._kinds, key=lambda each: each.weights.share)
            part = int(matched[kind.name][0].part[row])
            if len(self._query.parts) > 1:
                told["object"]["asked"] = self._query.parts[part].label
        return told


def _spread(found: Matched, ids: Ids) -> Matched:
    """Lay what was matched out over all candidates; those without regions of the kind score the least there is."""
    rows = np.searchsorted(ids, found.contents)
    least = float(found.scores.min(initial=0.0))
    scores, region, part = np.full(len(ids), least, np.float32), np.full(len(ids), -1), np.zeros(len(ids), np.int64)
    scores[rows], region[rows], part[rows] = found.scores, found.region, found.part
    return Matched(ids, scores, region, part)
