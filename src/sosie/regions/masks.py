"""Pixels that do not belong to the thing: what becomes of them, and what is left of the picture."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from sosie.types import Box, FloatMatrix, Pixels, Region

__all__ = ["Fill", "cut_out", "masked_region"]

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


def cut_out(pixels: Pixels, region: Region, *, fill: Fill = "mean") -> Pixels:
    """Return the part of pixels (h, w, 3) that a region covers; what its mask leaves out is filled, edges feathered."""
    rows, columns = pixels.shape[:2]
    x, y, width, height = region.box
    top, left = min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
    bottom, right = max(top + 1, round((y + height) * rows)), max(left + 1, round((x + width) * columns))
    if region.mask is not None:
        pixels = _filled(pixels, region.mask, fill)
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _filled(pixels: Pixels, mask: object, fill: Fill) -> Pixels:
    import cv2

    rows, columns = pixels.shape[:2]
    alpha = cv2.resize(np.asarray(mask, np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    sigma = max(0.5, _FEATHER * max(rows, columns))
    alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)[..., None]
    if fill == "blur":
        below = cv2.GaussianBlur(pixels, (0, 0), 0.05 * max(rows, columns)).astype(np.float32)
    else:
        below = np.broadcast_to(np.asarray(_MEAN, np.float32), pixels.shape)
    return np.asarray(np.rint(alpha * pixels + (1 - alpha) * below), np.uint8)
