"""How one picture lies in the other: a plane transformation from matched local features.

Each pair of SIFT features, with its scale and angle, already tells a similarity; the best of them is refined by local
optimisation (Philbin et al., "Object retrieval with large vocabularies and fast spatial matching", 2007; Chum et al.,
"Locally optimized RANSAC", 2003). So nothing is drawn at random but in the last step, a homography by MAGSAC++
(Barath et al., 2020), whose generator is seeded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sosie.types import Box
from sosie.verify.features import Features
from sosie.verify.matching import match
from sosie.verify.opencv import opencv

__all__ = ["SEED", "TOLERANCE", "Fit", "Matrix", "align", "clipped_box", "fit_pairs", "map_points", "refused"]

Matrix = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

SEED = 0
TOLERANCE = 6.0  # pixels of the working pictures
_PRECISE = 1.5  # pixels
_HYPOTHESES = 64
_KEPT = 6  # hypotheses that are refined
_ROUNDS = 4
_SURE = 25  # inliers after which the mirrored query is not tried
_MIN_INLIERS = 4
_FOR_HOMOGRAPHY = 12


@dataclass(frozen=True, slots=True)
class Fit:
    """A transformation from the query's working pixels to the reference's, and what supports it.

    ``matrix`` takes the points of the query as it is, also where ``mirrored``. ``query`` and ``reference`` (n, 2) are
    the inliers, one per place. ``matched`` counts all pairs that looked alike. ``precise`` is the share of inliers that
    lie within 1.5 pixels: near 1 for copies, less for two photographs of one thing, which no plane map fits exactly.
    """

    matrix: Matrix
    mirrored: bool
    query: Points
    reference: Points
    matched: int
    precise: float

    @property
    def inliers(self) -> int:
        return len(self.query)


def align(query: Features, reference: Features) -> Fit | None:
    """Return the transformation that most matched features agree on, mirrored or not; None where none holds."""
    upright = _align_as_it_is(query, reference)
    if upright is not None and upright.inliers >= _SURE:
        return upright
    mirrored = _align_as_it_is(query.mirrored(), reference)
    if mirrored is None or (upright is not None and upright.inliers >= mirrored.inliers):
        return upright
    flip = np.array([[-1.0, 0.0, query.width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return replace(mirrored, matrix=mirrored.matrix @ flip, mirrored=True, query=map_points(flip, mirrored.query))


def _align_as_it_is(query: Features, reference: Features) -> Fit | None:
    pairs = match(query, reference)
    if len(pairs) < _MIN_INLIERS:
        return None
    fit = fit_pairs(query.points[pairs[:, 0]], reference.points[pairs[:, 1]])
    if fit is None or refused(fit, (query.width, query.height), (reference.width, reference.height)):
        return None
    return fit


def fit_pairs(query: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Fit | None:
    """Fit a transformation without mirroring to paired points (n, 4): x, y, scale, angle; surest pairs first."""
    start, goal = query[:, :2].astype(np.float64), reference[:, :2].astype(np.float64)
    matrix, inside = _best_affine(query, reference, start, goal)
    if len(inside) < _MIN_INLIERS:
        return None
    if len(inside) >= _FOR_HOMOGRAPHY:
        matrix, inside = _perspective(matrix, inside, start, goal)
    places = _distinct(start[inside], goal[inside])
    start, goal = start[inside][places], goal[inside][places]
    reach = _PRECISE * max(1.0, abs(np.linalg.det(matrix[:2, :2])) ** 0.5)
    precise = float((np.linalg.norm(map_points(matrix, start) - goal, axis=1) < reach).mean())
    return Fit(matrix, False, start, goal, len(query), precise)


def map_points(matrix: Matrix, points: Points) -> Points:
    """Return where a homography takes points (n, 2)."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    weight = homogeneous[:, 2:]
    moved: Points = homogeneous[:, :2] / np.where(np.abs(weight) < 1e-9, 1e-9, weight)
    return moved


def clipped_box(points: npt.NDArray[np.float64]) -> Box | None:
    """Return the box around points, cut to the frame 0..1; None where it is outside."""
    low, high = np.clip(points.min(axis=0), 0, 1), np.clip(points.max(axis=0), 0, 1)
    if (high - low).min() <= 1e-6:
        return None
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def refused(fit: Fit, query: tuple[int, int], reference: tuple[int, int]) -> str | None:
    """Say why a transformation cannot be true of two pictures of these sizes (width, height), or return None."""
    if fit.inliers < _MIN_INLIERS:
        return "too few places agree"
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * np.array(query)
    weights = np.column_stack([corners, np.ones(4)]) @ fit.matrix[2]
    if weights.min() <= 0.2 * weights.max():
        return "it folds the picture over"
    if np.linalg.det(fit.matrix) <= 0:
        return "it mirrors, where nothing was mirrored"
    moved = map_points(fit.matrix, corners)
    sides = np.linalg.norm(moved - np.roll(moved, -1, axis=0), axis=1) / np.array([query[0], query[1]] * 2)
    if sides.min() < 0.04 or sides.max() > 25 or sides.max() > 5 * sides.min():
        return "it squeezes the picture"
    if _on_a_line(fit.query) or _on_a_line(fit.reference):
        return "all places that agree lie on one line"
    return None


