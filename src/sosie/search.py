"""How a query is answered: encode → candidates → hits → judge → rank by meaning. This file alone knows the order.

The parts of the engine come as one value. What each does is in `sosie.query`: `encode` makes vectors of what was asked,
`whole` and `regions` find the likest in their spaces, `hits` makes answers of them, `verifier` lays the query over
these and over what other channels name, `rank` puts what it means first, and `likeness` says how unusual the rest is.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np

from sosie.analysis.regions import Parts, RegionExtractor
from sosie.catalogue import Condition, Space, Store, View
from sosie.errors import UsageError
from sosie.query.class_first import ClassFirst, search_by_class
from sosie.query.encode import Asked, QueryEncoder, terms_of
from sosie.query.hits import make_hit, with_verdicts
from sosie.query.likeness import LikenessScale
from sosie.query.query import Query
from sosie.query.rank import by_meaning
from sosie.query.regions import KindView, answer_by_regions
from sosie.query.whole import answer_by_whole
from sosie.regions.fusion import shares_of, weights_of
from sosie.types import Box, Classification, Hit, Picture, SearchResult, Text, Vector, Verdict

if TYPE_CHECKING:
    from sosie.query.verifier import HitJudge

LIKEST = 8  # of the likest are judged, and as many of every other channel
Scored: TypeAlias = Callable[[Query, Sequence[int]], list[Hit]]

__all__ = ["SearchOptions", "Searcher", "Wanted", "search"]


class SearchOptions(TypedDict, total=False):
    """How a search is done, beside the query. Every key may be left out.

    ``k`` is how many answers to give (10). ``where`` filters by labels (docs/reference/where.md) before the top k are
    taken. ``box`` (x, y, width, height, each 0..1) searches for a part of the query, ``parts`` for objects and what a
    mask keeps. ``regions`` are the kinds that whole pictures are searched along with; None takes what fits. ``verify``
    (True) looks for copies and for what holds the query, or is in it, and puts them first.
    ``index_params`` are search parameters of the main index for this question, such as
    ``search_k``. ``class_first`` searches within the class that the library's classifier gives the query; an unsure one
    is searched among all pictures, and ``asked["class"]`` of the result says so. ``shares`` say how much whole pictures
    and each kind of parts count, such as ``{"whole": 0, "mask": 1}``; what is not named counts nothing.
    ``min_likeness`` leaves out what is only alike, with a score below it.
    """

    k: int
    where: str | None
    box: Box | None
    parts: Parts | None
    regions: Sequence[str] | None
    verify: bool
    index_params: Mapping[str, Any] | None
    class_first: bool | ClassFirst
    shares: Mapping[str, float] | None
    min_likeness: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a search, beside the queries; `SearchOptions` says what each means."""

    k: int = 10
    where: str | None = None
    parts: Parts = field(default_factory=Parts)
    regions: Sequence[str] | None = None
    verify: bool = True
    index_params: Mapping[str, Any] = field(default_factory=dict)
    class_first: ClassFirst | None = None
    shares: Mapping[str, float] | None = None
    min_likeness: float | None = None

    @classmethod
    def of(
        cls,
        *,
        box: Box | None = None,
        parts: Parts | None = None,
        index_params: Mapping[str, Any] | None = None,
        class_first: bool | ClassFirst = False,
        **others: Any,
    ) -> Wanted:
        """Return what `SearchOptions` want; a ``box`` by itself is a part."""
        whole = parts or Parts()
        by_class = ClassFirst() if class_first is True else class_first or None
        return cls(
            parts=replace(whole, box=box or whole.box),
            index_params=index_params or {},
            class_first=by_class,
            **others,
        )


@dataclass(frozen=True, slots=True)
class Searcher:
    """The parts of an engine that a search goes through.

    ``view`` gives the searchable view of a space; ``classify`` the classes of pictures by a classifier's name.
    """

    catalogue: Store
    space: Space
    view: Callable[[Space], View]
    encoder: QueryEncoder
    extractor: RegionExtractor
    judge: Callable[[], HitJudge]
    likeness: LikenessScale
    classify: Callable[[str | None, Sequence[tuple[str, Picture]]], list[Classification]]


def search(queries: Sequence[Asked], wanted: Wanted, engine: Searcher) -> list[SearchResult]:
    """Answer several queries at once, in their order; raise UsageError, FilterError, NotFound, BadPicture."""
    if wanted.k < 1:
        raise UsageError(f"k is how many answers to give: at least 1, not {wanted.k}")
    if not queries:
        return []
    if wanted.where:
        engine.catalogue.condition(wanted.where)  # a wrong filter is refused before anything is decoded
    with engine.catalogue.steady():
        if wanted.class_first is not None:
            return _answer_by_class(queries, wanted.class_first, wanted, engine)
        return _answer(queries, wanted, engine)


