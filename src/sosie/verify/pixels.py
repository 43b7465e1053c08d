"""How far two pictures agree pixel by pixel, once one is laid over the other: what tells a copy from a lookalike.

Local features and thumbnails say where things are alike; they cannot see the digits of an invoice, nor that a camera
moved. Here the decoded luminance of both is registered anew, in cells of 24 pixels, and each cell is asked two things:
do its pixels correlate where they lie, and would they somewhere near? Edits of a picture leave most cells as they were;
another photograph of the same thing moves them by parallax and changes them by light (local displacement after a plane
fit is the "plane + parallax" residual of Irani and Anandan, "Parallax geometry of pairs of points", 1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.types import Pixels
from sosie.verify.geometry import SEED, Matrix, clipped_box, map_points
from sosie.verify.opencv import opencv

__all__ = ["CELL", "SIDE", "Cells", "Grey", "PixelAgreement", "agreement", "luminance", "measure_cells"]

Grey = npt.NDArray[np.uint8]  # (height, width)
Mask = npt.NDArray[np.bool_]

SIDE = 480  # pixels of the longer side of what both show, at most
CELL = 24  # pixels of the registered pictures
_REACH = 4  # pixels within which a cell is looked for
_CONTRAST = 5.0  # grey levels of deviation below which a cell says nothing
_FLAT = 1.0  # ... and below which the other picture shows nothing there
_PASSES = 3  # registrations, each corrected by what the cells of the one before say
_SEEN_AGAIN = 0.5  # correlation from which a cell is somewhere near at all
_FOUND = 0.6  # ... and from which a cell's place may correct the registration
_FOR_HOMOGRAPHY = 20  # cells; fewer correct an affine map
_SAME, _DIFFERENT, _MOVED = 0.75, 0.3, 1.5
_IN_PLACE = 0.2  # pixels of shift under which nothing is left to explain
_SHARPER = 1.1  # times as steep edges, from which one picture may have been blurred
_BLURS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # pixels
_FRAME = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class PixelAgreement:
    """What the cells that have contrast say.

    ``cells`` is their number; ``same`` the share of them that correlate above .75 where they lie, ``different`` below
    .3; ``correlation`` is the median. ``shift`` and ``shift_80`` are the median and the 80th percentile of how far
    away, in pixels, they fit best, and ``moved`` is the share for which that is 1.5 pixels or more.
    """

    cells: int
    same: float
    different: float
    correlation: float
    shift: float
    shift_80: float
    moved: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, floats rounded."""
        return {
            "cells": self.cells,
            "same_cells": round(self.same, 4),
            "different_cells": round(self.different, 4),
            "cell_correlation": round(self.correlation, 4),
            "shift_px": round(self.shift, 2),
            "moved_cells": round(self.moved, 4),
        }


@dataclass(frozen=True, slots=True)
class Cells:
    """One row a cell with contrast: its corner in the registered pictures, correlations at rest and at best, shifts."""

    corners: npt.NDArray[np.int64]  # (n, 2): x, y
    rest: npt.NDArray[np.float64]  # (n,)
    best: npt.NDArray[np.float64]  # (n,)
    shifts: npt.NDArray[np.float64]  # (n, 2): where the reference's cell lies in the query, less where it should
    centres: npt.NDArray[np.float64]  # (n, 2): of the cells, relative to the reference

    def __len__(self) -> int:
        return len(self.rest)


@dataclass(frozen=True, slots=True)
class _Registered:
    """Both pictures in one frame, at the resolution of the coarser; ``place`` takes its pixels to the reference."""

    query: Grey
    reference: Grey
    valid: Mask
    place: Matrix


def luminance(pixels: Pixels) -> Grey:
    """Return the luminance (h, w) of a picture (h, w, 3)."""
    grey: Grey = opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY)
    return grey


def agreement(query: Grey, reference: Grey, matrix: Matrix) -> PixelAgreement | None:
    """Lay the query over the reference by ``matrix`` (relative coordinates), and ask each cell; some 30 ms.

    What does not fit is compared once more after the sharper of the two was blurred like the other, and the better of
    both counts: a blurred copy has lost the detail that says where a cell lies. Returns None where nothing overlaps or
    nothing that does has contrast.
    """
    found = _summary(measure_cells(query, reference, matrix))
    if found is None or found.shift < _IN_PLACE:
        return found
    blurred = _summary(measure_cells(query, reference, matrix, level=True))
    return found if blurred is None else min(found, blurred, key=lambda one: one.shift)


