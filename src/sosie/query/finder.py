"""What a picture is a copy of: query → candidates → verify → calibrated verdict. This file tells that story.

The library's own side of it (fingerprints, inverted file, decisions) is read once per state of the catalogue; a picture
is found as soon as its commit returned and its local features are there (``prepare``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from sosie.analysis.features import coarse_extractor, extractor
from sosie.catalogue import Catalogue, PictureRecord, Store
from sosie.errors import BadPicture, DamagedError, NotFound
from sosie.query.candidates import Candidate, Gathered, Nearest, gather
from sosie.query.copy_query import CopyQuery
from sosie.query.copy_state import CopyState, StateReader
from sosie.query.hits import refused_pictures
from sosie.query.judge import PROPOSED, Decided, Judged, judge, with_pixels
from sosie.query.words import WordStore
from sosie.types import EXACT_PIXELS, Hit, Ids, SearchResult, Verdict
from sosie.verify.calibration import Calibration, shipped_calibration
from sosie.verify.evidence import PairEvidence, believable, examine
from sosie.verify.features import Features, from_bytes
from sosie.verify.pixels import Grey
from sosie.verify.words import shipped_vocabulary

__all__ = [
    "CALIBRATION",
    "LOOKED_AT",
    "MAX_FALSE_RATE",
    "CopyFinder",
    "Examined",
    "Prepared",
    "References",
    "examine_candidate",
    "stored_calibration",
    "stored_features",
]

CALIBRATION = "copies/calibration"  # the key of the library's own calibration among the catalogue's records
MAX_FALSE_RATE = 1e-3  # of queries without a copy that get one all the same, unless the caller says otherwise
_MOST = 8  # candidates of each stage
_SETTLED = 0.9  # a probability after which no second look is taken
_PATIENCE = 3  # failures in a row after which a stage's weaker candidates are left, once something is settled ...
_ENOUGH = 8  # ... or once so many were looked at: many are asked for so that many copies are found
LOOKED_AT = 16  # candidates whose pixels are compared, some 30 ms each
_COMMIT = 256

References: TypeAlias = Callable[[Sequence[int]], Mapping[int, Grey]]  # the luminance of pictures that can be read
Examined: TypeAlias = tuple[Candidate, PairEvidence, float]  # with the log-odds of the evidence


class _Pool(Protocol):
    def submit(self, data: bytes) -> Future[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """How many pictures got local features, and the ids of those that are away or do not decode any more."""

    computed: int
    failed: tuple[int, ...]


class CopyFinder:
    """Finds what pictures are copies of. ``nearest`` searches copy vectors; None leaves that stage out. Thread-safe."""

    def __init__(
        self, catalogue: Store, library: Path, *, nearest: Nearest | None, model: str, pixels: References | None = None
    ) -> None:
        self._catalogue = catalogue
        self._nearest, self._pixels = nearest, pixels
        self.model = model
        self._version = extractor().version
        # on a cluster an id follows from the bytes of its picture, so that no past can give it to another
        ledger = catalogue if isinstance(catalogue, Catalogue) else None
        self._words = WordStore(
            library / "indexes" / "copies", version=self._version, vocabulary=shipped_vocabulary(), ledger=ledger
        )
        self._reader = StateReader(
            catalogue, self._version, lambda: stored_calibration(catalogue, model), self._index_words
        )
        self._state: CopyState | None = None
        self._lock = threading.Lock()

    @property
    def calibration(self) -> Calibration:
        """The library's own calibration for this model, else the one that comes with Sosie."""
        return self._current().calibration

    # -------------------------------------------------------------------------------------------- preparing

    def unprepared(self) -> Ids:
        """Return the live pictures whose local features are not stored."""
        return np.setdiff1d(self._catalogue.live_ids(), self._catalogue.feature_ids(version=self._version))

    def prepare(
        self,
        read: Callable[[int], bytes],
        pool: _Pool,
        *,
        in_flight: int = 8,
        among: Sequence[int] | None = None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> Prepared:
        """Compute and store the local features that lack, in worker processes, and index them.

        ``among`` are the pictures that need them, without an index of these; None: all.
        ``pool`` runs ``analysis.analyse_reference``. Pictures that are away are left out; they still match by
        fingerprint and vector.
        """
        lacking = self.unprepared()
        missing: list[int] = (lacking if among is None else np.intersect1d(lacking, among)).tolist()
        failed: list[int] = []
        rows: list[tuple[int, bytes]] = []
        done = 0
        for start in range(0, len(missing), in_flight):
            part = [(i, _submit(pool, read, i)) for i in missing[start : start + in_flight]]
            for content_id, future in part:
                data = _result(future)
                if data is None:
                    failed.append(content_id)
                else:
                    rows.append((content_id, data))
            if len(rows) >= _COMMIT:
                self._catalogue.put_features(rows, version=self._version)
                done, rows = done + len(rows), []
            progress(start + len(part), len(missing))
        if rows:
            self._catalogue.put_features(rows, version=self._version)
        if among is None:
            self._current()
        return Prepared(done + len(rows), tuple(failed))

    # -------------------------------------------------------------------------------------------- finding

    def find(
        self,
        query: CopyQuery,
        *,
        k: int = 10,
        max_false_rate: float = MAX_FALSE_RATE,
        least: float | None = None,
    ) -> SearchResult:
        """Return what the query is a copy of, surest first.

        A hit is called a copy where its probability reaches the cut-off of ``max_false_rate``; ``least`` is the
        probability from which hits are shown at all (default: that cut-off, so copies only).
        """
        started = time.perf_counter()
        state = self._current()
        cut_off = max(0.5, state.calibration.cut_off(max_false_rate))
        judged, stages = self._judged(query, state, most=max(_MOST, k), cut_off=cut_off)
        shown = [one for one in judged if one.probability >= (cut_off if least is None else least)][:k]
        records = {record.id: record for record in self._catalogue.pictures([one.id for one in shown])}
        hits = [_hit(rank, one, records[one.id]) for rank, one in enumerate(shown, 1) if one.id in records]
        explained = {"kind": "copies", "recall": None, "cut_off": round(cut_off, 6), "max_false_rate": max_false_rate}
        took = (time.perf_counter() - started) * 1000
        verify = sum(cost["ms"] for name, cost in stages.items() if name.endswith("verify"))
        parts = {"search": took - verify, "verify": verify, "total": took}
        about = {**explained, "stages": stages, "model": self.model}
        return SearchResult(query.name, tuple(hits), took, about, took=parts)

    def pairs(self, query: CopyQuery, *, most: int = _MOST) -> list[tuple[int, PairEvidence]]:
        """Return the evidence of every candidate, for calibration."""
        state = self._current()
        found, _ = self._examined(query, state, most=most)
        return [(candidate.id, evidence) for candidate, evidence, _ in found]

    def named(self, query: CopyQuery, *, most: int = _MOST) -> list[Candidate]:
        """Return the candidates of every stage, ``most`` of each, unexamined."""
        return self._gathered(query, self._current(), most=most, features=None).candidates

    def features(self, ids: Sequence[int]) -> dict[int, Features]:
        """Return the stored local features of these pictures; damaged ones are left out, as if not prepared."""
        return stored_features(self._catalogue, ids, self._version)

    def stored_query(self, content_id: int) -> CopyQuery | None:
        """Return a picture of the library as a query, from what is stored of it; None where it is not prepared.

        Only its code as it is: turned and mirrored duplicates are found by their local features.
        """
        features = self.features([content_id]).get(content_id)
        state = self._current()
        row = state.hashes.row(content_id)
        if features is None:
            return None
        content = self._catalogue.content(content_id)
        codes = np.zeros((8, 32), np.uint8) if row is None else np.repeat(state.hashes.codes[row][None], 8, axis=0)
        quality = 0 if row is None else int(state.hashes.qualities[row])
        return CopyQuery(
            name=f"id:{content_id}",
            sha256=content.sha256.hex(),
            pixels=content.pixels if content.pixels_version == EXACT_PIXELS else b"",
            codes=codes,
            quality=quality,
            features=features,
            grey=None,
            luminance=None,
            vectors=np.empty((0, 1), np.float32),
            exclude=content_id,
        )

    def _judged(
        self, query: CopyQuery, state: CopyState, *, most: int, cut_off: float
    ) -> tuple[list[Judged], dict[str, dict[str, float]]]:
        same = self._same(query)
        examined, stages = self._examined(query, state, most=most)
        examined = self._looked_at(query, [one for one in examined if one[0].id not in same], state, stages)
        records = {record.id: record for record in self._catalogue.pictures([c.id for c, _, _ in examined])}
        judged = [Judged.same(i, verdict) for i, verdict in same.items()]
        for candidate, evidence, odds in examined:
            if candidate.id in records:
                decided = Decided.of(query.sha256, records[candidate.id].sha256, state.decided)
                judged.append(judge(candidate, evidence, odds, cut_off=cut_off, decided=decided))
        judged.sort(key=lambda one: (-one.odds, one.id))
        return judged, stages

    def _looked_at(
        self, query: CopyQuery, examined: list[Examined], state: CopyState, stages: dict[str, dict[str, float]]
    ) -> list[Examined]:
        """Lay the pixels of the query over those of the candidates that their features propose, the likeliest first."""
        started = time.perf_counter()
        likely = sorted((one for one in examined if one[2] > PROPOSED), key=lambda one: (-one[2], one[0].id))
        proposed = {candidate.id for candidate, _, _ in likely[:LOOKED_AT]}
        own = () if query.exclude is None or query.luminance is not None else (query.exclude,)
        seen = self._pixels([*own, *sorted(proposed)]) if self._pixels and proposed else {}
        mine = seen.get(query.exclude) if own and query.exclude is not None else query.luminance
        found = []
        for candidate, evidence, odds in examined:
            looked = with_pixels(evidence, mine, seen.get(candidate.id), turn=candidate.variant or 0)
            found.append((candidate, looked, state.calibration.odds(looked) if looked is not evidence else odds))
        cost = {"candidates": len(proposed), "ms": round((time.perf_counter() - started) * 1000, 3)}
        stages["pixels"] = cost
        return found

    def _examined(
        self, query: CopyQuery, state: CopyState, *, most: int
    ) -> tuple[list[Examined], dict[str, dict[str, float]]]:
        """Gather candidates and lay the query over each; look again, more coarsely, where nothing settled it."""
        examined, stages = self._look(query, state, most=most, features=None)
        settled = any(_probability(odds) >= _SETTLED for _, _, odds in examined)
        if not settled and query.grey is not None:
            coarse = coarse_extractor().extract_grey(query.grey)
            again, more = self._look(query, state, most=most, features=coarse)
            stages |= {f"coarse {name}": cost for name, cost in more.items()}
            examined = _better(examined, again)
        return examined, stages

    def _look(
        self, query: CopyQuery, state: CopyState, *, most: int, features: Features | None
    ) -> tuple[list[Examined], dict[str, dict[str, float]]]:
        gathered = self._gathered(query, state, most=most, features=features)
        started = time.perf_counter()
        stored = self.features([candidate.id for candidate in gathered.candidates])
        examined: list[Examined] = []
        for _, group in groupby(gathered.candidates, key=lambda candidate: candidate.stages[0]):
            failed = 0
            for looked, candidate in enumerate(group, 1):
                evidence = examine_candidate(features or query.features, stored.get(candidate.id), candidate)
                odds = state.calibration.odds(evidence)
                examined.append((candidate, evidence, odds))
                failed = 0 if odds > 0 else failed + 1
                settled = looked >= _ENOUGH or any(_probability(known) >= _SETTLED for _, _, known in examined)
                if failed >= _PATIENCE and settled:
                    break
        cost = {"candidates": len(examined), "ms": round((time.perf_counter() - started) * 1000, 3)}
        return examined, {**gathered.stages, "verify": cost}

    def _gathered(self, query: CopyQuery, state: CopyState, *, most: int, features: Features | None) -> Gathered:
        return gather(
            query,
            hashes=state.hashes,
            words=self._words,
            nearest=self._nearest,
            allowed=lambda i: i in state.live and i != query.exclude,
            most=most,
            features=features,
        )

    def _same(self, query: CopyQuery) -> dict[int, Verdict]:
        """Return the pictures that need no evidence: the same bytes, the same pixels."""
        sha256 = bytes.fromhex(query.sha256) if query.sha256 else None
        found = self._catalogue.same(sha256, query.pixels or None)
        left_out = {query.exclude, *refused_pictures(found, sha256, self._catalogue)}
        return {i: verdict for i, verdict in found.items() if i not in left_out}

    # -------------------------------------------------------------------------------------------- the library's side

    def _current(self) -> CopyState:
        epoch = self._catalogue.epoch()
        state = self._state
        if state is not None and state.epoch == epoch:
            return state
        with self._lock:
            if self._state is None or self._state.epoch != epoch:
                self._state = self._reader.read(self._state)
            return self._state

    def _index_words(self, ids: Ids) -> None:
        self._words.update(ids, self.features, write=not self._catalogue.read_only)


def stored_calibration(catalogue: Store, model: str) -> Calibration:
    """Return the library's own calibration for a model, else the one that comes with Sosie; raise DamagedError."""
    mine = (catalogue.record(CALIBRATION) or {}).get(model)
    return Calibration.from_json(mine) if mine else shipped_calibration()


def stored_features(catalogue: Store, ids: Sequence[int], version: str) -> dict[int, Features]:
    """Return the stored local features of these pictures; damaged ones are left out, as if not prepared."""
    found = {}
    for content_id, data in catalogue.features(ids, version=version).items():
        try:
            found[content_id] = from_bytes(data)
        except DamagedError:
            continue
    return found


def examine_candidate(features: Features, reference: Features | None, candidate: Candidate) -> PairEvidence:
    """Measure a pair; a picture without stored features has its fingerprint to speak for it.

    The likeness of copy vectors orders candidates and says nothing here: it depends on the other pictures there are.
    """
    distance = candidate.pdq_distance
    if reference is None:
        evidence = PairEvidence(pdq_distance=distance, compared=False)
    else:
        evidence = examine(features, reference, variant=candidate.variant, pdq_distance=distance)
    return believable(evidence, candidate.quality)


def _better(first: Iterable[Examined], second: Iterable[Examined]) -> list[Examined]:
    """Keep the stronger of two looks at each candidate."""
    best: dict[int, Examined] = {}
    for one in (*first, *second):
        known = best.get(one[0].id)
        if known is None or one[2] > known[2]:
            best[one[0].id] = one
    return list(best.values())


def _hit(rank: int, one: Judged, record: PictureRecord) -> Hit:
    others = {"other_locations": list(record.uris[1:])} if len(record.uris) > 1 else {}
    return Hit(
        rank=rank,
        id=one.id,
        uri=record.uris[0] if record.uris else "",
        score=one.odds,
        verdict=one.verdict,
        probability=round(one.probability, 6),
        labels=record.labels,
        region=one.region,
        evidence={**one.evidence, **others},
        gone=record.gone,
    )


def _probability(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))


def _submit(pool: _Pool, read: Callable[[int], bytes], content_id: int) -> Future[Mapping[str, Any]] | None:
    try:
        return pool.submit(read(content_id))
    except (BadPicture, NotFound):
        return None


def _result(future: Future[Mapping[str, Any]] | None) -> bytes | None:
    try:
        return None if future is None else bytes(future.result()["features"])
    except BadPicture:
        return None
