"""What a search found, judged: the likest and what other channels name, laid over the query one by one.

`CopyFinder` looks for copies alone; here its channels (copy vectors, fingerprints, words of local features) name
candidates beside those that are likest, and all are judged by the one judge. What is judged is decided by counts, so
that the same question has the same answer twice, whatever the page, k and the clock. References without stored features
are read where their files lie on this machine, a few of them, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sosie.analysis.features import extractor
from sosie.analysis.fingerprints import fingerprint, variants
from sosie.catalogue import Catalogue, Store
from sosie.query.candidates import Candidate, Hashes, Nearest, compare_hashes
from sosie.query.copy_query import CopyQuery
from sosie.query.finder import (
    LOOKED_AT,
    MAX_FALSE_RATE,
    CopyFinder,
    Examined,
    References,
    examine_candidate,
    stored_calibration,
    stored_features,
)
from sosie.query.judge import Decided, Judged, judge, may_tell, with_pixels, with_thing
from sosie.query.query import Query
from sosie.types import FloatMatrix, Picture, Pixels, Verdict
from sosie.verify.calibration import Calibration
from sosie.verify.features import Features
from sosie.verify.pixels import luminance

__all__ = ["LIKEST", "HitJudge", "Judgement"]

LIKEST = 8  # candidates of each channel
_READ = 4  # references without stored features that are read at once ...
_ROUNDS_WHOLE, _ROUNDS_PART = 2, 4  # ... and how often, until something is settled
_SETTLED = 2.2  # log-odds of stored features after which no more is read: a probability of .9
_SMOOTH = 5.0  # ranks; of reciprocal ranks, by which channels are joined
_NEAR = 60  # bits between fingerprints of what is read first
_PLAIN = 12  # local features, under which a picture has too little texture to tell


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is more than alike to a query, or was said not to be by a person; how many candidates were not judged.

    ``plain`` says that the query has too little texture to tell.
    """

    found: tuple[Judged, ...] = ()
    not_judged: int = 0
    plain: bool = False


