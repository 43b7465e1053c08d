"""Hits made of pictures that were found: what each is to the query where bytes or pixels say so, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sosie.catalogue import PictureRecord, RegionRow, Store
from sosie.errors import DamagedError
from sosie.query.judge import Judged
from sosie.query.query import Query
from sosie.types import Hit, Verdict

__all__ = ["make_hit", "refused_pictures", "same_pictures", "with_verdicts"]


def make_hit(
    position: int,
    record: PictureRecord,
    score: float,
    same: Verdict | None,
    *,
    evidence: Mapping[str, Any] | None = None,
    region: RegionRow | None = None,
) -> Hit:
    """Return the answer at one position: what the picture is to the query, and why; raise DamagedError."""
    if not record.uris:
        raise DamagedError(f"picture {record.id} has lost its place: ask again, and run `sosie doctor` if it stays so")
    return Hit(
        rank=position,
        id=record.id,
        uri=record.uris[0],
        score=min(float(score), 1.0),  # stored vectors are rounded, and so not quite of unit length
        verdict=same or Verdict.SIMILAR,
        labels=record.labels,
        region=region.region.box if region else None,
        evidence={**_evidence(same or Verdict.SIMILAR, record.uris), **(evidence or {})},
        gone=record.gone,
        facts=record.facts,
    )


def with_verdicts(
    hits: Sequence[Hit], judged: Sequence[Judged], others: Callable[[Sequence[int]], Sequence[Hit]]
) -> list[Hit]:
    """Return the hits with their verdicts; ``others`` makes hits of what was judged and is not among them."""
    told = {one.id: one for one in judged}
    known = {hit.id for hit in hits}
    more = others([i for i, one in told.items() if i not in known and one.verdict is not Verdict.SIMILAR])
    return [  # equal bytes and equal pixels are known already
        _with_verdict(hit, told[hit.id]) if hit.id in told and hit.verdict is Verdict.SIMILAR else hit
        for hit in [*hits, *more]
    ]


def _with_verdict(hit: Hit, one: Judged) -> Hit:
    evidence = {**hit.evidence, **one.evidence}
    probability = round(one.probability, 6)
    return replace(
        hit, verdict=one.verdict, probability=probability, region=one.region or hit.region, evidence=evidence
    )


def same_pictures(query: Query, catalogue: Store) -> dict[int, Verdict]:
    """Return the pictures that need no likeness: the same bytes, the same pixels."""
    if query.sha256 is None and query.pixels is None:
        return {}
    found = catalogue.same(query.sha256, query.pixels)
    refused = refused_pictures(found, query.sha256, catalogue)
    return {i: verdict for i, verdict in found.items() if i not in refused}


def refused_pictures(found: Mapping[int, Verdict], sha256: bytes | None, catalogue: Store) -> set[int]:
    """Return those of some pictures with the query's pixels that a person said are no copy, but for equal bytes."""
    doubtful = [i for i, verdict in found.items() if verdict is not Verdict.IDENTICAL]
    if not doubtful or sha256 is None:
        return set()
    own = sha256.hex()
    said = [one for one in catalogue.decisions() if one.decision == "not_a_copy" and own in (one.a, one.b)]
    others = {one.b if one.a == own else one.a for one in said}
    return {record.id for record in catalogue.pictures(doubtful) if record.sha256 in others} if others else set()


def _evidence(verdict: Verdict, uris: Sequence[str]) -> dict[str, Any]:
    why = {
        Verdict.IDENTICAL: {"bytes": "equal SHA-256"},
        Verdict.SAME_PIXELS: {"pixels": "equal when decoded"},
    }.get(verdict, {})
    return {**why, **({"other_locations": list(uris[1:])} if len(uris) > 1 else {})}