def _best_affine(
    query: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], start: Points, goal: Points
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    guesses = _similarities(query[:_HYPOTHESES].astype(np.float64), reference[:_HYPOTHESES].astype(np.float64))
    moved = np.einsum("hij,nj->hni", guesses[:, :2, :2], start) + guesses[:, None, :2, 2]
    near = np.linalg.norm(moved - goal, axis=2) < 2 * TOLERANCE  # one pair alone says it roughly
    best, inside = np.eye(3), np.empty(0, np.int64)
    for guess in np.argsort(-near.sum(axis=1), kind="stable")[:_KEPT]:
        matrix, found = _refined(np.flatnonzero(near[guess]), start, goal)
        if len(found) > len(inside):
            best, inside = matrix, found
    return best, inside


def _refined(inside: npt.NDArray[np.int64], start: Points, goal: Points) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Fit to the inliers and choose them anew, until they stay."""
    matrix = np.eye(3)
    for _ in range(_ROUNDS):
        if len(inside) < _MIN_INLIERS:
            return matrix, inside[:0]
        fitted = _similarity(start[inside], goal[inside]) if len(inside) < 6 else _affine(start[inside], goal[inside])
        size = np.linalg.det(fitted[:2, :2])
        if not np.isfinite(size) or size <= 1e-3:
            return matrix, inside[:0]
        matrix = fitted
        errors = np.linalg.norm(map_points(matrix, start) - goal, axis=1)
        new = np.flatnonzero(errors < TOLERANCE * max(1.0, size**0.5))
        if np.array_equal(new, inside):
            break
        inside = new
    return matrix, inside


def _perspective(
    affine: Matrix, inside: npt.NDArray[np.int64], start: Points, goal: Points
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Try a homography on what is near the affine map; keep it where it explains clearly more, and tightly."""
    cv2 = opencv()
    reach = TOLERANCE * max(1.0, np.linalg.det(affine[:2, :2]) ** 0.5)
    wide = np.flatnonzero(np.linalg.norm(map_points(affine, start) - goal, axis=1) < 4 * reach)
    cv2.setRNGSeed(SEED)
    matrix, _ = cv2.findHomography(start[wide], goal[wide], cv2.USAC_MAGSAC, reach / 2, None, 2000, 0.999)
    if matrix is None or not np.isfinite(matrix).all():
        return affine, inside
    tight = np.linalg.norm(map_points(affine, start) - goal, axis=1) < reach / 2
    found = np.flatnonzero(np.linalg.norm(map_points(matrix, start) - goal, axis=1) < reach / 2)
    if len(found) > 1.1 * tight.sum() and len(found) >= 0.8 * len(inside):
        return matrix / matrix[2, 2], found
    return affine, inside


def _similarities(query: Points, reference: Points) -> Matrix:
    """Return (n, 3, 3): what each pair of features (n, 4) says alone."""
    scale = reference[:, 2] / np.maximum(query[:, 2], 1e-3)
    turn = np.deg2rad(reference[:, 3] - query[:, 3])
    out = np.zeros((len(query), 3, 3))
    out[:, 0, 0] = out[:, 1, 1] = scale * np.cos(turn)
    out[:, 1, 0] = scale * np.sin(turn)
    out[:, 0, 1] = -out[:, 1, 0]
    out[:, :2, 2] = reference[:, :2] - np.einsum("nij,nj->ni", out[:, :2, :2], query[:, :2])
    out[:, 2, 2] = 1
    return out


def _similarity(start: Points, goal: Points) -> Matrix:
    """Least squares in the complex plane: goal = a · start + b."""
    p, q = start @ [1, 1j], goal @ [1, 1j]
    a = ((q - q.mean()) * np.conj(p - p.mean())).sum() / max(float((np.abs(p - p.mean()) ** 2).sum()), 1e-9)
    b = q.mean() - a * p.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])


def _affine(start: Points, goal: Points) -> Matrix:
    solved, *_ = np.linalg.lstsq(np.column_stack([start, np.ones(len(start))]), goal, rcond=None)
    return np.vstack([solved.T, [0.0, 0.0, 1.0]])


def _distinct(start: Points, goal: Points) -> npt.NDArray[np.int64]:
    """Keep one inlier per place in either picture: a corner with four orientations is one corner."""
    _, left = np.unique(np.round(start / 2), axis=0, return_index=True)
    _, right = np.unique(np.round(goal[np.sort(left)] / 2), axis=0, return_index=True)
    return np.sort(np.sort(left)[right])


def _on_a_line(points: Points) -> bool:
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] < max(0.02 * spread[0], TOLERANCE / 2))
