"""Pixels that do not belong to the thing: what becomes of them, and what is left of the picture."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.types import Box, FloatMatrix, Pixels, Region

__all__ = ["Fill", "cut_out", "masked_region", "outline"]

Fill: TypeAlias = Literal["mean", "blur"]

_MEAN = (124, 116, 104)  # of ImageNet: what says least to a network
_LEAST = 0.002  # of the picture; a smaller mask is none
_FEATHER = 0.008  # of the longer side
_ROOM = 0.02  # of the picture, kept around the mask


def masked_region(probability: FloatMatrix, label: str, *, threshold: float) -> Region:
    """Return the region that a mask covers: its box with a little room, its pixels, and how surely they belong.

    An empty mask gives the whole picture, with no label and confidence 0.
    """
    mask = probability >= threshold
    if mask.mean() < _LEAST:
        return Region((0.0, 0.0, 1.0, 1.0), None, 0.0)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    top, bottom = max(0.0, rows[0] / height - _ROOM), min(1.0, (rows[-1] + 1) / height + _ROOM)
    left, right = max(0.0, columns[0] / width - _ROOM), min(1.0, (columns[-1] + 1) / width + _ROOM)
    box: Box = (left, top, right - left, bottom - top)
    return Region(box, label, float(probability[mask].mean()), mask)


def outline(mask: npt.NDArray[np.bool_]) -> list[list[tuple[float, float]]]:
    """Return the edges of a mask as polygons of (x, y) in shares of the picture, the largest first, at most ten."""
    import cv2

    height, width = mask.shape
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    smooth = [cv2.approxPolyDP(each, 0.004 * max(height, width), closed=True)[:, 0] for each in found]
    largest = sorted((each for each in smooth if len(each) > 2), key=lambda each: -abs(cv2.contourArea(each)))[:10]
    return [[(round((x + 0.5) / width, 4), round((y + 0.5) / height, 4)) for x, y in each.tolist()] for each in largest]


def cut_out(pixels: Pixels, region: Region, *, fill: Fill = "mean") -> Pixels:
    """Return the part of pixels (h, w, 3) that a region covers; what its mask leaves out is filled, edges feathered."""
    rows, columns = pixels.shape[:2]
    x, y, width, height = region.box
    top, left = min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
    bottom, right = max(top + 1, round((y + height) * rows)), max(left + 1, round((x + width) * columns))
    cut = np.ascontiguousarray(pixels[top:bottom, left:right])
    if region.mask is None:
        return cut
    alpha = _feathered(region.mask, columns, rows)[top:bottom, left:right]
    return _filled(cut, np.ascontiguousarray(alpha), fill, max(rows, columns))


def _feathered(mask: object, columns: int, rows: int) -> FloatMatrix:
    """Return a mask as shares (rows, columns) whose edges rise slowly; blurred while it is small, which is fast."""
    import cv2

    hard = np.asarray(mask, np.float32)
    small = cv2.GaussianBlur(hard, (0, 0), max(0.5, _FEATHER * max(hard.shape)))
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _filled(pixels: Pixels, alpha: FloatMatrix, fill: Fill, side: int) -> Pixels:
    import cv2

    if fill == "blur":
        below = cv2.GaussianBlur(pixels, (0, 0), 0.05 * side)
    else:
        below = np.empty_like(pixels)
        below[:] = _MEAN
    return np.asarray(cv2.blendLinear(pixels, below, alpha, 1 - alpha), np.uint8)
