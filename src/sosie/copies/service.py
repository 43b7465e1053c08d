"""Copies, for a library: asking with files, comparing two, calibrating. Pictures are decoded in worker processes."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sosie.analysis.features import analyse_query, extractor
from sosie.catalogue import Store
from sosie.copies.calibrate import (
    ENOUGH_PICTURES,
    LEAST_PICTURES,
    PairRow,
    Trial,
    fit_rows,
    held_out_error,
    try_alterations,
)
from sosie.copies.compare import ANALYSE, Comparison, compare, side_of
from sosie.copies.duplicates import DuplicateReport, find_duplicates
from sosie.copies.pairs import Pictures
from sosie.errors import BadPicture, NotFound, UsageError
from sosie.query.candidates import Nearest
from sosie.query.copy_query import CopyQuery, query_of
from sosie.query.finder import CALIBRATION, MAX_FALSE_RATE, CopyFinder, Prepared, References, stored_calibration
from sosie.types import FloatMatrix, Ids, Picture, Pixels, SearchResult
from sosie.verify.calibration import Calibration, shipped_calibration
from sosie.verify.evidence import examine

__all__ = ["Copies", "Host"]

_SIDE = 1024  # pictures are reduced to this before they are altered for a trial


class _Pool(Protocol):
    def submit(self, data: bytes) -> Future[Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Host:
    """What the library lends: ``params`` go to ``analysis`` in the workers that ``pool(analyse, workers)`` starts.

    ``folder`` is the library's; the inverted file lies in its ``indexes/copies``.
    ``embed`` gives the copy vectors of prepared pictures, ``nearest`` searches those of the library and ``vectors``
    gives them all; ``model`` names them.
    """

    catalogue: Store
    folder: Path
    model: str
    params: Mapping[str, Any]
    read: Callable[[int], bytes]
    pool: Callable[[str, int], AbstractContextManager[_Pool]]
    embed: Callable[[Sequence[Picture]], FloatMatrix] | None = None
    nearest: Nearest | None = None
    pixels: References | None = None
    vectors: Callable[[], tuple[Ids, FloatMatrix]] = lambda: (np.empty(0, np.int64), np.empty((0, 1), np.float32))


class Copies:
    """Everything that a library does about copies."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.finder = CopyFinder(
            host.catalogue, host.folder, nearest=host.nearest, model=host.model, pixels=host.pixels
        )

    # -------------------------------------------------------------------------------------------- asking

    def prepare(self, *, workers: int = 1, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Prepared:
        """Compute the local features that lack; about 30 ms a picture and process, once."""
        if not len(self.finder.unprepared()) or self._host.catalogue.read_only:
            return Prepared(0, ())
        with self._host.pool("sosie.analysis.features:analyse_reference", workers) as pool:
            return self.finder.prepare(self._host.read, pool, in_flight=4 * workers, progress=progress)

    def find_many(
        self,
        asked: Iterable[tuple[str, bytes]],
        *,
        k: int = 10,
        max_false_rate: float = MAX_FALSE_RATE,
        least: float | None = None,
        workers: int = 1,
    ) -> Iterator[SearchResult | BadPicture]:
        """Yield, for each (name, bytes) in order, what it is a copy of, or why it cannot be asked about.

        ``asked`` is read as answers are taken, a few pictures ahead.
        """
        with self._host.pool("sosie.analysis.features:analyse_query", workers) as pool:
            waiting: deque[tuple[str, str, Future[Mapping[str, Any]]]] = deque()
            for name, data in asked:
                waiting.append((name, hashlib.sha256(data).hexdigest(), pool.submit(data)))
                if len(waiting) > 2 * workers:
                    yield self._answer(*waiting.popleft(), k=k, max_false_rate=max_false_rate, least=least)
            while waiting:
                yield self._answer(*waiting.popleft(), k=k, max_false_rate=max_false_rate, least=least)

    def _answer(
        self,
        name: str,
        sha256: str,
        analysed: Future[Mapping[str, Any]],
        *,
        k: int,
        max_false_rate: float,
        least: float | None,
    ) -> SearchResult | BadPicture:
        times = [time.perf_counter()]
        try:
            found = analysed.result()
            times.append(time.perf_counter())
            query = self.query(name, sha256, found)
        except BadPicture as error:
            return error
        times.append(time.perf_counter())
        result = self.finder.find(query, k=k, max_false_rate=max_false_rate, least=least)
        decode, embed = (1000 * (after - before) for before, after in pairwise(times))
        return result.lasting(decode + embed + result.took_ms, decode=decode, embed=embed)

    def find_analysed(
        self, query: CopyQuery, *, k: int = 10, max_false_rate: float = MAX_FALSE_RATE, least: float | None = None
    ) -> SearchResult:
        """Answer a query that is made already."""
        return self.finder.find(query, k=k, max_false_rate=max_false_rate, least=least)

    def query(self, name: str, sha256: str, analysed: Mapping[str, Any]) -> CopyQuery:
        """Make a query from what a worker found: the network sees it as it is and in a mirror."""
        return query_of(name, sha256, analysed, self._vectors(analysed["input"]))

    def query_of_picture(self, name: str, picture: Picture) -> CopyQuery:
        """Make a query of a decoded picture, in this process."""
        return self.query(name, "", analyse_query(picture, self._host.params))

    def _vectors(self, prepared: Pixels) -> FloatMatrix:
        if self._host.embed is None:
            return np.empty((0, 1), np.float32)
        views = [prepared, np.ascontiguousarray(prepared[:, ::-1])]
        return self._host.embed([Picture(view, view.shape[1], view.shape[0]) for view in views])

    # -------------------------------------------------------------------------------------------- comparing

    def compare_many(
        self, pairs: Iterable[tuple[tuple[str, bytes], tuple[str, bytes]]], *, max_false_rate: float = MAX_FALSE_RATE
    ) -> Iterator[Comparison]:
        """Yield the comparison of each pair of (name, bytes); raise BadPicture."""
        decisions = {(one.a, one.b): one.decision for one in self._host.catalogue.decisions()}
        with self._host.pool(ANALYSE, 1) as pool:
            for first, second in pairs:
                yield compare(
                    side_of(*first, pool),
                    side_of(*second, pool),
                    calibration=self.finder.calibration,
                    max_false_rate=max_false_rate,
                    decisions=decisions,
                )

    # -------------------------------------------------------------------------------------------- duplicates

    def duplicates(
        self,
        *,
        same: str = "edits",
        max_false_rate: float = MAX_FALSE_RATE,
        workers: int = 1,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> DuplicateReport:
        """Return groups of copies inside the library; every member matches its group's best one.

        ``same`` is a class of `pairs.SAME`, which includes those before it.
        """
        pictures = Pictures(
            catalogue=self._host.catalogue,
            read=self._host.read,
            pool=lambda: self._host.pool("sosie.copies.residual:analyse_pixels", workers),
            vectors=self._host.vectors,
            prepare=lambda ids: self._prepare(ids, workers),
            features=self.finder.features,
            version=extractor().version,
            calibration=stored_calibration(self._host.catalogue, self._host.model),
        )
        return find_duplicates(pictures, same=same, max_false_rate=max_false_rate, progress=progress)

    def _prepare(self, ids: Sequence[int], workers: int) -> None:
        """Compute the local features that some pictures lack."""
        if len(np.intersect1d(self.finder.unprepared(), ids)) and not self._host.catalogue.read_only:
            with self._host.pool("sosie.analysis.features:analyse_reference", workers) as pool:
                self.finder.prepare(self._host.read, pool, in_flight=4 * workers, among=ids)

    # -------------------------------------------------------------------------------------------- calibrating

    def calibrate(
        self,
        *,
        sample: int = 150,
        per_picture: int = 3,
        seed: int = 0,
        store: bool = True,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> tuple[Calibration, dict[str, float]]:
        """Fit probabilities to altered copies of the library's own pictures; return them and what was measured.

        Raises UsageError for a library with fewer pictures than say anything.
        """
        live = self._host.catalogue.live_ids()
        if len(live) < LEAST_PICTURES:
            raise UsageError(
                f"a calibration needs at least {LEAST_PICTURES} pictures, and there are {len(live)}: "
                "until then the one that comes with Sosie is used"
            )
        chosen = np.sort(np.random.default_rng(seed).permutation(live)[:sample]).tolist()
        trial = Trial(self.query_of_picture, self.finder.pairs, self.finder.features)
        pictures = list(self.pictures(chosen))
        others = dict(pictures[:: max(1, len(pictures) // 24)])
        rows = try_alterations(pictures, trial, others=others, per_picture=per_picture, seed=seed, progress=progress)
        about = {
            "pictures": len(live),
            "sample": len(pictures),
            "per_picture": per_picture,
            "seed": seed,
            "model": self._host.model,
        }
        rows += self._decided(len(rows))
        shipped = shipped_calibration()
        measured = {"ece_held_out": held_out_error(rows, prior=shipped), "pairs": float(len(rows))}
        fitted = fit_rows(rows, about={**about, **measured}, prior=shipped)
        if store:
            known = self._host.catalogue.record(CALIBRATION) or {}
            self._host.catalogue.put_record(CALIBRATION, {**known, self._host.model: fitted.to_json()})
        return fitted, measured

    def _decided(self, first: int) -> list[PairRow]:
        """Return what people said of pairs of the library, as rows for a calibration."""
        rows = []
        for at, one in enumerate(self._host.catalogue.decisions(), first):
            ids = [self._host.catalogue.content_id(bytes.fromhex(digest)) for digest in (one.a, one.b)]
            known = self.finder.features([i for i in ids if i is not None])
            if one.decision != "keep_both" and len(known) == 2:
                query, reference = known.values()
                rows.append(PairRow(at, 0, examine(query, reference), one.decision == "same_picture", "decision"))
        return rows

    def calibration_is_due(self) -> bool:
        """Tell whether there are pictures enough for a calibration of their own, and there is none for this model."""
        if self._host.catalogue.read_only or self._host.model in (self._host.catalogue.record(CALIBRATION) or {}):
            return False
        return self._host.catalogue.counts()["pictures"] >= ENOUGH_PICTURES

    def pictures(self, ids: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield the decoded pictures that are there, reduced to what an altered copy is made from."""
        with self._host.pool("sosie.decode:only_pixels", 1) as pool:
            for content_id in ids:
                try:
                    pixels = pool.submit(self._host.read(content_id)).result()["pixels"]
                except (BadPicture, NotFound):
                    continue
                yield content_id, _reduced(pixels)


def _reduced(pixels: Pixels) -> Pixels:
    from PIL import Image

    if max(pixels.shape[:2]) <= _SIDE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(image)
