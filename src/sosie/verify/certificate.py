"""What was done to a picture: the certificate of a match, read from the registered pair.

It says how the reference was changed to become the query: mirrored, turned, scaled, cut, tilted, recoloured, covered in
part, compressed. Every number is measured on the pixels of the two pictures laid over each other.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.types import Box, Pixels
from sosie.verify.evidence import Floats, PairEvidence, local_correlation, sampled, square_grid
from sosie.verify.geometry import Matrix, clipped_box, map_points
from sosie.verify.opencv import opencv

__all__ = ["Certificate", "Colour", "certify", "jpeg_quality"]

Finding: TypeAlias = tuple[str, dict[str, str]]

_SAMPLES = 128
_SAME = 0.5  # local correlation from which a place shows the same
_LEAST_COVER = 0.004  # of the overlap; smaller patches are noise
_FRAME = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Colour:
    """query ≈ gain · reference + bias for red, green and blue (0..255), where the pictures agree."""

    gain: tuple[float, float, float]
    bias: tuple[float, float, float]
    grey: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """How the reference became the query.

    ``turn`` is in degrees clockwise, after mirroring. ``scale`` are pixels of the query for one of the reference,
    across and down. ``crop`` is the part of the reference inside the query's frame, ``placed`` where that lies in the
    query. ``perspective`` is how far a corner lies from where a map without perspective would put it, as a share of
    the diagonal. ``covered`` are boxes of the reference that something else lies over.
    """

    mirrored: bool
    turn: float
    scale: tuple[float, float]
    shear: float
    perspective: float
    crop: Box
    placed: Box
    query_share: float
    reference_share: float
    covered: tuple[Box, ...]
    covered_share: float
    colour: Colour | None
    psnr: float | None
    jpeg_quality: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, floats rounded."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def findings(self) -> list[Finding]:
        """Say what was done, as names of findings and their values, for words of any language."""
        return _findings(self)

    def sentences(self) -> list[str]:
        """Say in English what was done."""
        return [_SAID[name].format(**values) for name, values in self.findings()]


def certify(
    query: Pixels,
    reference: Pixels,
    evidence: PairEvidence,
    *,
    query_size: tuple[int, int],
    reference_size: tuple[int, int],
    jpeg: int | None = None,
) -> Certificate | None:
    """Measure what was done; ``*_size`` (width, height) are the pictures' own sizes, of which pixels may be fewer.

    Returns None where the evidence lays nothing over anything.
    """
    if evidence.matrix is None:
        return None
    forward: Matrix = np.array(evidence.matrix)
    backward: Matrix = np.linalg.inv(forward).astype(np.float64)
    backward /= backward[2, 2]
    crop = clipped_box(map_points(forward, _FRAME))
    placed = clipped_box(map_points(backward, _FRAME))
    if crop is None or placed is None:
        return None
    centre = np.array([crop[0] + crop[2] / 2, crop[1] + crop[3] / 2])
    turn, scale, shear, mirrored = _decomposed(_jacobian(backward, centre, reference_size, query_size))
    seen = _compare(query, reference, backward, crop)
    return Certificate(
        mirrored=mirrored,
        turn=turn,
        scale=scale,
        shear=shear,
        perspective=_perspective(backward, centre),
        crop=crop,
        placed=placed,
        query_share=evidence.query_share,
        reference_share=evidence.reference_share,
        covered=seen.covered,
        covered_share=seen.covered_share * crop[2] * crop[3],
        colour=seen.colour,
        psnr=seen.psnr,
        jpeg_quality=jpeg,
    )


def jpeg_quality(data: bytes) -> int | None:
    """Estimate the quality (1..100) that a JPEG was saved with from its luminance table; None for other files.

    The scale is that of the Independent JPEG Group's library.
    """
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDB and data[at + 4] & 0x0F == 0:
            wide = data[at + 4] >> 4
            table = np.frombuffer(data[at + 5 : at + 5 + 64 * (1 + wide)], ">u2" if wide else np.uint8)
            return _quality_of(float(table.mean())) if len(table) == 64 else None
        at += 2 + length
    return None


@dataclass(frozen=True, slots=True)
class _Seen:
    covered: tuple[Box, ...]
    covered_share: float
    colour: Colour | None
    psnr: float | None


def _compare(query: Pixels, reference: Pixels, backward: Matrix, crop: Box) -> _Seen:
    """Lay the query over the part of the reference that it shows, and look where and how they differ."""
    points = square_grid(crop, _SAMPLES)
    moved = map_points(backward, points)
    valid = ((moved >= 0) & (moved <= 1)).all(axis=1).reshape(_SAMPLES, _SAMPLES)
    left = sampled(query, moved, blur=_pixels_per_sample(query, moved))
    right = sampled(reference, points, blur=_pixels_per_sample(reference, points))
    correlation, textured = local_correlation(_luma(left), _luma(right), valid)
    same = textured & (correlation > _SAME)
    if same.sum() < 50:
        return _Seen((), 0.0, None, None)
    colour, corrected = _colour(left, right, same)
    off = np.abs(left - corrected).mean(axis=2)
    noise = float(np.median(off[same]))
    errors = (left - corrected)[same]
    psnr = float(10 * np.log10(255**2 / max(1e-3, float((errors**2).mean()))))
    different = valid & (off > max(12.0, 4 * noise)) & ~same
    covered = _boxes(different, crop, valid)
    return _Seen(covered, float(different.sum() / max(1, valid.sum())), colour, psnr)


def _colour(left: Floats, right: Floats, same: npt.NDArray[np.bool_]) -> tuple[Colour, Floats]:
    """Fit each channel's gain and bias where the pictures agree; return them and the reference so recoloured."""
    grey = _spread(left[same]) < 2.5 <= _spread(right[same])
    source = np.repeat(_luma(right)[..., None], 3, axis=2) if grey else right
    gains, biases = [], []
    for channel in range(3):
        x, y = source[..., channel][same], left[..., channel][same]
        gain = float(((x - x.mean()) * (y - y.mean())).sum() / max(1e-6, float(((x - x.mean()) ** 2).sum())))
        gains.append(gain)
        biases.append(float(y.mean() - gain * x.mean()))
    colour = Colour((gains[0], gains[1], gains[2]), (biases[0], biases[1], biases[2]), grey)
    return colour, (source * np.array(gains, np.float32) + np.array(biases, np.float32)).astype(np.float32)