def _answer(queries: Sequence[Asked], wanted: Wanted, engine: Searcher) -> list[SearchResult]:
    view = _view_of_whole(wanted, engine)
    kinds = _views_of_regions(queries, wanted, engine)
    encoded = engine.encoder.encode(queries, wanted.parts, {each.name: each.view.space for each in kinds})
    condition = engine.catalogue.condition(wanted.where) if wanted.where else None
    k = max(wanted.k, LIKEST + 1) if wanted.verify else wanted.k  # what is judged does not depend on k
    shares = None if wanted.shares is None else shares_of([each.name for each in kinds], wanted.shares)
    if kinds or any(len(each.terms) > 1 for each in encoded):
        found = answer_by_regions(
            encoded,
            whole=view,
            kinds=kinds,
            catalogue=engine.catalogue,
            k=k,
            condition=condition,
            shares=shares,
        )
    else:
        found = answer_by_whole(encoded, view=view, catalogue=engine.catalogue, k=k, condition=condition)
    if wanted.verify:
        scored = partial(_scored, view=view, condition=condition, catalogue=engine.catalogue)
        found = [_judged(query, each, engine.judge(), scored) for query, each in zip(encoded, found, strict=True)]
    weighed = [engine.likeness.weighed(query, each.first(wanted.k)) for query, each in zip(encoded, found, strict=True)]
    return [_above(result, wanted.min_likeness) for result in weighed]


def _answer_by_class(queries: Sequence[Asked], how: ClassFirst, wanted: Wanted, engine: Searcher) -> list[SearchResult]:
    """Classify the queries, and search for each within its class."""
    started = time.perf_counter()
    begun = engine.encoder.begin(queries)
    classified = engine.classify(how.classifier, engine.encoder.pictures(begun, wanted.parts))
    took_ms = (time.perf_counter() - started) * 1000 / len(queries)
    found = search_by_class(
        classified,
        lambda rows, within: _answer([begun[at] for at in rows], replace(wanted, where=within), engine),
        where=wanted.where,
        min_class=how.min_class,
    )
    return [replace(result, took={"classify": took_ms, **result.took}) for result in found]


# ------------------------------------------------------------------------------------------------ what is searched


def _view_of_whole(wanted: Wanted, engine: Searcher) -> View:
    view = engine.view(engine.space)
    if wanted.index_params:
        view = view.with_params(wanted.index_params)
    if lacking := view.unembedded:
        warnings.warn(
            f"{lacking} pictures have no vectors of {view.space.name} yet: `sosie add` their folders again",
            stacklevel=5,
        )
    return view


def _views_of_regions(queries: Sequence[Asked], wanted: Wanted, engine: Searcher) -> list[KindView]:
    """Return what is searched along with whole pictures: the kinds asked for, else those that fit the parts.

    Words and vectors alone have no parts, and what holds one has no squares of a feature map, whose space knows none.
    """
    summed = [{type(each) for _, each in terms_of(query)} for query in queries]
    parts, names = wanted.parts, wanted.regions
    if any(types <= {Text, Vector} for types in summed):
        if parts.given:
            raise UsageError("a box, an object or a mask is of a picture: give one along with the words or the vector")
        names = ()
    names = engine.extractor.fitting(parts) if names is None else names
    if not names and not parts.objects:
        return []
    fitted = engine.catalogue.record("fusion")
    space = engine.extractor.existing_space
    kinds = [KindView(name, engine.view(space(name)), weights_of(name, fitted)) for name in names]
    if parts.objects and "objects" not in names:
        kinds.append(KindView("objects", engine.view(engine.space), weights_of("objects", fitted)))
    if any(types & {Text, Vector} for types in summed):
        return [kind for kind in kinds if kind.name != "pooled"]
    return kinds


# ------------------------------------------------------------------------------------------------ what was found


def _above(result: SearchResult, least: float | None) -> SearchResult:
    """Leave out hits that are only alike, and less than was asked for."""
    if least is None:
        return result
    kept = tuple(hit for hit in result.hits if hit.score >= least or hit.verdict.outranks_similar)
    return replace(result, hits=kept)


def _judged(query: Query, result: SearchResult, judge: HitJudge, scored: Scored) -> SearchResult:
    """Judge the likest and what other channels name, and put what is more than alike first, but for sums."""
    if not query.single or (query.shown is None and query.exclude is None):
        return result
    started = time.perf_counter()
    told = judge.judged(query, [hit.id for hit in result.hits if hit.verdict is Verdict.SIMILAR])
    hits = by_meaning(with_verdicts(result.hits, told.found, lambda ids: scored(query, ids)))
    asked = {**result.asked, **({"plain": True} if told.plain else {})}
    took = {**result.took, "verify": 1000 * (time.perf_counter() - started)}
    return replace(result, hits=hits, asked=asked, took=took, not_judged=told.not_judged)


def _scored(query: Query, ids: Sequence[int], view: View, condition: Condition | None, catalogue: Store) -> list[Hit]:
    """Return hits of pictures that other channels named: those that are live and meet the condition."""
    meeting = np.array(sorted(catalogue.meeting(ids, condition)), np.int64)
    if not len(meeting):
        return []
    found, scores = view.search(query.vector[None], len(meeting), meeting)
    likeness = dict(zip(found[0].tolist(), scores[0].tolist(), strict=True))
    records = {record.id: record for record in catalogue.pictures([i for i in meeting.tolist() if i in likeness])}
    return [make_hit(0, record, likeness[i], None) for i, record in records.items()]
