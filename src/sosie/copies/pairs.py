"""The pairs of a library that are near one another, each judged once, by the cheapest proof that settles it.

The order is: equal pixels (the catalogue's own answer), then the decoded pixels laid over each other as they are, then
local features and the pixels laid over each other as these say. Verdicts are kept in the catalogue by both digests and
the version of the judge, so that nothing is judged twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from sosie.catalogue import PairVerdict, PictureRecord, Store
from sosie.copies.join import near_codes, near_vectors
from sosie.copies.residual import VERSION, residual, same_shape
from sosie.errors import BadPicture, NotFound
from sosie.query.candidates import Candidate
from sosie.query.finder import examine_candidate
from sosie.query.judge import PROPOSED, judge, with_pixels
from sosie.types import FloatMatrix, Ids, Pixels, Verdict
from sosie.verify.calibration import Calibration
from sosie.verify.features import Features
from sosie.verify.pixels import luminance

__all__ = ["SAME", "Judged", "NearPair", "PairJudge", "Pictures"]

SAME = ("bytes", "pixels", "reencodings", "edits")
_RADIUS = 64  # of 256 bits; another size of a small picture differs in up to 40
_LEAST_QUALITY = 20  # of a fingerprint, to be a hint
_LEAST_LIKENESS = 0.45  # of copy vectors, normalised
_CACHED = 24  # decoded pictures
_BATCH = 128
_SURE = 0.9999  # a probability that a finite sample may support

_Key = tuple[int, int]


class _Pool(Protocol):
    def submit(self, data: bytes) -> Future[Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Pictures:
    """What judging needs of a library.

    ``read`` gives a picture's bytes and ``pool`` starts workers that run ``residual.analyse_pixels``. ``vectors`` are
    the copy vectors of all pictures. ``prepare`` computes the local features that some pictures lack, ``features``
    reads them, ``version`` is theirs.
    """

    catalogue: Store
    read: Callable[[int], bytes]
    pool: Callable[[], AbstractContextManager[_Pool]]
    vectors: Callable[[], tuple[Ids, FloatMatrix]]
    prepare: Callable[[Sequence[int]], None]
    features: Callable[[Sequence[int]], Mapping[int, Features]]
    version: str
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two pictures, a < b, and how near their fingerprints are; None where these say nothing."""

    a: int
    b: int
    distance: int | None = None
    variant: int | None = None
    quality: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """What a pair is, in which class of sameness; ``same`` is empty for one that is in none."""

    a: int
    b: int
    verdict: str
    probability: float
    same: str