def _spread(rows: npt.NDArray[np.float32]) -> float:
    return float((rows.max(axis=1) - rows.min(axis=1)).mean())


def _boxes(different: npt.NDArray[np.bool_], crop: Box, valid: npt.NDArray[np.bool_]) -> tuple[Box, ...]:
    """Return boxes, relative to the reference, around the larger patches of difference; the largest first."""
    cv2 = opencv()
    closed = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = [row for row in stats[1:].tolist() if row[4] >= _LEAST_COVER * max(1, valid.sum())]
    step = np.array([crop[2], crop[3]]) / _SAMPLES
    return tuple(
        (crop[0] + x * step[0], crop[1] + y * step[1], w * step[0], h * step[1])
        for x, y, w, h, _ in sorted(large, key=lambda row: -row[4])[:12]
    )


def _pixels_per_sample(picture: Pixels, points: npt.NDArray[np.float64]) -> float:
    grid = points.reshape(_SAMPLES, _SAMPLES, 2) * [picture.shape[1], picture.shape[0]]
    return float(np.median(np.linalg.norm(np.diff(grid, axis=1), axis=2)))


def _luma(pixels: Floats) -> Floats:
    luma: Floats = (pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)
    return luma


def _jacobian(
    backward: Matrix, centre: npt.NDArray[np.float64], reference: tuple[int, int], query: tuple[int, int]
) -> Matrix:
    """Return the derivative (2, 2) at a point, in pixels of the query for pixels of the reference."""
    step = 1e-4
    around = centre + step * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    moved = map_points(backward, around)
    relative = np.stack([moved[1] - moved[0], moved[2] - moved[0]], axis=1) / step
    jacobian: Matrix = np.diag(np.array(query, float)) @ relative @ np.diag(1 / np.array(reference, float))
    return jacobian


