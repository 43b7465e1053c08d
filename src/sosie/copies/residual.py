"""Whether two decoded pictures are the same picture: what differs once one is laid over the other, cell by cell.

Another quality, size or format changes every place a little; an edit, another filling of a form, another photograph of
the same thing change some places much, or move them. So the worst cells decide, not the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.types import Picture, Pixels
from sosie.verify.opencv import opencv

__all__ = ["SIDE", "VERSION", "Residual", "analyse_pixels", "residual", "same_shape"]

VERSION = "residual-2"
SIDE = 1024  # pixels at most of the longer side
_CELLS = 40  # along the longer side
_TEXTURE = 6.0  # grey levels of deviation from which a cell has structure …
_STRUCTURE = 12.0  # … and from which it has so much that compression does not undo it

Floats = npt.NDArray[np.float32]


def analyse_pixels(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a picture's pixels, at most 1,024 a side; runs in the decode workers."""
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return {"pixels": np.asarray(image)}


@dataclass(frozen=True, slots=True)
class Residual:
    """What differs between two pictures at one size, in grey levels.

    ``mean`` over all pixels; ``worst`` is the 95th percentile and ``peak`` the maximum over cells of the mean
    difference, smoothed; ``spot`` is the largest smoothed difference of any place, which a changed digit moves and
    compression does not; ``torn`` is the share of cells with structure whose correlation is under 0.75, and
    ``broken`` the number of those with strong structure in which it is another one.
    """

    mean: float
    worst: float
    peak: float
    spot: float
    torn: float
    broken: int

    @property
    def same_picture(self) -> bool:
        """Whether one is the other in another format, quality or size; limits in docs/explanation/verdicts.md."""
        fine = self.mean <= 18 and self.worst <= 9 and self.peak <= 40 and self.spot <= 28
        return fine and self.torn <= 0.1 and not self.broken

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, floats rounded."""
        return {key: round(value, 3) for key, value in asdict(self).items()}


def same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Tell whether two sizes (width, height) have one aspect ratio, up to the rounding of the smaller one."""
    large, small = sorted((first, second), reverse=True)
    return abs(large[0] * small[1] - large[1] * small[0]) <= max(large)


def residual(first: Pixels, second: Pixels) -> Residual:
    """Lay two pictures of one shape over each other as they are, and measure what differs."""
    cv2 = opencv()
    height, width = (min(sides) for sides in zip(first.shape[:2], second.shape[:2], strict=True))
    left, right = (
        cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) for one in (first, second)
    )
    side = max(8, round(max(width, height) / _CELLS))
    difference = np.abs(_cells(cv2.GaussianBlur(left - right, (0, 0), 1.5), side))
    spots = np.abs(cv2.GaussianBlur((left - right).mean(axis=2), (0, 0), 2.0))
    grey = [_cells(cv2.GaussianBlur(one.mean(axis=2), (0, 0), 1.0)[..., None], side)[..., 0] for one in (left, right)]
    correlation, deviation = _correlation(grey[0], grey[1])
    means = difference.mean(axis=(2, 3))
    structured = deviation > _TEXTURE
    broken = (deviation > _STRUCTURE) & (correlation < 0.4) & (means > 8)
    return Residual(
        mean=float(np.abs(left - right).mean()),
        worst=float(np.percentile(means, 95)) if means.size else 255.0,
        peak=float(difference.mean(axis=2).max()) if means.size else 255.0,
        spot=float(spots.max()),
        torn=float((correlation[structured] < 0.75).mean()) if structured.any() else 0.0,
        broken=int(broken.sum()),
    )


def _cells(values: Floats, side: int) -> Floats:
    """Return (rows, columns, side², channels) of a picture (h, w, channels), what is left over cut off."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    cut = values[: rows * side, : columns * side].reshape(rows, side, columns, side, -1)
    return cut.transpose(0, 2, 1, 3, 4).reshape(rows, columns, side * side, -1)


def _correlation(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return the correlation of each cell, and the larger of the two deviations."""
    a, b = left - left.mean(axis=-1, keepdims=True), right - right.mean(axis=-1, keepdims=True)
    var_a, var_b = (a * a).mean(axis=-1), (b * b).mean(axis=-1)
    correlation: Floats = (a * b).mean(axis=-1) / np.sqrt((var_a + 4) * (var_b + 4))
    return correlation, np.sqrt(np.maximum(var_a, var_b))
