"""From evidence to a probability: a logistic model with few terms, fitted to pairs whose truth is known.

Every term can only speak for a copy, so weights are not negative: more inliers or a better correlation never lower a
probability. Evidence that is missing is no evidence against: pairs whose places could not be compared have a model of
their own, fitted to the same pairs as if nobody had looked at their places. Where the pixels of both were laid over
each other, a third model says what they tell, fitted to strangers that look alike; the smaller of the two odds counts,
so that what features propose the pixels decide. The cut-off for a false-match rate comes from the non-copies that the
models were fitted beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.errors import DamagedError, UsageError
from sosie.verify.evidence import PairEvidence

__all__ = [
    "PIXEL_TERMS",
    "TERMS",
    "Calibration",
    "PixelModel",
    "calibration_error",
    "fit_calibration",
    "fit_pixels",
    "pixel_terms",
    "shipped_calibration",
    "terms",
]

Floats = npt.NDArray[np.float64]

TERMS = ("inliers", "precise_inliers", "agreement", "share", "correlation", "fingerprint", "copy_score")
PIXEL_TERMS = ("share", "still", "in_place", "all_in_place", "cells")
_HINTS = slice(5, 7)  # the terms that need no look at places
_NEAR = 1 - 31 / 100  # 31 bits, within which PDQ's authors call two pictures the same
VERSION = 2
_RIDGE = 0.1
_STEPS = 4000
_MAX = 0.9999  # no finite sample supports more


@dataclass(frozen=True, slots=True)
class PixelModel:
    """What the agreement of pixels is worth: weights by ``PIXEL_TERMS``, a bias, and what they were fitted to."""

    weights: tuple[float, ...]
    bias: float
    about: Mapping[str, Any]

    def odds(self, evidence: PairEvidence) -> float:
        """Return the log-odds that a pair whose pixels were laid over each other is a copy."""
        return float((pixel_terms([evidence]) @ np.array(self.weights))[0] + self.bias)

    def to_json(self) -> dict[str, Any]:
        """Return what a stored calibration holds of it."""
        weights = {name: round(weight, 6) for name, weight in zip(PIXEL_TERMS, self.weights, strict=True)}
        return {"weights": weights, "bias": round(self.bias, 6), "about": dict(self.about)}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted model: ``weights`` by term and ``bias``, and what it was fitted to.

    ``pixels`` decides what the others propose, where the pixels of a pair were compared. ``hints`` are the weights of
    the last two terms and the bias for pairs whose places were not compared. ``negatives`` are the highest
    probabilities that queries without a copy got, descending, out of ``queries``.
    """

    weights: tuple[float, ...]
    bias: float
    negatives: tuple[float, ...]
    queries: int
    about: Mapping[str, Any]
    hints: tuple[float, float, float] = (0.0, 0.0, -8.0)  # nothing is believed
    pixels: PixelModel | None = None

    def probability(self, evidence: PairEvidence) -> float:
        """Return how sure it is that the pair is a copy, 0 to 0.9999."""
        return min(float(_sigmoid(np.array(self.odds(evidence)))), _MAX)

    def odds(self, evidence: PairEvidence) -> float:
        """Return the log-odds, which still tell sure pairs apart."""
        stored = self._stored_odds(evidence)
        if evidence.pixels is None or self.pixels is None:
            return stored
        return min(stored, self.pixels.odds(evidence))

    def _stored_odds(self, evidence: PairEvidence) -> float:
        """Return what stored features and fingerprints say."""
        row = terms([evidence])
        if evidence.compared:
            return float((row @ np.array(self.weights))[0] + self.bias)
        return float((_hints(row) @ np.array(self.hints[:2]))[0] + self.hints[2])

    def probabilities(self, matrix: Floats) -> Floats:
        """Return the probabilities (n,) of rows of terms (n, t), of pairs whose places were compared."""
        return np.minimum(_sigmoid(matrix @ np.array(self.weights) + self.bias), _MAX)

    def hinted(self, matrix: Floats) -> Floats:
        """Return the probabilities (n,) of the same rows, had nobody looked at their places."""
        return np.minimum(_sigmoid(_hints(matrix) @ np.array(self.hints[:2]) + self.hints[2]), _MAX)

    def cut_off(self, max_false_rate: float) -> float:
        """Return the least probability at which at most this share of queries gets a false match.

        Raises UsageError for a rate finer than what the stored non-copies can tell.
        """
        if not 0 < max_false_rate < 1:
            raise UsageError(f"a false-match rate lies between 0 and 1, not {max_false_rate:g}")
        allowed = int(max_false_rate * self.queries)
        if allowed < len(self.negatives):
            return min(
                _MAX, float(np.nextafter(self.negatives[allowed], 1)) if allowed else self._beyond(max_false_rate)
            )
        return 0.5

    def false_rate(self, cut_off: float) -> float:
        """Return the share of queries without a copy that had a match at this cut-off; at least one in all of them."""
        return max(1, sum(score >= cut_off for score in self.negatives)) / max(1, self.queries)

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        return {
            "version": VERSION,
            "weights": {name: round(weight, 6) for name, weight in zip(TERMS, self.weights, strict=True)},
            "bias": round(self.bias, 6),
            "hints": [round(weight, 6) for weight in self.hints],
            "negatives": [round(score, 6) for score in self.negatives],
            "queries": self.queries,
            "about": dict(self.about),
            **({} if self.pixels is None else {"pixels": self.pixels.to_json()}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        """Read a stored calibration; raise DamagedError for anything else."""
        try:
            if document["version"] != VERSION or tuple(document["weights"]) != TERMS:
                raise ValueError("other terms")
            hints = document.get("hints") or shipped_calibration().hints  # those stored before there were any
            fingerprint, copy_score, bias = (float(value) for value in hints)
            return cls(
                tuple(float(value) for value in document["weights"].values()),
                float(document["bias"]),
                tuple(float(score) for score in document["negatives"]),
                int(document["queries"]),
                dict(document["about"]),
                (fingerprint, copy_score, bias),
                _pixel_model(document["pixels"]) if "pixels" in document else shipped_pixels(),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"a stored calibration does not parse ({error}): run `sosie calibrate`") from error

    def _beyond(self, rate: float) -> float:
        """Say what no observed non-copy reached: extrapolate the tail of the log-odds as exponential."""
        odds = np.array([_logit(score) for score in self.negatives[: max(8, len(self.negatives) // 5)]])
        if len(odds) < 2:
            return 0.95
        mean_excess = max(0.1, float((odds - odds[-1]).mean()))
        reach = float(odds[-1] + mean_excess * np.log(len(odds) / (rate * self.queries)))
        return min(_MAX, max(float(np.nextafter(self.negatives[0], 1)), float(_sigmoid(np.array(reach)))))


@cache
def shipped_calibration() -> Calibration:
    """Return the calibration that comes with Sosie; ``recipes/calibration/fit.py`` made it."""
    text = (resources.files("sosie.verify") / "calibration.json").read_text(encoding="utf-8")
    return Calibration.from_json(json.loads(text))


@cache
def shipped_pixels() -> PixelModel:
    """Return the model of pixels that comes with Sosie; ``recipes/calibration/pixels.py`` made it."""
    return _pixel_model(json.loads((resources.files("sosie.verify") / "pixels.json").read_text(encoding="utf-8")))


def _pixel_model(stored: Mapping[str, Any]) -> PixelModel:
    if tuple(stored["weights"]) != PIXEL_TERMS:
        raise ValueError("other terms of pixels")
    weights = tuple(float(value) for value in stored["weights"].values())
    return PixelModel(weights, float(stored["bias"]), dict(stored["about"]))


def pixel_terms(evidence: Sequence[PairEvidence]) -> Floats:
    """Return the terms (n, t) of the model of pixels, each from 0 to about 1; all 0 where nobody has looked."""
    return np.array([_pixel_row(one) for one in evidence], np.float64).reshape(-1, len(PIXEL_TERMS))


def _pixel_row(one: PairEvidence) -> tuple[float, ...]:
    seen = one.pixels
    if seen is None:
        return (0.0,) * len(PIXEL_TERMS)
    return (
        max(one.query_share, one.reference_share),
        float(np.exp(-seen.moved / 0.2)),
        float(np.exp(-seen.shift / 0.5)),
        float(np.exp(-seen.shift_80)),
        min(1.0, float(np.log1p(seen.cells) / np.log1p(300))),
    )


def fit_pixels(matrix: Floats, truth: npt.NDArray[np.bool_], *, about: Mapping[str, Any]) -> PixelModel:
    """Fit the model of pixels to ``pixel_terms`` (n, t) and truths (n,), copies and strangers weighing the same."""
    if truth.all() or not truth.any():
        raise UsageError("a model of pixels needs copies and non-copies")
    share = float(truth.mean())
    balance = np.where(truth, 0.5 / share, 0.5 / (1 - share))
    weights, bias = _descend(matrix, truth, np.zeros(matrix.shape[1]), 0.0, balance)
    return PixelModel(tuple(weights.tolist()), bias, dict(about))


def terms(evidence: Sequence[PairEvidence]) -> Floats:
    """Return the terms (n, t) of the model, each from 0 (nothing speaks for a copy) to about 1."""
    rows = []
    for one in evidence:
        inliers = min(np.log1p(one.inliers) / np.log1p(100), 1.0)
        near = 0.0 if one.pdq_distance is None else max(0.0, 1 - one.pdq_distance / 100)
        rows.append(
            (
                inliers,
                inliers * one.precise,
                one.agreement,
                max(one.query_share, one.reference_share),
                max(0.0, one.correlation),
                near,
                max(0.0, one.copy_score or 0.0),
            )
        )
    return np.array(rows, np.float64).reshape(-1, len(TERMS))


def fit_calibration(
    matrix: Floats,
    truth: npt.NDArray[np.bool_],
    *,
    queries: Sequence[int],
    prior: Calibration | None = None,
    about: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fit weights to terms (n, t) and truths (n,); ``queries`` (n,) says which query each pair belongs to.

    Projected gradient descent on the logistic loss; a ridge pulls towards ``prior``, so that few pairs change little.
    Raises UsageError where one class is missing.
    """
    if truth.all() or not truth.any():
        raise UsageError("a calibration needs copies and non-copies: add more pictures")
    nothing = np.zeros(matrix.shape[1])
    before = (np.array(prior.weights), prior.bias) if prior else (nothing, 0.0)
    weights, bias = _descend(matrix, truth, *before)
    hints_before = (np.array(prior.hints[:2]), prior.hints[2]) if prior else (nothing[_HINTS], 0.0)
    (fingerprint, copy_score), hints_bias = _descend(_hints(matrix), truth, *hints_before)
    probabilities = np.minimum(_sigmoid(matrix @ weights + bias), _MAX)
    highest: dict[int, float] = {}
    for query, score in zip(np.asarray(queries)[~truth].tolist(), probabilities[~truth].tolist(), strict=True):
        highest[query] = max(score, highest.get(query, 0.0))
    # a small sample has seen too few non-copies to know the worst of them: those of the prior count as well
    negatives = sorted([*highest.values(), *(prior.negatives if prior else ())], reverse=True)[:200]
    queries_seen = len(highest) + (prior.queries if prior else 0)
    return Calibration(
        tuple(weights.tolist()),
        bias,
        tuple(negatives),
        queries_seen,
        dict(about or {}),
        (float(fingerprint), float(copy_score), hints_bias),
        prior.pixels if prior else shipped_pixels(),
    )


def _hints(matrix: Floats) -> Floats:
    """Return the terms (n, 2) that speak where places were not compared.

    A fingerprint that is only somewhat near says nothing alone: among 100,000 unrelated pictures some are.
    """
    hints = matrix[:, _HINTS].copy()
    hints[hints[:, 0] < _NEAR, 0] = 0
    return hints


def _descend(
    matrix: Floats,
    truth: npt.NDArray[np.bool_],
    before: Floats,
    bias_before: float,
    balance: Floats | float = 1.0,
) -> tuple[Floats, float]:
    step, count = 4.0 / (1 + matrix.shape[1]), len(truth)
    weights, bias = before.copy(), bias_before
    velocity, bias_velocity = np.zeros_like(weights), 0.0
    for _ in range(_STEPS):
        error = (_sigmoid(matrix @ weights + bias) - truth) * balance
        velocity = 0.9 * velocity - step * (matrix.T @ error + _RIDGE * (weights - before)) / count
        bias_velocity = 0.9 * bias_velocity - step * (error.sum() + _RIDGE * (bias - bias_before)) / count
        weights, bias = np.maximum(weights + velocity, 0), bias + bias_velocity
    return weights, float(bias)


def calibration_error(probabilities: Floats, truth: npt.NDArray[np.bool_], *, bins: int = 15) -> float:
    """Return the expected calibration error over equal-width bins (Naeini, Cooper and Hauskrecht, 2015)."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(probabilities[which == b].mean() - truth[which == b].mean()) * (which == b).sum()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps) / max(1, len(truth)))


def _sigmoid(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-np.clip(values, -40, 40)))
    return result


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    return float(np.log(inside / (1 - inside)))