def _decomposed(jacobian: Matrix) -> tuple[float, tuple[float, float], float, bool]:
    """Return turn (degrees), scale across and down, shear (degrees), and whether it mirrors left to right first."""
    mirrored = bool(np.linalg.det(jacobian) < 0)
    upright = jacobian @ np.diag([-1.0, 1.0]) if mirrored else jacobian
    across, down = upright[:, 0], upright[:, 1]
    first, second = math.atan2(across[1], across[0]), math.atan2(-down[0], down[1])
    apart = math.atan2(math.sin(second - first), math.cos(second - first))
    turn = math.degrees(first + apart / 2)
    turn = (turn + 180) % 360 - 180
    return turn, (float(np.linalg.norm(across)), float(np.linalg.norm(down))), math.degrees(apart), mirrored


def _perspective(backward: Matrix, centre: npt.NDArray[np.float64]) -> float:
    """Return how far corners lie from the affine map that fits at the centre, over the query's diagonal."""
    around = _jacobian(backward, centre, (1, 1), (1, 1))
    base = map_points(backward, centre[None])[0]
    flat = base + (_FRAME - centre) @ around.T
    return float(np.linalg.norm(map_points(backward, _FRAME) - flat, axis=1).max() / math.sqrt(2))


def _quality_of(mean: float) -> int:
    """Invert the scaling of the standard luminance table, whose mean is 57.6 at quality 50."""
    scale = mean / 57.625 * 100
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return int(min(100, max(1, round(quality))))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


_SAID = {
    "mirrored": "mirrored",
    "turned": "turned by {degrees}° clockwise",
    "scaled": "scaled to {percent} %",
    "stretched": "stretched: {times} times as wide as it was high",
    "skewed": "skewed by {degrees}°",
    "perspective": "seen in perspective",
    "cut": "cut to {width} % × {height} % of the reference, from {left} % left and {top} % top",
    "placed": "placed on {width} % × {height} % of the query",
    "grey": "made grey",
    "light": "contrast × {contrast}, brightness {brightness}",
    "colours": "colours shifted",
    "covered": "{percent} % of the reference covered or erased (areas: {places})",
    "jpeg": "saved as JPEG of quality about {quality}",
    "stored": "nothing but how it is stored",
}


def _findings(found: Certificate) -> list[Finding]:
    said: list[Finding] = []
    if found.mirrored:
        said.append(("mirrored", {}))
    if abs(found.turn) >= 1:
        said.append(("turned", {"degrees": f"{found.turn:.1f}"}))
    across, down = found.scale
    if abs(math.log(across * down)) > 0.04:
        said.append(("scaled", {"percent": _percent(math.sqrt(across * down))}))
    if abs(math.log(across / down)) > 0.04:
        said.append(("stretched", {"times": f"{across / down:.2f}"}))
    if abs(found.shear) > 1.5:
        said.append(("skewed", {"degrees": f"{found.shear:.1f}"}))
    if found.perspective > 0.03:
        said.append(("perspective", {}))
    if min(found.crop[2:]) < 0.98:
        names = ("left", "top", "width", "height")
        said.append(("cut", {name: _percent(value) for name, value in zip(names, found.crop, strict=True)}))
    if min(found.placed[2:]) < 0.98:
        said.append(("placed", {"width": _percent(found.placed[2]), "height": _percent(found.placed[3])}))
    said += [] if found.colour is None else _colour_findings(found.colour)
    if found.covered:
        said.append(("covered", {"places": str(len(found.covered)), "percent": _percent(found.covered_share)}))
    if found.jpeg_quality is not None:
        said.append(("jpeg", {"quality": str(found.jpeg_quality)}))
    return said or [("stored", {})]


def _colour_findings(colour: Colour) -> list[Finding]:
    said: list[Finding] = [("grey", {})] if colour.grey else []
    gain, bias = float(np.mean(colour.gain)), float(np.mean(colour.bias))
    if abs(gain - 1) > 0.08 or abs(bias) > 8:
        said.append(("light", {"contrast": f"{gain:.2f}", "brightness": f"{bias:+.0f}"}))
    if not colour.grey and max(colour.gain) - min(colour.gain) > 0.1:
        said.append(("colours", {}))
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