class HitJudge:
    """Judges what searches of one model found. Thread-safe.

    ``nearest`` searches copy vectors, ``vector`` gives that of a picture of the library, and ``pixels`` the luminance
    of those whose files lie on this machine. ``model`` names the calibration.
    """

    def __init__(
        self,
        finder: Callable[[], CopyFinder],
        *,
        catalogue: Store,
        model: str,
        nearest: Nearest,
        vector: Callable[[int], FloatMatrix | None],
        pixels: References,
    ) -> None:
        self._finder, self._catalogue, self._model = finder, catalogue, model
        self._nearest, self._vector, self._pixels = nearest, vector, pixels
        self._version = extractor().version
        self._known: tuple[int, Calibration, Mapping[tuple[str, str], str]] | None = None

    def judged(self, query: Query, likest: Sequence[int]) -> Judgement:
        """Judge the ``likest`` pictures, best first, and what the other channels name."""
        holding = self._holding(query)
        asked = self._asked(query)
        if asked is None:
            return Judgement(tuple(holding), len(likest))
        known = {query.exclude, *(one.id for one in holding)}
        likest = [i for i in likest[: LIKEST + len(known)] if i not in known][:LIKEST]
        candidates = [one for one in self._candidates(asked, likest) if one.id not in known]
        rounds = _ROUNDS_WHOLE if query.cut is None else _ROUNDS_PART
        examined, left = self._examined(asked, candidates, 1 if holding else rounds)
        found = [*holding, *self._decided(asked, self._with_pixels(asked, examined))]
        told = [one for one in found if one.verdict is not Verdict.SIMILAR or one.decided]
        return Judgement(tuple(told), left, len(asked.features) < _PLAIN)

    # -------------------------------------------------------------------------------------------- the query

    def _holding(self, query: Query) -> list[Judged]:
        """Return the pictures that the query was cut from, which nobody has to find out."""
        cut = query.cut
        if cut is None:
            return []
        same = self._catalogue.same(cut.sha256, cut.pixels or None) if cut.sha256 or cut.pixels else {}
        own = [] if cut.source is None else [cut.source]
        return [Judged.cut_from(i, cut.box) for i in dict.fromkeys([*own, *same])]

    def _asked(self, query: Query) -> CopyQuery | None:
        """Return what is laid over the candidates; None where the picture is away and nothing is stored of it."""
        if query.shown is not None:
            return _of_pixels(query, query.shown())
        if query.exclude is None:
            return None
        sha256, vector = self._catalogue.content(query.exclude).sha256, self._vector(query.exclude)
        known = replace(query, copy_vector=vector, sha256=sha256)
        features = stored_features(self._catalogue, [query.exclude], self._version).get(query.exclude)
        if features is not None:
            return self._of_stored(known, query.exclude, features)
        grey = self._pixels([query.exclude]).get(query.exclude)
        return None if grey is None else _of_pixels(known, np.repeat(grey[:, :, None], 3, axis=2))

    def _of_stored(self, query: Query, content_id: int, features: Features) -> CopyQuery:
        """Return a picture of the library without reading it; its code as it is stands for its turns."""
        hashes = Hashes(*self._catalogue.fingerprints([content_id]))
        row = hashes.row(content_id)
        codes = np.zeros((1, 32), np.uint8) if row is None else hashes.codes[row : row + 1]
        return CopyQuery(
            name=query.name,
            sha256=(query.sha256 or b"").hex(),
            pixels=b"",
            codes=np.repeat(codes, 8, axis=0),
            quality=0 if row is None else int(hashes.qualities[row]),
            features=features,
            grey=None,
            vectors=_rows(query.copy_vector),
            exclude=content_id,
        )

    # -------------------------------------------------------------------------------------------- the candidates

    def _candidates(self, asked: CopyQuery, likest: Sequence[int]) -> list[Candidate]:
        """Return what any channel names, the most promising first.

        On a cluster these are vectors alone: its fingerprints are not all brought here.
        """
        named = (
            self._finder().named(asked, most=LIKEST) if isinstance(self._catalogue, Catalogue) else self._near(asked)
        )
        found = {one.id: one for one in named}
        for i in likest:
            found.setdefault(i, Candidate(i)).stages.append("search")
        hashes = Hashes(*self._catalogue.fingerprints(sorted(found)))
        for one in found.values():
            compare_hashes(asked.codes, asked.quality, hashes, one)
        ranks = [{i: at for at, i in enumerate(likest)}]
        ranks.append({one.id: at for at, one in enumerate(each for each in named if "vectors" in each.stages)})
        ranks.append({one.id: at for at, one in enumerate(each for each in named if "words" in each.stages)})

        def promise(one: Candidate) -> tuple[bool, float, int]:
            near = one.pdq_distance is not None and one.pdq_distance <= _NEAR
            return not near, -sum(1 / (_SMOOTH + each[one.id]) for each in ranks if one.id in each), one.id

        return sorted(found.values(), key=promise)

    def _near(self, asked: CopyQuery) -> list[Candidate]:
        """Return the neighbours of the copy vector."""
        if not len(asked.vectors):
            return []
        ids, _ = self._nearest(asked.vectors, LIKEST + 1)
        found = [i for i in ids[0].tolist() if i >= 0 and i != asked.exclude]
        return [Candidate(i, ["vectors"]) for i in found[:LIKEST]]

    def _examined(self, asked: CopyQuery, candidates: Sequence[Candidate], rounds: int) -> tuple[list[Examined], int]:
        """Lay the query over what is stored of the candidates, then over what is read; say how many are left."""
        calibration, _ = self._calibrated()

        def examine_all(some: Sequence[Candidate], features: Mapping[int, Features]) -> list[Examined]:
            pairs = [(one, examine_candidate(asked.features, features.get(one.id), one)) for one in some]
            return [(one, evidence, calibration.odds(evidence)) for one, evidence in pairs]

        stored = stored_features(self._catalogue, [one.id for one in candidates], self._version)
        examined = examine_all([one for one in candidates if one.id in stored], stored)
        waiting = [one for one in candidates if one.id not in stored]
        for _ in range(rounds):
            if not waiting or any(odds > _SETTLED for *_, odds in examined):
                break
            read = self._pixels([one.id for one in waiting[:_READ]])
            features = {i: extractor().extract_grey(grey) for i, grey in read.items()}
            examined += examine_all([one for one in waiting[:_READ] if one.id in features], features)
            waiting = [one for one in waiting[:_READ] if one.id not in features] + waiting[_READ:]
        return examined + examine_all(waiting, {}), len(waiting)

    def _with_pixels(self, asked: CopyQuery, examined: Sequence[Examined]) -> list[Examined]:
        """Lay the pixels of the query over those of the candidates that their features propose, the likeliest first."""
        calibration, _ = self._calibrated()
        cut_off = _cut_off(calibration)
        proposed = [one for one in examined if may_tell(one[1], one[2])]
        likely = sorted(proposed, key=lambda one: (-one[2], one[0].id))
        own = [asked.exclude] if asked.luminance is None and asked.exclude is not None else []
        seen = self._pixels([*own, *(one.id for one, _, _ in likely[:LOOKED_AT])]) if likely else {}
        mine = asked.luminance if not own else seen.get(own[0])
        found = []
        for candidate, evidence, odds in examined:
            theirs = seen.get(candidate.id)
            told = with_pixels(evidence, mine, theirs, turn=candidate.variant or 0)
            sure = odds if told is evidence else calibration.odds(told)
            is_copy = told.pixels is not None and _probability(sure) >= cut_off
            found.append((candidate, told if is_copy else with_thing(told, mine, theirs), sure))
        return found

    def _decided(self, asked: CopyQuery, examined: Sequence[Examined]) -> list[Judged]:
        calibration, decisions = self._calibrated()
        cut_off = _cut_off(calibration)
        ids = [candidate.id for candidate, _, _ in examined] if decisions else []
        digests = {one.id: one.sha256 for one in self._catalogue.pictures(ids)}
        decided = {i: Decided.of(asked.sha256, digest, decisions) for i, digest in digests.items()}
        return [
            judge(candidate, evidence, odds, cut_off=cut_off, decided=decided.get(candidate.id, Decided()))
            for candidate, evidence, odds in examined
        ]

    def _calibrated(self) -> tuple[Calibration, Mapping[tuple[str, str], str]]:
        epoch, known = self._catalogue.epoch(), self._known
        if known is None or known[0] != epoch:
            decisions = {(one.a, one.b): one.decision for one in self._catalogue.decisions()}
            known = self._known = (epoch, stored_calibration(self._catalogue, self._model), decisions)
        return known[1], known[2]


def _of_pixels(query: Query, pixels: Pixels) -> CopyQuery:
    """Return what is laid over the candidates of a decoded picture; some 30 ms."""
    picture = Picture(pixels, pixels.shape[1], pixels.shape[0])
    return CopyQuery(
        name=query.name,
        sha256=(query.sha256 or b"").hex(),
        pixels=b"",
        codes=variants(picture),
        quality=fingerprint(picture).quality,
        features=extractor().extract(picture),
        grey=None,
        vectors=_rows(query.copy_vector),
        luminance=luminance(pixels),
        exclude=query.exclude,
    )


def _cut_off(calibration: Calibration) -> float:
    return max(0.5, calibration.cut_off(MAX_FALSE_RATE))


def _probability(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))


def _rows(vector: FloatMatrix | None) -> FloatMatrix:
    return np.empty((0, 1), np.float32) if vector is None else vector[None]