def _summary(cells: Cells | None) -> PixelAgreement | None:
    if cells is None or not len(cells):
        return None
    lengths = np.linalg.norm(cells.shifts, axis=1)[cells.best > _SEEN_AGAIN]
    if not len(lengths):
        lengths = np.array([np.hypot(_REACH, _REACH)])
    return PixelAgreement(
        cells=len(cells),
        same=float((cells.rest > _SAME).mean()),
        different=float((cells.rest < _DIFFERENT).mean()),
        correlation=float(np.median(cells.rest)),
        shift=float(np.median(lengths)),
        shift_80=float(np.percentile(lengths, 80)),
        moved=float((lengths >= _MOVED).mean()),
    )


def measure_cells(query: Grey, reference: Grey, matrix: Matrix, *, level: bool = False) -> Cells | None:
    """Register two pictures, correct that by the cells themselves, and return the cells; None without overlap.

    ``level`` blurs the sharper of both first.
    """
    cells = None
    for at in range(_PASSES):
        registered = _register(query, reference, matrix, level=level)
        if registered is None:
            return cells
        cells = _cells(registered)
        corrected = None if at == _PASSES - 1 else _corrected(cells, registered, matrix)
        if corrected is None:
            break
        matrix = corrected
    return cells


def _register(query: Grey, reference: Grey, matrix: Matrix, *, level: bool) -> _Registered | None:
    box = clipped_box(map_points(matrix, _FRAME))
    if box is None:
        return None
    across, down = box[2] * reference.shape[1], box[3] * reference.shape[0]
    zoom = _pixels_for_one(query, reference, matrix)
    scale = min(1.0, zoom, SIDE / max(across, down))
    size = max(8, round(across * scale)), max(8, round(down * scale))
    place = np.array([[box[2] / size[0], 0, box[0]], [0, box[3] / size[1], box[1]], [0, 0, 1]])
    left, seen = _warped(query, np.linalg.inv(matrix) @ place, size)
    right, _ = _warped(reference, place, size)
    if level:
        left, right = _equally_sharp(left, right)
    return _Registered(left, right, seen, place)


def _equally_sharp(left: Grey, right: Grey) -> tuple[Grey, Grey]:
    """Blur the sharper of two pictures until it shows no finer detail than the other, which lost it in an edit."""
    fine, coarse = _sharpness(left), _sharpness(right)
    if max(fine, coarse) < _SHARPER * min(fine, coarse):
        return left, right
    soft = min(fine, coarse)
    sharp = left if fine > coarse else right
    blurred = sharp
    for sigma in _BLURS:
        blurred = opencv().GaussianBlur(sharp, (0, 0), sigma)
        if _sharpness(blurred) <= soft:
            break
    return (blurred, right) if fine > coarse else (left, blurred)


def _sharpness(picture: Grey) -> float:
    """Return how steep edges are for the contrast that there is."""
    values = picture.astype(np.float32)
    steps = np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean()
    return float(steps) / max(float(values.std()), 1.0)


def _pixels_for_one(query: Grey, reference: Grey, matrix: Matrix) -> float:
    """Return how many pixels of the query, along a line, show one of the reference."""
    x, y = (map_points(matrix, _FRAME) * [reference.shape[1], reference.shape[0]]).T
    area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
    return float((query.size / max(area, 1e-6)) ** 0.5)


