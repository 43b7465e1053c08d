"""Searching by parts: candidates from every space, then each candidate scored in every space, exactly, and fused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.catalogue import Condition, Held, RegionRow, Store, View
from sosie.errors import UsageError
from sosie.indexes.params import read_params
from sosie.indexes.tune import EXACT_UNTIL
from sosie.query import rank
from sosie.query.hits import make_hit, same_pictures
from sosie.query.query import Query
from sosie.regions.fusion import Matched, Weights, combine, match_regions
from sosie.types import FloatMatrix, Hit, Ids, SearchResult
from sosie.verify.blas import one_thread

__all__ = ["KindView", "answer_by_regions", "read_shares"]

_DEPTH = 50  # candidates that each part of a query brings, at least


def read_shares(text: str) -> dict[str, float]:
    """Read how much whole pictures and parts count, as people write it: ``whole=0,mask=1``; raise UsageError."""
    shares = read_params(text.split(","))
    for name, value in shares.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"a share is a number, such as whole=0,mask=1, not {name}={value}")
    return {name: float(value) for name, value in shares.items()}


@dataclass(frozen=True, slots=True)
class KindView:
    """One kind of regions, as it is searched: its name, its vectors, how they count."""

    name: str
    view: View
    weights: Weights


def answer_by_regions(
    queries: Sequence[Query],
    *,
    whole: View,
    kinds: Sequence[KindView],
    catalogue: Store,
    k: int,
    condition: Condition | None = None,
    shares: Mapping[str, float] | None = None,
) -> list[SearchResult]:
    """Answer several queries at once, in their order; several regions of a picture are one hit, its best one shown.

    ``shares`` are what whole pictures and each kind make of the score, 1 in all; None takes the kinds' own. Where whole
    pictures have none, those in which no such part was found are no answer.
    """
    started = time.perf_counter()
    with one_thread():
        runs = [_Run(query, whole, kinds, catalogue, condition, shares=shares) for query in queries]
        near = _candidates(runs, whole, kinds, k, condition)
        hits = [run.hits(k, found) for run, found in zip(runs, near, strict=True)]
    took_ms = (time.perf_counter() - started) * 1000 / len(queries)
    return [
        SearchResult(
            query.name,
            each,
            took_ms,
            whole.description,
            {**query.about, **({"shares": shares} if shares else {})},
            {**query.took, "search": took_ms},
        )
        for query, each in zip(queries, hits, strict=True)
    ]


def _candidates(
    runs: Sequence[_Run], whole: View, kinds: Sequence[KindView], k: int, condition: Condition | None
) -> list[set[int]]:
    """Return for each query the pictures that may be an answer: some that each space puts first.

    All queries go to a space together, which costs a cluster one request.
    """
    depth = max(2 * k, _DEPTH) + 1  # a picture of the library is not an answer to itself
    rows = whole.find(np.stack([run.query.vector for run in runs]), depth, condition, records=False).ids
    found = [set(row[row >= 0].tolist()) for row in rows]
    for kind in kinds:
        parts = [run.looking(kind) for run in runs]
        if not sum(map(len, parts)):
            continue
        near = kind.view.find(np.concatenate(parts), depth, condition, records=False)
        edges = np.cumsum([len(each) for each in parts])[:-1]
        for each, ids, scores in zip(found, np.split(near.ids, edges), np.split(near.scores, edges), strict=True):
            ordered = ids.ravel()[np.argsort(-scores, axis=None, kind="stable")]
            # many parts would bring many pictures: those that fit some part best are enough
            each |= set(list(dict.fromkeys(ordered[ordered >= 0].tolist()))[: 2 * depth])
    return found


class _Run:
    """One query on its way through the spaces."""

    def __init__(
        self,
        query: Query,
        whole: View,
        kinds: Sequence[KindView],
        catalogue: Store,
        condition: Condition | None,
        *,
        shares: Mapping[str, float] | None,
    ) -> None:
        self._shares = shares
        self.query, self._whole, self._kinds, self._catalogue = query, whole, kinds, catalogue
        self._condition = condition

    def hits(self, k: int, near: set[int]) -> tuple[Hit, ...]:
        """Score the candidates ``near`` in every space, and return the best ``k``."""
        same = same_pictures(self.query, self._catalogue)
        first = [i for i in same if i != self.query.exclude]
        if first and self._condition is not None:
            meeting = self._catalogue.meeting(first, self._condition)
            first = [i for i in first if i in meeting]
        candidates = sorted((near | set(first)) - {self.query.exclude})
        ids, vectors = self._catalogue.vectors_of(self._whole.space, candidates)
        if not len(ids):
            return ()
        scores = {"whole": vectors @ self.query.vector}
        matched = {each.name: self._match(each, ids) for each in self._kinds}
        scores |= {name: found.scores for name, (found, _) in matched.items()}
        fused = self._fused(scores)
        order = np.lexsort((ids, -fused))
        order = order[self._has_part(matched, ids)[order]]
        first = [i for i in first if i in set(ids[order].tolist())]
        ranked = rank.put_first(ids[order].tolist(), fused[order].tolist(), first, k)
        rows = {int(i): row for row, i in enumerate(ids)}
        records = {record.id: record for record in self._catalogue.pictures([i for i, _ in ranked])}
        kept = [(i, score) for i, score in ranked if i in records]
        regions = self._shown([rows[i] for i, _ in kept], matched)
        return tuple(
            make_hit(
                position,
                records[i],
                score,
                same.get(i),
                evidence=self._evidence(rows[i], vectors, scores, matched, region),
                region=region,
            )
            for position, ((i, score), region) in enumerate(zip(kept, regions, strict=True), 1)
        )

    def _fused(self, scores: Mapping[str, FloatMatrix]) -> FloatMatrix:
        if self._shares is not None:
            return np.asarray(sum(share * scores[name] for name, share in self._shares.items()), np.float32)
        return combine(scores["whole"], [(scores[each.name], each.weights.share) for each in self._kinds])

    def _has_part(self, matched: Mapping[str, tuple[Matched, Held]], ids: Ids) -> npt.NDArray[np.bool_]:
        """Tell which candidates may be an answer: those with a part that counts, where whole pictures count nothing."""
        if self._shares is None or self._shares["whole"]:
            return np.ones(len(ids), bool)
        having = np.zeros(len(ids), bool)
        for name, (found, held) in matched.items():
            if self._shares[name]:
                sure = np.append(held.sure, np.float32(0))  # row -1: no region at all
                having |= sure[found.region] > 0
        return having

    def _parts(self, kind: KindView) -> FloatMatrix:
        return self.query.vectors.get(kind.view.space.id, self.query.vector[None])

    def looking(self, kind: KindView) -> FloatMatrix:
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
        parts, asked = self._parts(kind), self.query.parts if kind.name == "objects" else ()
        found = match_regions(parts, held.vectors, held.owners, asked=asked, confidence=held.sure, weights=kind.weights)
        return _spread(found, ids), held

    def _held(self, view: View, ids: Ids) -> Held:
        if view.space.regions != "whole":
            return view.regions_of(ids)
        found, vectors = self._catalogue.vectors_of(view.space, ids.tolist())
        return Held(np.zeros_like(found), found, np.ones(len(found), np.float32), vectors)

    def _shown(self, rows: Sequence[int], matched: Mapping[str, tuple[Matched, Held]]) -> list[RegionRow | None]:
        """Return the region that is shown of each of some candidates, if any: the best of the kind that counts most."""
        best = [self._best(row, matched) for row in rows]
        found = {
            (each.name, i): region
            for each in self._kinds
            for i, region in self._catalogue.regions(
                each.view.space, [i for name, i in best if name == each.name]
            ).items()
        }
        return [found.get(each) for each in best]

    def _best(self, row: int, matched: Mapping[str, tuple[Matched, Held]]) -> tuple[str, int]:
        """Return the kind and the id of the region that fits best, by the kind that counts most; 0 for none."""
        for each in sorted(self._kinds, key=lambda each: -each.weights.share):
            found, held = matched[each.name]
            at = int(found.region[row])
            if at >= 0 and held.ids[at]:
                return each.name, int(held.ids[at])
        return "", 0

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
        if len(self.query.terms) > 1:
            told["terms"] = {name: round(float(vectors[row] @ vector), 4) for name, vector in self.query.terms}
        if shown is not None and shown.region.label:
            told["object"] = {"label": shown.region.label, "confidence": round(shown.region.confidence, 4)}
            kind = max(self._kinds, key=lambda each: each.weights.share)
            part = int(matched[kind.name][0].part[row])
            if len(self.query.parts) > 1:
                told["object"]["asked"] = self.query.parts[part].label
        return told


def _spread(found: Matched, ids: Ids) -> Matched:
    """Lay what was matched out over all candidates; those without regions of the kind score the least there is."""
    rows = np.searchsorted(ids, found.contents)
    least = float(found.scores.min(initial=0.0))
    scores, region, part = np.full(len(ids), least, np.float32), np.full(len(ids), -1), np.zeros(len(ids), np.int64)
    scores[rows], region[rows], part[rows] = found.scores, found.region, found.part
    return Matched(ids, scores, region, part)
