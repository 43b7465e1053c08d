"""A library's own calibration: its pictures are altered, looked for, and the evidence of right and wrong is fitted.

A library of scans is not a library of selfies: how alike two of its different pictures are is what a probability has
to know. People's decisions count too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.alterations import alter, names
from sosie.errors import UsageError
from sosie.query.copy_query import CopyQuery
from sosie.types import Picture, Pixels
from sosie.verify.calibration import Calibration, calibration_error, fit_calibration, shipped_calibration, terms
from sosie.verify.evidence import PairEvidence, examine
from sosie.verify.features import Features

__all__ = ["ENOUGH_PICTURES", "LEAST_PICTURES", "PairRow", "Trial", "fit_rows", "held_out_error", "try_alterations"]

ENOUGH_PICTURES = 500  # from here a library is calibrated by itself
LEAST_PICTURES = 50  # below this the shipped calibration says more than the library's own would
_SUSPICIOUS = 0.01  # non-copies above this are looked at twice: the library may hold the same picture again
_UNKNOWN = 0.1  # two unaltered pictures above this may be copies of one another: only people know, and may say so


@dataclass(frozen=True, slots=True)
class PairRow:
    """The evidence of one candidate of one altered picture, and the truth."""

    query: int
    reference: int
    evidence: PairEvidence
    truth: bool
    alteration: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial needs of the library: see ``try_alterations``."""

    ask: Callable[[str, Picture], CopyQuery]
    pairs: Callable[[CopyQuery], Sequence[tuple[int, PairEvidence]]]
    features: Callable[[Sequence[int]], Mapping[int, Features]]


def try_alterations(
    pictures: Sequence[tuple[int, Pixels]],
    trial: Trial,
    *,
    others: Mapping[int, Pixels],
    per_picture: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[PairRow]:
    """Alter pictures of the library and return the evidence of every candidate that is named for them.

    The source is the copy; other candidates are non-copies, another photograph of the same scene, too. Left out are
    ``others``, those, by id, that collages are made with, and pictures that may be copies of the source themselves by
    the calibration that comes with Sosie: a library that holds edits of one picture would learn from them that edits
    are no copies. Where they are none, people say so (``sosie decisions``), and that counts.
    """
    drawn = list(others.values())
    rng = np.random.default_rng(seed)
    ways: list[str] = []
    rows: list[PairRow] = []
    asked = 0
    for content_id, pixels in pictures:
        for _ in range(per_picture):
            ways = ways or [str(name) for name in rng.permutation(names())]
            name = ways.pop()
            altered = alter(pixels, name, int(rng.integers(2**31)), others=drawn).pixels
            query = trial.ask(name, Picture(altered, altered.shape[1], altered.shape[0]))
            pairs = [(i, e) for i, e in trial.pairs(query) if i == content_id or i not in others]
            rows += _rows(asked, name, content_id, pairs, trial)
            asked += 1
            progress(asked, per_picture * len(pictures))
    return rows


def fit_rows(rows: Sequence[PairRow], *, about: Mapping[str, Any], prior: Calibration | None = None) -> Calibration:
    """Fit a calibration; raise UsageError where the rows hold no copies or nothing else."""
    matrix, truth = terms([row.evidence for row in rows]), np.array([row.truth for row in rows], bool)
    if not len(truth):
        raise UsageError("a calibration needs copies and non-copies: add more pictures")
    return fit_calibration(matrix, truth, queries=[row.query for row in rows], prior=prior, about=about)


def held_out_error(rows: Sequence[PairRow], *, prior: Calibration | None = None, hinted: bool = False) -> float:
    """Return the expected calibration error on every second query, after fitting to the others.

    ``hinted`` asks as if nobody had compared the places of the pairs.
    """
    kept = [row for row in rows if row.query % 2 == 0]
    held = [row for row in rows if row.query % 2 == 1]
    fitted = fit_rows(kept, about={}, prior=prior)
    matrix = terms([row.evidence for row in held])
    probabilities = fitted.hinted(matrix) if hinted else fitted.probabilities(matrix)
    return calibration_error(probabilities, np.array([row.truth for row in held], bool))


def _rows(asked: int, name: str, source: int, pairs: Sequence[tuple[int, PairEvidence]], trial: Trial) -> list[PairRow]:
    shipped = shipped_calibration()
    suspicious = [i for i, evidence in pairs if i != source and shipped.probability(evidence) > _SUSPICIOUS]
    unknown = _maybe_copies(source, suspicious, trial) if suspicious else set()
    return [PairRow(asked, i, evidence, i == source, name) for i, evidence in pairs if i not in unknown]


def _maybe_copies(source: int, others: Sequence[int], trial: Trial) -> set[int]:
    """Return the pictures that the unaltered source may be a copy of, or they of it."""
    shipped, stored = shipped_calibration(), trial.features([source, *others])
    if source not in stored:
        return set()
    return {i for i in others if i in stored and shipped.probability(examine(stored[source], stored[i])) > _UNKNOWN}