def _warped(picture: Grey, matrix: Matrix, size: tuple[int, int]) -> tuple[Grey, Mask]:
    """Return a picture in the common frame, and where it covers it; ``matrix`` takes pixels there to relative points.

    What is shrunk is averaged first, so that fine detail does not alias.
    """
    cv2 = opencv()
    step = np.linalg.det((np.diag([picture.shape[1], picture.shape[0], 1.0]) @ matrix)[:2, :2])
    shrink = float(abs(step)) ** 0.5
    if shrink > 1.2:
        smaller = (max(1, round(picture.shape[1] / shrink)), max(1, round(picture.shape[0] / shrink)))
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # of a pixel
    to_pixels = np.linalg.inv(centre) @ np.diag([picture.shape[1], picture.shape[0], 1.0]) @ matrix @ centre
    flags = cv2.WARP_INVERSE_MAP
    out = cv2.warpPerspective(picture, to_pixels, size, flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpPerspective(np.full(picture.shape, 255, np.uint8), to_pixels, size, flags=flags)
    return out, inside == 255


def _cells(registered: _Registered) -> Cells:
    cv2 = opencv()
    query, reference = registered.query.astype(np.float32), registered.reference.astype(np.float32)
    contrast = np.stack([_by_cell(query).std(axis=(1, 3)), _by_cell(reference).std(axis=(1, 3))])
    low, high = contrast.min(axis=0), contrast.max(axis=0)
    rows = []
    for row, column in np.argwhere(_by_cell(registered.valid).all(axis=(1, 3)) & (high >= _CONTRAST)).tolist():
        x, y = _REACH + column * CELL, _REACH + row * CELL
        if low[row, column] < _FLAT:
            rows.append((x, y, 0.0, 0.0, 0.0, 0.0))
            continue
        window = query[y - _REACH : y + CELL + _REACH, x - _REACH : x + CELL + _REACH]
        found = cv2.matchTemplate(window, reference[y : y + CELL, x : x + CELL], cv2.TM_CCOEFF_NORMED)
        found[~np.isfinite(found)] = 0
        rows.append((x, y, float(found[_REACH, _REACH]), float(found.max()), *_peak(found)))
    table = np.array(rows, np.float64).reshape(-1, 6)
    corners = table[:, :2].astype(np.int64)
    centres = map_points(registered.place, corners.astype(np.float64) + CELL / 2)
    return Cells(corners, table[:, 2], table[:, 3], table[:, 4:], centres)


def _by_cell(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the cells of a picture (h, w) as (rows, CELL, columns, CELL); a window has room to move on all sides."""
    down, across = ((side - 2 * _REACH) // CELL for side in picture.shape)
    within = picture[_REACH : _REACH + down * CELL, _REACH : _REACH + across * CELL]
    return within.reshape(down, CELL, across, CELL)


def _peak(found: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return where a table of correlations (9, 9) is highest, x and y from its centre, finer than a step."""
    row, column = divmod(int(found.argmax()), found.shape[1])
    across = found[row, column - 1 : column + 2] if 0 < column < found.shape[1] - 1 else None
    down = found[row - 1 : row + 2, column] if 0 < row < found.shape[0] - 1 else None
    return column - _REACH + _vertex(across), row - _REACH + _vertex(down)


def _vertex(three: npt.NDArray[np.float32] | None) -> float:
    """Return where the parabola through three neighbours has its top, from the middle one."""
    if three is None:
        return 0.0
    bend = float(three[0] - 2 * three[1] + three[2])
    return 0.0 if abs(bend) < 1e-6 else float(three[0] - three[2]) / (2 * bend)


def _corrected(cells: Cells, registered: _Registered, matrix: Matrix) -> Matrix | None:
    """Return the map after moving it to where the cells were found; None where too few were."""
    cv2 = opencv()
    sure = cells.best > _FOUND
    if sure.sum() < 8:
        return None
    start = cells.corners[sure] + CELL / 2
    goal = start + cells.shifts[sure]
    cv2.setRNGSeed(SEED)
    if len(start) >= _FOR_HOMOGRAPHY:
        moved, _ = cv2.findHomography(start, goal, cv2.RANSAC, _MOVED, maxIters=500)
    else:
        affine, _ = cv2.estimateAffine2D(start, goal, method=cv2.RANSAC, ransacReprojThreshold=_MOVED)
        moved = None if affine is None else np.vstack([affine, [0, 0, 1]])
    if moved is None or not np.isfinite(moved).all() or abs(np.linalg.det(moved)) < 1e-6:
        return None
    place = registered.place
    corrected: Matrix = place @ np.linalg.inv(moved) @ np.linalg.inv(place) @ matrix
    return corrected / corrected[2, 2] if np.isfinite(corrected).all() else None
