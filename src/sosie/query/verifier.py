"""Verdicts on what a plain search found, from what is stored of each hit: cheap enough for every question.

`CopyFinder` looks for copies among all pictures; here only the likest, which a search has found already, are laid over
the query. What a search does not find (a small crop, a picture on a page) only `sosie copies` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sosie.analysis.features import extractor
from sosie.analysis.fingerprints import Codes, fingerprint, variants
from sosie.catalogue import Store
from sosie.query.candidates import Candidate, Hashes, compare_hashes
from sosie.query.finder import (
    LOOKED_AT,
    MAX_FALSE_RATE,
    References,
    examine_candidate,
    stored_calibration,
    stored_features,
)
from sosie.query.judge import PROPOSED, Decided, judge, with_pixels
from sosie.types import Hit, Picture, Pixels, Verdict
from sosie.verify.calibration import Calibration
from sosie.verify.evidence import PairEvidence
from sosie.verify.features import Features
from sosie.verify.pixels import Grey, luminance

__all__ = ["HitVerifier", "Look"]


@dataclass(frozen=True, slots=True)
class Look:
    """What is needed of a query: local features, and fingerprints (8, 32) of its turns and flips with their quality.

    ``luminance`` (h, w) is laid over what its features propose; ``sha256`` finds what people decided, and may be empty.
    """

    features: Features
    codes: Codes
    quality: int
    luminance: Callable[[], Grey | None]
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Proposed:
    """A hit, and what the stored features of both say."""

    hit: Hit
    candidate: Candidate
    evidence: PairEvidence
    odds: float


@dataclass(frozen=True, slots=True)
class _Hits:
    """What is stored of some hits, and what turns it into verdicts."""

    features: Mapping[int, Features]
    hashes: Hashes
    calibration: Calibration
    cut_off: float
    decisions: Mapping[tuple[str, str], str]
    sha256: Mapping[int, str]

    def proposed(self, hit: Hit, look: Look) -> _Proposed:
        """Return what stored features say of a hit."""
        candidate = Candidate(hit.id, ["search"])
        compare_hashes(look.codes, look.quality, self.hashes, candidate)
        evidence = examine_candidate(look.features, self.features[hit.id], candidate)
        return _Proposed(hit, candidate, evidence, self.calibration.odds(evidence))

    def judged(self, one: _Proposed, look: Look, reference: Grey | None) -> Hit:
        """Return a hit with its verdict, its probability and, where it is a copy, what says so."""
        hit, candidate, evidence = one.hit, one.candidate, one.evidence
        if reference is not None:
            evidence = with_pixels(evidence, look.luminance(), reference, turn=candidate.variant or 0)
        odds = self.calibration.odds(evidence)
        decided = Decided.of(look.sha256, self.sha256.get(hit.id, ""), self.decisions)
        found = judge(candidate, evidence, odds, cut_off=self.cut_off, decided=decided)
        facts: Mapping[str, Any] = {} if found.verdict is Verdict.SIMILAR else found.evidence
        return replace(
            hit,
            verdict=found.verdict,
            probability=round(found.probability, 6),
            region=found.region or hit.region,
            evidence={**hit.evidence, **facts},
        )


class HitVerifier:
    """Judges hits of one model's searches; ``model`` names its calibration. Thread-safe."""

    def __init__(self, catalogue: Store, *, model: str, pixels: References) -> None:
        self._catalogue, self._model, self._pixels = catalogue, model, pixels
        self._version = extractor().version
        self._known: tuple[int, Calibration, Mapping[tuple[str, str], str]] | None = None

    def look_at(self, pixels: Pixels, sha256: str = "") -> Look:
        """Return what is needed of a decoded picture; some 30 ms."""
        picture = Picture(pixels, pixels.shape[1], pixels.shape[0])
        grey = luminance(pixels)
        return Look(extractor().extract(picture), variants(picture), fingerprint(picture).quality, lambda: grey, sha256)

    def stored_look(self, content_id: int) -> Look | None:
        """Return the same for a picture of the library, from what is stored; None where it is not prepared."""
        features = stored_features(self._catalogue, [content_id], self._version).get(content_id)
        if features is None:
            return None
        hashes = Hashes(*self._catalogue.fingerprints([content_id]))
        row = hashes.row(content_id)
        codes = np.zeros((1, 32), np.uint8) if row is None else hashes.codes[row : row + 1]
        quality = 0 if row is None else int(hashes.qualities[row])
        sha256 = self._catalogue.content(content_id).sha256.hex()
        own = lambda: self._pixels([content_id]).get(content_id)  # noqa: E731 - read where a hit is worth it
        return Look(features, np.repeat(codes, 8, axis=0), quality, own, sha256)

    def verified(self, hits: Sequence[Hit], look: Callable[[], Look | None]) -> tuple[Hit, ...]:
        """Return the hits in their order, those judged whose local features are stored.

        ``look`` is asked for only where there are any: a library that was never searched for copies has none.
        """
        waiting = [hit.id for hit in hits if hit.verdict is Verdict.SIMILAR]
        features = stored_features(self._catalogue, waiting, self._version)
        looked = look() if features else None
        if looked is None:
            return tuple(hits)
        calibration, decisions = self._calibrated()
        known = _Hits(
            features,
            Hashes(*self._catalogue.fingerprints(list(features))),
            calibration,
            max(0.5, calibration.cut_off(MAX_FALSE_RATE)),
            decisions,
            {one.id: one.sha256 for one in self._catalogue.pictures(list(features))} if decisions else {},
        )
        proposed = {hit.id: known.proposed(hit, looked) for hit in hits if hit.id in features}
        likely = sorted(proposed.values(), key=lambda one: (-one.odds, one.hit.id))[:LOOKED_AT]
        seen = self._pixels([one.hit.id for one in likely if one.odds > PROPOSED])
        return tuple(
            known.judged(proposed[hit.id], looked, seen.get(hit.id)) if hit.id in proposed else hit for hit in hits
        )

    def _calibrated(self) -> tuple[Calibration, Mapping[tuple[str, str], str]]:
        epoch, known = self._catalogue.epoch(), self._known
        if known is None or known[0] != epoch:
            decisions = {(one.a, one.b): one.decision for one in self._catalogue.decisions()}
            known = self._known = (epoch, stored_calibration(self._catalogue, self._model), decisions)
        return known[1], known[2]
