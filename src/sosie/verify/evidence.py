"""What can be measured of a pair of pictures once one is laid over the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.types import Box
from sosie.verify.features import Features
from sosie.verify.geometry import Fit, Matrix, align, clipped_box, map_points
from sosie.verify.opencv import opencv
from sosie.verify.pixels import PixelAgreement

__all__ = [
    "Overlay",
    "PairEvidence",
    "believable",
    "examine",
    "lay_over",
    "local_correlation",
    "sampled",
    "square_grid",
    "variant_matrix",
]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SAMPLES = 48  # a side of the grid on which two registered pictures are compared
_WINDOW = 7  # of these samples
_TEXTURE = 4.0  # grey levels of deviation below which a window says nothing
_AGREE = 0.5  # local correlation from which a window counts as the same
_FEW = 12  # inliers, under which the pictures are laid over each other as wholes, too
_MATCHING = 50  # quality of a fingerprint that may decide alone; what PDQ's authors advise for matching
_LEAST_OVERLAP = 1e-3  # of a picture's area
_INNER = ("pixels", "outline", "thing_shift")  # told by their own names, or of use to the judge alone


@dataclass(frozen=True, slots=True)
class Overlay:
    """How well two registered pictures agree: means over the part where both are, and shares of the whole pictures.

    ``correlation`` is the mean local correlation, ``agreement`` the share of textured places that agree.
    ``query_overlap`` and ``reference_overlap`` are the shares of either picture's frame that lie inside the other.
    ``textured`` is False where no place has the texture to tell.
    """

    correlation: float
    agreement: float
    query_overlap: float
    reference_overlap: float
    textured: bool = True


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """Everything that the probability of a pair is computed from.

    ``matrix`` takes relative points (0..1) of the query to relative points of the reference; None where nothing could
    be laid over. ``matched_query`` and ``matched_reference`` are boxes around the inliers, ``precise`` is the share of
    these within 1.5 pixels. ``pdq_distance`` is the least over flips and turns, None where a fingerprint has no
    quality; ``copy_score`` is the normalised likeness of copy vectors. ``compared`` is False where nobody could look:
    local features are not stored, or both pictures are too plain. Then the zeros above say nothing. ``pixels`` is what
    the decoded pixels of both say, None while nobody has laid them over each other. ``outline`` is the convex hull of
    the inliers in the reference, and ``thing_shift`` how far the cells within it lie from their places
    (`things.measure_thing`).
    """

    inliers: int = 0
    matched: int = 0
    precise: float = 0.0
    mirrored: bool = False
    matrix: tuple[tuple[float, ...], ...] | None = None
    matched_query: Box | None = None
    matched_reference: Box | None = None
    correlation: float = 0.0
    agreement: float = 0.0
    query_overlap: float = 0.0
    reference_overlap: float = 0.0
    pdq_distance: int | None = None
    copy_score: float | None = None
    compared: bool = True
    pixels: PixelAgreement | None = None
    outline: tuple[tuple[float, ...], ...] | None = None
    thing_shift: float | None = None

    @property
    def query_share(self) -> float:
        """Return the share of the query that shows the reference."""
        return self.query_overlap * self.agreement

    @property
    def reference_share(self) -> float:
        """Return the share of the reference that is seen in the query."""
        return self.reference_overlap * self.agreement

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, floats rounded."""
        plain = {key: _plain(value) for key, value in asdict(replace(self, pixels=None)).items() if key not in _INNER}
        plain |= {} if self.pixels is None else self.pixels.to_json()
        plain |= {} if self.thing_shift is None else {"thing_shift_px": round(self.thing_shift, 2)}
        return plain | {"query_share": round(self.query_share, 4), "reference_share": round(self.reference_share, 4)}


def examine(
    query: Features,
    reference: Features,
    *,
    variant: int | None = None,
    pdq_distance: int | None = None,
    copy_score: float | None = None,
) -> PairEvidence:
    """Lay the query over the reference by their local features and measure how far they agree.

    Where features do not suffice, the whole pictures are laid over each other, mirrored and turned as ``variant`` says
    (a variant of the fingerprint): a blurred or smooth picture has few features but many agreeing places.
    """
    fit = align(query, reference)
    by_features = _from_fit(query, reference, fit) if fit else None
    whole = None
    if by_features is None or by_features.inliers < _FEW:
        whole = _whole(query, reference, variant or 0)
    best = by_features
    if whole is not None and (best is None or whole.agreement * whole.correlation > best.agreement * best.correlation):
        best = whole
    return replace(best or PairEvidence(), pdq_distance=pdq_distance, copy_score=copy_score)


def believable(evidence: PairEvidence, quality: int) -> PairEvidence:
    """Leave out a fingerprint that would have to decide alone and lacks the ``quality`` (0..100) to do so."""
    if evidence.compared or quality >= _MATCHING:
        return evidence
    return replace(evidence, pdq_distance=None)


def lay_over(query: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8], matrix: Matrix) -> Overlay:
    """Compare two luminance pictures (h, w), registered by ``matrix`` in relative coordinates."""
    frame = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    inverse: Matrix = np.linalg.inv(matrix).astype(np.float64)
    seen_query = clipped_box(map_points(inverse, frame))
    if seen_query is None:
        return Overlay(0.0, 0.0, 0.0, 0.0)
    points = square_grid(seen_query)
    moved = map_points(matrix, points)
    valid = ((moved >= 0) & (moved <= 1)).all(axis=1).reshape(_SAMPLES, _SAMPLES)
    area_query = (seen_query[2] * seen_query[3]) * float(valid.mean())
    seen_reference = clipped_box(map_points(matrix, frame))
    area_reference = (
        0.0 if seen_reference is None else seen_reference[2] * seen_reference[3] * _filled(inverse, seen_reference)
    )
    if min(area_query, area_reference) < _LEAST_OVERLAP:
        return Overlay(0.0, 0.0, area_query, area_reference)
    zoom = max(1e-3, (area_reference / area_query) ** 0.5)  # reference per query, in relative units
    left = sampled(query, points, blur=1 / zoom)
    right = sampled(reference, moved, blur=zoom)
    correlation, textured = local_correlation(left, right, valid)
    if not textured.any():
        return Overlay(0.0, 0.0, area_query, area_reference, textured=False)
    found = correlation[textured]
    return Overlay(float(found.mean()), float((found > _AGREE).mean()), area_query, area_reference)


def _from_fit(query: Features, reference: Features, fit: Fit) -> PairEvidence:
    to_relative = np.diag([1 / reference.width, 1 / reference.height, 1.0])
    matrix = to_relative @ fit.matrix @ np.diag([query.width, query.height, 1.0])
    overlay = lay_over(query.thumb, reference.thumb, matrix)
    return PairEvidence(
        inliers=fit.inliers,
        matched=fit.matched,
        precise=fit.precise,
        mirrored=fit.mirrored,
        matrix=_rows(matrix),
        matched_query=_box(fit.query / [query.width, query.height]),
        matched_reference=_box(fit.reference / [reference.width, reference.height]),
        outline=_outline(fit.reference / [reference.width, reference.height]),
        correlation=overlay.correlation,
        agreement=overlay.agreement,
        query_overlap=overlay.query_overlap,
        reference_overlap=overlay.reference_overlap,
    )


def _whole(query: Features, reference: Features, variant: int) -> PairEvidence:
    matrix = variant_matrix(variant)
    overlay = lay_over(query.thumb, reference.thumb, matrix)
    return PairEvidence(
        compared=overlay.textured,
        mirrored=bool(np.linalg.det(matrix) < 0),
        matrix=_rows(matrix),
        correlation=overlay.correlation,
        agreement=overlay.agreement,
        query_overlap=overlay.query_overlap,
        reference_overlap=overlay.reference_overlap,
    )


def variant_matrix(variant: int) -> Matrix:
    """Return where relative points go when a picture is mirrored (variant >= 4), then turned counter-clockwise."""
    mirror = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    matrix = mirror if variant >= 4 else np.eye(3)
    for _ in range(variant % 4):
        matrix = turn @ matrix
    return matrix


def local_correlation(left: Floats, right: Floats, valid: Mask) -> tuple[Floats, Mask]:
    """Return the correlation in a window around each sample, and where there is texture to tell."""
    inside = valid.astype(np.float32)
    weight = _mean(inside)
    safe = np.maximum(weight, 1e-6)
    a, b = _mean(left * inside) / safe, _mean(right * inside) / safe
    var_a = np.maximum(_mean(left * left * inside) / safe - a * a, 0)
    var_b = np.maximum(_mean(right * right * inside) / safe - b * b, 0)
    covariance = _mean(left * right * inside) / safe - a * b
    textured = valid & (weight > 0.5) & (np.maximum(var_a, var_b) > _TEXTURE**2)
    floor = np.float32(1.0)
    return (covariance / np.sqrt((var_a + floor) * (var_b + floor))).astype(np.float32), textured


def _mean(values: Floats) -> Floats:
    blurred: Floats = opencv().blur(values, (_WINDOW, _WINDOW))
    return blurred


def sampled(picture: npt.NDArray[np.uint8], points: npt.NDArray[np.float64], *, blur: float) -> Floats:
    """Return a picture (h, w) or (h, w, 3) at relative points of a square grid, first blurred by so many pixels."""
    cv2 = opencv()
    values = picture.astype(np.float32)
    if blur > 1.2:
        values = cv2.GaussianBlur(values, (0, 0), 0.5 * (blur * blur - 1) ** 0.5)
    at = (points * [picture.shape[1], picture.shape[0]] - 0.5).astype(np.float32)
    side = round(len(points) ** 0.5)
    at = at.reshape(side, side, 2)
    values_there: Floats = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values_there


def square_grid(box: Box, side: int = _SAMPLES) -> npt.NDArray[np.float64]:
    """Return the centres (side², 2) of a grid of cells over a box, row by row."""
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(box[0] + steps * box[2], box[1] + steps * box[3])
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _filled(matrix: Matrix, box: Box) -> float:
    """Return the share of a box whose points ``matrix`` keeps inside the frame."""
    moved = map_points(matrix, square_grid(box))
    return float(((moved >= 0) & (moved <= 1)).all(axis=1).mean())


def _box(points: npt.NDArray[np.float64]) -> Box:
    low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _outline(points: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    hull = opencv().convexHull(points.astype(np.float32)).reshape(-1, 2)
    return tuple(tuple(float(value) for value in point) for point in hull)


def _rows(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    scaled = matrix / matrix[2, 2]
    return tuple(tuple(float(value) for value in row) for row in scaled)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