class PairJudge:
    """Judges the near pairs of one library; ``progress`` is told (done, all) of those that were not kept."""

    def __init__(self, pictures: Pictures, progress: Callable[[int, int], None]) -> None:
        self._pictures, self._progress = pictures, progress
        ids, codes, qualities = pictures.catalogue.fingerprints()
        self._ids, self._codes, self._qualities = ids, codes, qualities
        self._records: dict[int, PictureRecord] = {}
        self.away: list[_Key] = []  # pairs that could not be judged, since a file is not there

    # -------------------------------------------------------------------------------------------- near pairs

    def near(self, *, turns: bool) -> list[NearPair]:
        """Return the pairs whose fingerprints are near, in any turn or flip where ``turns``."""
        usable = np.flatnonzero(self._qualities >= _LEAST_QUALITY)
        found = near_codes(self._codes[usable], radius=_RADIUS, turns=turns)
        return [self._pair(int(usable[one.a]), int(usable[one.b]), one.distance, one.variant) for one in found]

    def near_by_vector(self) -> list[NearPair]:
        """Return the pairs whose copy vectors are near."""
        ids, vectors = self._pictures.vectors()
        known = np.isin(ids, self._ids)
        pairs = near_vectors(ids[known], vectors[known], least=_LEAST_LIKENESS)
        rows = {int(content_id): row for row, content_id in enumerate(self._ids)}
        return [self._pair(rows[a], rows[b], None, None) for a, b in pairs]

    def _pair(self, row: int, other: int, distance: int | None, variant: int | None) -> NearPair:
        quality = int(min(self._qualities[row], self._qualities[other]))
        return NearPair(int(self._ids[row]), int(self._ids[other]), distance, variant, quality)

    # -------------------------------------------------------------------------------------------- proofs

    def same_pixels(self, near: Iterable[NearPair]) -> list[Judged]:
        """Return the pairs that the catalogue says have the same pixels; they have one fingerprint, or nearly."""
        _, inverse, counts = np.unique(self._codes, axis=0, return_inverse=True, return_counts=True)
        asked = set(self._ids[counts[inverse.ravel()] > 1].tolist())
        asked |= {i for pair in near if pair.distance is not None for i in (pair.a, pair.b)}
        found: set[_Key] = set()
        digests: set[bytes] = set()
        for content_id in sorted(asked):
            pixels = self._pictures.catalogue.content(content_id).pixels
            if pixels not in digests:
                digests.add(pixels)
                same = sorted(self._pictures.catalogue.same(None, pixels))
                found |= {(a, b) for at, a in enumerate(same) for b in same[at + 1 :]}
        return [Judged(a, b, str(Verdict.SAME_PIXELS), 1.0, "pixels") for a, b in sorted(found)]

    def reencodings(self, near: Sequence[NearPair]) -> list[Judged]:
        """Judge upright pairs of one shape by their decoded pixels."""
        wanted = [pair for pair in near if pair.variant == 0 and self._one_shape(pair)]
        return [one for one in self._judged(wanted, VERSION, self._by_pixels) if one.same]

    def edits(self, near: Sequence[NearPair], *, cut_off: float) -> list[Judged]:
        """Judge pairs by their local features and, where these say so, by the pixels laid over each other."""
        version = f"{self._pictures.version}/{_digest(self._pictures.calibration)}/pixels-1"
        found = self._judged(near, version, self._by_features)
        return [one if one.probability >= cut_off else replace(one, same="") for one in found]

    def known_edits(self, near: Sequence[NearPair], *, cut_off: float) -> int:
        """Return how many pairs are edits, or may be: those that were judged so, and those that never were."""
        version = f"{self._pictures.version}/{_digest(self._pictures.calibration)}/pixels-1"
        kept = self._kept(near, version)
        return sum(kept.get((p.a, p.b)) is None or (kept[p.a, p.b].probability or 0) >= cut_off for p in near)

    def _one_shape(self, pair: NearPair) -> bool:
        a, b = self.record(pair.a), self.record(pair.b)
        return same_shape((a.width, a.height), (b.width, b.height))

    # -------------------------------------------------------------------------------------------- kept verdicts

    def record(self, content_id: int) -> PictureRecord:
        """Return what the library knows of a picture."""
        return self._records[content_id]

    def learn(self, near: Iterable[NearPair]) -> None:
        """Read the records of pictures, a thousand at a time."""
        lacking = sorted({i for pair in near for i in (pair.a, pair.b)} - self._records.keys())
        for start in range(0, len(lacking), 1000):
            some = self._pictures.catalogue.pictures(lacking[start : start + 1000])
            self._records |= {record.id: record for record in some}

    def _judged(
        self,
        near: Sequence[NearPair],
        version: str,
        proof: Callable[[Sequence[NearPair]], Iterator[tuple[NearPair, PairVerdict | None]]],
    ) -> list[Judged]:
        kept = self._kept(near, version)
        missing = [pair for pair in near if (pair.a, pair.b) not in kept]
        fresh: list[PairVerdict] = []
        for done, (pair, verdict) in enumerate(proof(missing) if missing else (), 1):
            if verdict is None:
                self.away.append((pair.a, pair.b))
            else:
                kept[pair.a, pair.b] = verdict
                fresh.append(replace(verdict, judge=version))
            if len(fresh) >= _BATCH:
                self._keep(fresh)
            self._progress(done, len(missing))
        self._keep(fresh)
        return [
            Judged(a, b, _verdict_of(one), float(one.probability or 0), _class_of(one)) for (a, b), one in kept.items()
        ]

    def _kept(self, near: Sequence[NearPair], version: str) -> dict[_Key, PairVerdict]:
        by_digest = {self._digests(pair): (pair.a, pair.b) for pair in near}
        found = self._pictures.catalogue.pairs(list(by_digest), judge=version)
        return {by_digest[key]: verdict for key, verdict in found.items()}

    def _keep(self, fresh: list[PairVerdict]) -> None:
        if fresh and not self._pictures.catalogue.read_only:
            self._pictures.catalogue.put_pairs(fresh)
        fresh.clear()

    def _digests(self, pair: NearPair) -> tuple[bytes, bytes]:
        a, b = (bytes.fromhex(self.record(i).sha256) for i in (pair.a, pair.b))
        return min(a, b), max(a, b)

    def _verdict(self, pair: NearPair, verdict: str, probability: float, evidence: Mapping[str, Any]) -> PairVerdict:
        return PairVerdict(*self._digests(pair), "", verdict, probability, evidence)

    # -------------------------------------------------------------------------------------------- judging

    def _by_pixels(self, near: Sequence[NearPair]) -> Iterator[tuple[NearPair, PairVerdict | None]]:
        with self._pictures.pool() as pool:
            decoded = _Decoded(self._pictures.read, pool)
            for pair in near:
                both = decoded.both(pair.a, pair.b)
                if both is None:
                    yield pair, None
                    continue
                found = residual(*both)
                verdict = "reencoding" if found.same_picture else str(Verdict.SIMILAR)
                yield pair, self._verdict(pair, verdict, _SURE if found.same_picture else 0.0, found.to_json())

    def _by_features(self, near: Sequence[NearPair]) -> Iterator[tuple[NearPair, PairVerdict | None]]:
        self._pictures.prepare(sorted({i for pair in near for i in (pair.a, pair.b)}))
        with self._pictures.pool() as pool:
            decoded = _Decoded(self._pictures.read, pool)
            for start in range(0, len(near), _BATCH):
                some = near[start : start + _BATCH]
                features = self._pictures.features(sorted({i for pair in some for i in (pair.a, pair.b)}))
                for pair in some:
                    both = features.get(pair.a), features.get(pair.b)
                    yield pair, self._by_geometry(pair, *both, decoded)

    def _by_geometry(
        self, pair: NearPair, first: Features | None, second: Features | None, decoded: _Decoded
    ) -> PairVerdict | None:
        if first is None or second is None:
            return None
        candidate = Candidate(pair.b, [], pair.distance, pair.variant, None, pair.quality)
        evidence = examine_candidate(first, second, candidate)
        if self._pictures.calibration.odds(evidence) > PROPOSED:
            both = decoded.both(pair.a, pair.b)
            if both is None:
                return None
            evidence = with_pixels(evidence, *map(luminance, both), turn=pair.variant or 0)
        found = judge(candidate, evidence, self._pictures.calibration.odds(evidence), cut_off=0.5)
        return self._verdict(pair, str(found.verdict), found.probability, evidence.to_json())


