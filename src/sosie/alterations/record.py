"""What an alteration did: the values, and the plane geometry that reads them.

Coordinates are continuous pixels: a picture of w × h covers [0, w] × [0, h], and the centre of its first
pixel is (0.5, 0.5). In these coordinates a resize is a pure scaling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.types import Box, Pixels

__all__ = ["Altered", "Edit", "Matrix", "Polygon", "Record", "Step", "inverse", "mapped", "scaling", "shift"]

Matrix: TypeAlias = npt.NDArray[np.float64]  # (3, 3), from points before to points after
Polygon: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What one editing function returns: new pixels, where points went, and the parameters drawn.

    ``matrix`` is None where no homography says it (split and shuffle). ``covered`` are boxes x, y, width,
    height in pixels of the new picture, under which little or nothing of the old one can be seen.
    """

    pixels: Pixels
    params: Mapping[str, Any] = field(default_factory=dict)
    matrix: Matrix | None = field(default_factory=lambda: np.eye(3))
    covered: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One edit of a chain by name, with the parameters that were drawn."""

    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """The truth about one altered picture.

    ``homography`` maps points of the reference to the altered picture (None after split and shuffle);
    ``reference`` and ``altered`` are (width, height). ``covered`` are polygons in coordinates relative to the
    reference.
    """

    name: str
    seed: int
    steps: tuple[Step, ...]
    reference: tuple[int, int]
    altered: tuple[int, int]
    homography: Matrix | None
    covered: tuple[Polygon, ...] = ()

    @property
    def mirrored(self) -> bool:
        """Whether the altered picture shows the reference as in a mirror."""
        return self.homography is not None and bool(np.linalg.det(self.homography) < 0)

    @property
    def crop(self) -> Box | None:
        """The rectangle of the reference around what is still inside the frame, relative; None if unknown."""
        if self.homography is None:
            return None
        width, height = self.altered
        back = inverse(self.homography)
        seen = clipped(mapped(back, corners(width, height)), *self.reference)
        if len(seen) == 0:
            return None
        (left, top), (right, bottom) = seen.min(axis=0), seen.max(axis=0)
        w, h = self.reference
        return (float(left / w), float(top / h), float((right - left) / w), float((bottom - top) / h))

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Return the parameters of the last step called ``name``, or None where there is none."""
        return next((step.params for step in reversed(self.steps) if step.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that ``json.dumps`` takes."""
        return {
            "name": self.name,
            "seed": self.seed,
            "steps": [{"name": step.name, "params": dict(step.params)} for step in self.steps],
            "reference": list(self.reference),
            "altered": list(self.altered),
            "homography": None if self.homography is None else self.homography.tolist(),
            "mirrored": self.mirrored,
            "crop": None if self.crop is None else list(self.crop),
            "covered": [[list(point) for point in polygon] for polygon in self.covered],
        }


@dataclass(frozen=True, slots=True)
class Altered:
    """An altered picture and the record of how it came about."""

    pixels: Pixels
    record: Record


def scaling(x: float, y: float) -> Matrix:
    """Return the matrix that multiplies x and y."""
    return np.diag([x, y, 1.0])


def shift(x: float, y: float) -> Matrix:
    """Return the matrix that adds to x and y."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def corners(width: float, height: float) -> npt.NDArray[np.float64]:
    """Return the corners of a picture (4, 2), clockwise from the top left."""
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def inverse(matrix: Matrix) -> Matrix:
    """Return the way back, scaled so that its last entry is 1."""
    back = np.linalg.inv(matrix).astype(np.float64)
    return np.asarray(back / back[2, 2], dtype=np.float64)


def mapped(matrix: Matrix, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return where a homography takes points (n, 2)."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    result: npt.NDArray[np.float64] = homogeneous[:, :2] / homogeneous[:, 2:]
    return result


def clipped(polygon: npt.NDArray[np.float64], width: float, height: float) -> npt.NDArray[np.float64]:
    """Cut a convex polygon (n, 2) to a picture's rectangle (Sutherland and Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        kept: list[npt.NDArray[np.float64]] = []
        for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            a, b = sign * (start[axis] - limit), sign * (end[axis] - limit)
            if a >= 0:
                kept.append(start)
            if (a >= 0) != (b >= 0):
                kept.append(start + (end - start) * (a / (a - b)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon
