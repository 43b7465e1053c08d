"""How unusual a likeness is on a library: a cosine beside those of random pairs, and from where on it means anything.

A cosine of 0.5 is a find on one library and chance on another. So a random sample of the library is measured, once for
each generation of its index and whenever it has grown by a quarter: how alike two pictures are that nobody chose, and
how alike a picture's nearest neighbour is, copies left out. The cut-off is what nine in ten of the library's pictures
have a nearer neighbour than: a query below it is stranger to the library than nearly all that is in it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sosie import files
from sosie.catalogue import Store, View
from sosie.errors import SosieError
from sosie.query.query import Query
from sosie.types import FloatMatrix, Hit, Ids, SearchResult

__all__ = ["LEAST", "Background", "LikenessScale", "measured"]

LEAST = 50  # pictures, under which nothing is measured
_SAMPLE = 512  # pictures whose pairs are measured
_NEAREST = 128  # of these, whose nearest neighbours are searched for
_NEIGHBOURS = 8  # in which one that is no copy is looked for
_COPY = 0.95  # cosine from which a neighbour may be a copy
_BELOW = 0.1  # share of the library's pictures whose nearest neighbour is under the cut-off
_GROWN = 1.25  # times as many pictures, or as few, after which all is measured again
_SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)  # of random pairs


@dataclass(frozen=True, slots=True)
class Background:
    """What was measured of a space: the cosines of random pairs, and the ``cut_off``, a cosine.

    ``levels`` are the cosines that `_SHARES` of the pairs reach.
    """

    count: int
    generation: int | str | None
    mean: float
    deviation: float
    cut_off: float
    levels: tuple[float, ...]

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Background:
        """Read what ``to_json`` wrote; raise KeyError, TypeError, ValueError."""
        numbers = {name: float(plain[name]) for name in ("mean", "deviation", "cut_off")}
        levels = tuple(map(float, plain["levels"]))
        if len(levels) != len(_SHARES) or numbers["deviation"] <= 0:
            raise ValueError("this was measured by another version")
        return cls(int(plain["count"]), plain["generation"], levels=levels, **numbers)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    def fits(self, count: int, generation: int | str | None) -> bool:
        """Tell whether it still describes a space with so many pictures and such an index."""
        return generation == self.generation and count <= _GROWN * self.count and self.count <= _GROWN * count

    def weighed(self, hit: Hit) -> Hit:
        """Return a hit with how unusual its score is, marked where that is weak and nothing else speaks for it."""
        share = float(np.exp(np.interp(hit.score, self.levels, np.log(_SHARES))))
        likeness = {
            "z": round((hit.score - self.mean) / self.deviation, 2),
            "random_share": round(share, 6),
            "cut_off": round(self.cut_off, 4),
        }
        weak = hit.score < self.cut_off and not hit.verdict.outranks_similar
        return replace(hit, weak=weak, evidence={**hit.evidence, "likeness": likeness})


class LikenessScale:
    """Says of hits how unusual their likeness is. ``file`` keeps what was measured. Thread-safe."""

    def __init__(self, catalogue: Store, view: View, file: Path) -> None:
        self._catalogue, self._view, self._file = catalogue, view, file
        self._lock = threading.Lock()
        self._known: tuple[int, Background | None] | None = None

    def weighed(self, query: Query, result: SearchResult) -> SearchResult:
        """Return the result with how unusual each hit's score is.

        Sums, words and scores of several spaces have no background: they stay as they are.
        """
        fused = any("parts" in hit.evidence for hit in result.hits)
        if not query.single or fused or self._view.description["metric"] != "dot":
            return result
        background = self.background()
        if background is None:
            return result
        return replace(result, hits=tuple(background.weighed(hit) for hit in result.hits))

    def background(self) -> Background | None:
        """Return what is known of the library as it is now, measured where nothing is; None of a small one."""
        epoch = self._catalogue.epoch()
        with self._lock:
            if self._known is None or self._known[0] != epoch:
                self._known = epoch, self._renewed(None if self._known is None else self._known[1])
            return self._known[1]

    def _renewed(self, before: Background | None) -> Background | None:
        count, generation = self._catalogue.counts()["pictures"], self._view.description["generation"]
        if count < LEAST:
            return None
        known = before or self._read()
        if known is not None and known.fits(count, generation):
            return known
        found = measured(self._catalogue.live_ids(), self._catalogue, self._view)
        if found is not None:
            self._write(found)
        return found

    def _kept(self) -> dict[str, Any]:
        """Return what is kept, by space; nothing where that is damaged."""
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _read(self) -> Background | None:
        try:
            return Background.from_json(self._kept()[self._view.space.name])
        except (ValueError, KeyError, TypeError):
            return None  # nothing there, or damaged: it is measured anew

    def _write(self, background: Background) -> None:
        if self._catalogue.read_only:
            return
        try:
            files.make_folder(self._file.parent)
            files.write_json(self._file, {**self._kept(), self._view.space.name: background.to_json()})
        except (OSError, SosieError):
            return  # derived: where it cannot be kept it is measured again


def measured(live: Ids, catalogue: Store, view: View) -> Background | None:
    """Measure a sample of the live pictures, the same one each time; None where too few have vectors."""
    drawn = np.sort(np.random.default_rng(0).permutation(live)[:_SAMPLE])
    ids, vectors = catalogue.vectors_of(view.space, drawn.tolist())
    if len(ids) < LEAST:
        return None
    asked = np.random.default_rng(1).permutation(len(ids))[:_NEAREST]
    nearest = _nearest(ids[asked], vectors[asked], view)
    if not nearest:  # of nothing but copies
        return None
    cosines = (vectors @ vectors.T)[np.triu_indices(len(ids), 1)]
    mean, deviation = float(cosines.mean()), max(1e-4, float(cosines.std()))
    return Background(
        count=len(live),
        generation=view.description["generation"],
        mean=mean,
        deviation=deviation,
        cut_off=float(np.quantile(nearest, _BELOW)),
        levels=tuple(np.quantile(cosines, [1 - share for share in _SHARES]).tolist()),
    )


def _nearest(ids: Ids, vectors: FloatMatrix, view: View) -> list[float]:
    """Return the cosine of each picture with its nearest neighbour that is no copy of it."""
    found, cosines = view.search(vectors, _NEIGHBOURS + 1, watched=False)
    others = [
        row[(near >= 0) & (near != own) & (row < _COPY)] for own, near, row in zip(ids, found, cosines, strict=True)
    ]
    return [float(each[0]) for each in others if len(each)]
