"""Whether two pictures show the same thing, though neither was made of the other: a product on two shelves, a book.

Matched local features name the place (Philbin et al., "Object retrieval with large vocabularies and fast spatial
matching", 2007), and there the pixels decide: the agreeing part is registered closely, and each cell of it is looked
for around where it should lie. Another photograph of one face of a thing keeps nearly all cells in place; two things of
one design, such as two flavours in cartons of one maker, agree in the logo and differ between. A thing whose agreeing
part is not nearly flat (a building from two sides) moves its cells, too, and is seldom told: no verdict is given then.
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

from sosie.verify.evidence import PairEvidence
from sosie.verify.geometry import Matrix, map_points
from sosie.verify.opencv import opencv
from sosie.verify.pixels import Grey, measure_cells

__all__ = ["LEAST_INLIERS", "THING_TERMS", "ThingModel", "measure_thing", "shipped_things", "thing_terms"]

Outline = npt.NDArray[np.float64]  # (n, 2): a convex polygon, relative to the reference

LEAST_INLIERS = 12  # matched features, under which nothing is claimed
THING_TERMS = ("inliers", "in_place")
_FOUND = 0.5  # correlation from which a cell is somewhere near at all
_AWAY = 6.0  # pixels; what is found nowhere counts as moved that far
_SIDE = 300  # pixels of the longer side of the agreeing part ...
_LARGEST = 3.0  # ... which is enlarged so many times at most
_GROWN = 1.15  # times the outline of the matched features: what lies around it belongs to the thing
_FEW = 3  # cells, under which nothing can be said
_LEAST_SIDE = 40  # pixels


@dataclass(frozen=True, slots=True)
class ThingModel:
    """What agreement is worth: weights by ``THING_TERMS``, a bias, and what they were fitted to.

    ``cut_off`` is the probability from which two pictures are said to show the same thing.
    """

    weights: tuple[float, ...]
    bias: float
    cut_off: float
    about: Mapping[str, Any]

    def probability(self, inliers: int, shift_80: float) -> float:
        """Return how sure it is that both show the same thing, 0 to 1."""
        odds = float(thing_terms([(inliers, shift_80)])[0] @ np.array(self.weights)) + self.bias
        return float(1 / (1 + np.exp(-odds)))

    def to_json(self) -> dict[str, Any]:
        """Return what the shipped file holds."""
        weights = {name: round(weight, 6) for name, weight in zip(THING_TERMS, self.weights, strict=True)}
        return {"weights": weights, "bias": round(self.bias, 6), "cut_off": self.cut_off, "about": dict(self.about)}


def thing_terms(pairs: Sequence[tuple[int, float]]) -> npt.NDArray[np.float64]:
    """Return the terms (n, 2) of pairs given by inliers and by the 80th percentile of the shifts, in pixels."""
    rows = np.array(pairs, np.float64).reshape(-1, 2)
    inliers = np.minimum(np.log(np.maximum(rows[:, 0], 1) / LEAST_INLIERS), 2.5)
    return np.stack([inliers, 1 - np.minimum(rows[:, 1], _AWAY) / _AWAY], axis=1)


@cache
def shipped_things() -> ThingModel:
    """Return the model that comes with Sosie (recipes/calibration/things.py)."""
    data = json.loads(resources.files("sosie.verify").joinpath("things.json").read_text(encoding="utf-8"))
    weights = tuple(float(data["weights"][name]) for name in THING_TERMS)
    return ThingModel(weights, float(data["bias"]), float(data["cut_off"]), data["about"])


def measure_thing(query: Grey, reference: Grey, evidence: PairEvidence) -> float | None:
    """Return how far the cells of the agreeing part lie from their places: the 80th percentile, in pixels of that part.

    ``query`` and ``reference`` (h, w) are the luminance of both. None where local features do not say where both
    agree, in pictures as they are, or where that part is too small or too plain; some 20 ms.
    """
    if evidence.matrix is None or evidence.outline is None or evidence.mirrored or evidence.inliers < LEAST_INLIERS:
        return None
    outline = _grown(np.array(evidence.outline))
    part = _part(reference, outline)
    if part is None:
        return None
    zoom = min(_LARGEST, _SIDE / max(part.reference.shape))
    seen = _resized(part.reference, zoom)
    asked = _resized(query, max(1.0, zoom))
    cells = measure_cells(asked, seen, part.frame @ np.array(evidence.matrix), level=True)
    if cells is None:
        return None
    back: Matrix = np.linalg.inv(part.frame).astype(np.float64)
    centres = map_points(back, cells.centres)
    within = np.array([_holds(outline, centre) for centre in centres], bool)
    lengths = np.where(cells.best > _FOUND, np.linalg.norm(cells.shifts, axis=1), _AWAY)[within]
    return float(np.percentile(lengths, 80)) if len(lengths) >= _FEW else None


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a picture, cut out; ``frame`` takes relative points of the picture to relative points of the part."""

    reference: Grey
    frame: Matrix


def _part(reference: Grey, outline: Outline) -> _Part | None:
    size = np.array([reference.shape[1], reference.shape[0]])
    low, high = np.clip(outline.min(axis=0), 0, 1) * size, np.clip(outline.max(axis=0), 0, 1) * size
    left, top = np.floor(low).astype(int)
    right, bottom = np.ceil(high).astype(int)
    if min(right - left, bottom - top) < _LEAST_SIDE:
        return None
    across, down = size / [right - left, bottom - top]
    frame = np.array([[across, 0, -left * across / size[0]], [0, down, -top * down / size[1]], [0, 0, 1]])
    return _Part(reference[top:bottom, left:right], frame)


def _grown(outline: Outline) -> Outline:
    middle = outline.mean(axis=0)
    grown: Outline = (outline - middle) * _GROWN + middle
    return grown


def _resized(picture: Grey, zoom: float) -> Grey:
    cv2 = opencv()
    out: Grey = cv2.resize(
        picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    )
    return out


def _holds(outline: Outline, point: npt.NDArray[np.float64]) -> bool:
    return bool(opencv().pointPolygonTest(outline.astype(np.float32)[:, None], point.tolist(), False) >= 0)
