"""What a picture is to another: the typed verdict of a pair, the same wherever two pictures are compared.

Stored features propose, the pixels of both decide (`with_pixels`): what nobody has laid over each other pixel by pixel
is no copy, however much its features agree, unless a person said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sosie.query.candidates import Candidate
from sosie.types import Box, Verdict
from sosie.verify.evidence import PairEvidence, variant_matrix
from sosie.verify.geometry import clipped_box, map_points
from sosie.verify.pixels import Grey, agreement
from sosie.verify.things import LEAST_INLIERS, measure_thing, shipped_things

__all__ = ["CERTAIN", "PROPOSED", "Decided", "Judged", "judge", "may_tell", "with_pixels", "with_thing"]

CERTAIN = 60.0  # log-odds of what needs no evidence
PROPOSED = -1.0  # log-odds of stored features from which the pixels are asked
_BELOW = 0.01  # of log-odds: surely under a cut-off
_WHOLE = 0.5  # a copy that shows less of the reference, or is less of the query, is said to be contained
_FRAME = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])  # of the query
_MOST = 0.9999  # a probability that a finite calibration may state


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person said of a pair, or nothing."""

    decision: str = ""

    @classmethod
    def of(cls, a: str, b: str, decisions: Mapping[tuple[str, str], str]) -> Decided:
        """Look a pair up by the hex SHA-256 of both."""
        return cls(decisions.get((min(a, b), max(a, b)), ""))


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on one candidate; ``odds`` are its log-odds, so that sure answers still have an order."""

    id: int
    verdict: Verdict
    odds: float
    evidence: Mapping[str, Any]
    region: Box | None = None
    decided: bool = False

    @property
    def probability(self) -> float:
        """How sure it is that the pair is a copy, or shows the same thing; 1 only where no evidence is needed."""
        if self.odds >= CERTAIN:
            return 1.0
        value = float(1 / (1 + np.exp(-self.odds)))
        return 0.0 if self.decided else min(_MOST, value)

    @classmethod
    def same(cls, content_id: int, verdict: Verdict) -> Judged:
        """Return the verdict on the same bytes or the same pixels."""
        identical = verdict is Verdict.IDENTICAL
        why = {"bytes": "equal SHA-256"} if identical else {"pixels": "equal when decoded"}
        return cls(content_id, verdict, CERTAIN + (1 if identical else 0), why)

    @classmethod
    def cut_from(cls, content_id: int, box: Box) -> Judged:
        """Return the verdict on the picture that the query is a part of, which nobody has to find out."""
        return cls(content_id, Verdict.CONTAINS, CERTAIN, {"cut_from": list(box)}, box)


def with_pixels(evidence: PairEvidence, query: Grey | None, reference: Grey | None, *, turn: int = 0) -> PairEvidence:
    """Return the evidence with what the pixels (h, w) of both say.

    ``turn`` is the variant of the fingerprint that fits, for a pair that nothing else lays over each other. A picture
    that cannot be read leaves the evidence as it is.
    """
    if query is None or reference is None:
        return evidence
    if evidence.matrix is not None:
        return replace(evidence, pixels=agreement(query, reference, np.array(evidence.matrix)))
    matrix = variant_matrix(turn)
    seen = agreement(query, reference, matrix)
    if seen is None:
        return evidence
    rows = tuple(tuple(row) for row in matrix.tolist())
    whole = replace(evidence, matrix=rows, query_overlap=1.0, reference_overlap=1.0, agreement=seen.same)
    return replace(whole, pixels=seen, mirrored=bool(np.linalg.det(matrix) < 0))


def with_thing(evidence: PairEvidence, query: Grey | None, reference: Grey | None) -> PairEvidence:
    """Return the evidence with what says whether both show the same thing; for pairs that are no copies."""
    if query is None or reference is None:
        return evidence
    return replace(evidence, thing_shift=measure_thing(query, reference, evidence))


def may_tell(evidence: PairEvidence, odds: float) -> bool:
    """Tell whether it is worth while to lay the pixels of a pair over each other: as a copy, or as the same thing."""
    return odds > PROPOSED or (evidence.inliers >= LEAST_INLIERS and not evidence.mirrored)


def judge(
    candidate: Candidate, evidence: PairEvidence, odds: float, *, cut_off: float, decided: Decided = Decided()
) -> Judged:
    """Say what a candidate is to the query; a person's decision outweighs the evidence.

    Where the pixels were not compared, ``judged_on_pixels`` says so, and the probability stays below the cut-off. What
    is no copy may be another picture of the same thing, and its probability is of that.
    """
    facts = {**evidence.to_json(), "stages": list(candidate.stages)}
    if decided.decision:
        facts["decision"] = decided.decision
    if decided.decision == "not_a_copy":
        return Judged(candidate.id, Verdict.SIMILAR, -CERTAIN, facts, decided=True)
    if decided.decision == "same_picture":
        odds = CERTAIN
    elif evidence.pixels is None:
        facts["judged_on_pixels"] = False
        odds = min(odds, _logit(cut_off) - _BELOW)
    verdict = _typed(evidence) if 1 / (1 + np.exp(-odds)) >= cut_off else Verdict.SIMILAR
    if verdict is Verdict.SIMILAR and evidence.thing_shift is not None:
        chance = shipped_things().probability(evidence.inliers, evidence.thing_shift)
        if chance >= shipped_things().cut_off:
            return Judged(candidate.id, Verdict.SAME_OBJECT, _logit(chance), facts, evidence.matched_reference)
    if verdict is Verdict.IS_PART_OF:
        facts["query_region"] = facts.get("matched_query")
    region = _place(evidence) if verdict is Verdict.CONTAINS else None
    return Judged(candidate.id, verdict, odds, facts, region)


def _place(evidence: PairEvidence) -> Box | None:
    """Return where the whole query lies in the reference; the box around inliers is smaller than what is shown."""
    if evidence.matrix is None:
        return evidence.matched_reference
    return clipped_box(map_points(np.array(evidence.matrix), _FRAME)) or evidence.matched_reference


def _typed(evidence: PairEvidence) -> Verdict:
    if evidence.matrix is None:
        return Verdict.ALTERED_COPY
    if min(evidence.query_overlap, evidence.reference_overlap) >= _WHOLE:
        return Verdict.ALTERED_COPY
    return Verdict.CONTAINS if evidence.query_overlap >= evidence.reference_overlap else Verdict.IS_PART_OF


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