class _Decoded:
    """Decoded pictures, the last few of them; None for one that is away or does not decode any more."""

    def __init__(self, read: Callable[[int], bytes], pool: _Pool) -> None:
        self._read, self._pool = read, pool
        self._known: OrderedDict[int, Pixels | None] = OrderedDict()

    def both(self, a: int, b: int) -> tuple[Pixels, Pixels] | None:
        """Return the pixels of two pictures, decoded side by side."""
        coming = {i: self._submit(i) for i in (a, b) if i not in self._known}
        for content_id, future in coming.items():
            self._known[content_id] = _result(future)
        first, second = self._known[a], self._known[b]
        for content_id in (a, b):
            self._known.move_to_end(content_id)
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return None if first is None or second is None else (first, second)

    def _submit(self, content_id: int) -> Future[Mapping[str, Any]] | None:
        try:
            return self._pool.submit(self._read(content_id))
        except (BadPicture, NotFound):
            return None


def _result(future: Future[Mapping[str, Any]] | None) -> Pixels | None:
    try:
        return None if future is None else future.result()["pixels"]
    except BadPicture:
        return None


def _class_of(verdict: PairVerdict) -> str:
    if verdict.verdict == "reencoding":
        return "reencodings"
    return "" if verdict.verdict == str(Verdict.SIMILAR) else "edits"


def _verdict_of(verdict: PairVerdict) -> str:
    return str(Verdict.ALTERED_COPY) if verdict.verdict == "reencoding" else verdict.verdict


def _digest(calibration: Calibration) -> str:
    return hashlib.sha256(json.dumps(calibration.to_json(), sort_keys=True).encode()).hexdigest()[:12]
