"""From a picture of any shape to a network's input, and from places in that input back to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sosie.regions.description import Input
from sosie.types import FloatMatrix, Pixels

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """An input tensor (1, 3, height, width), and where in it the picture lies: left, top, width, height in pixels."""

    tensor: FloatMatrix
    left: int
    top: int
    width: int
    height: int

    def back(self, boxes: FloatMatrix) -> FloatMatrix:
        """Return boxes (n, 4) of x1, y1, x2, y2 in input pixels as shares of the picture, cut to it."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        scale = np.array([self.width, self.height, self.width, self.height], np.float32)
        return np.asarray(np.clip((boxes - shift) / scale, 0, 1), np.float32)

    def cut(self, over: FloatMatrix, shape: tuple[int, int]) -> FloatMatrix:
        """Return a map (h, w) over the whole input as one over the picture alone, of ``shape``."""
        import cv2

        across, down = over.shape[1] / self.tensor.shape[3], over.shape[0] / self.tensor.shape[2]
        left, top = round(self.left * across), round(self.top * down)
        right = max(left + 1, round((self.left + self.width) * across))
        bottom = max(top + 1, round((self.top + self.height) * down))
        part = np.ascontiguousarray(over[top:bottom, left:right])
        return np.asarray(cv2.resize(part, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def fit(pixels: Pixels, how: Input) -> Fitted:
    """Resize and pad pixels (h, w, 3) as a network wants them."""
    import cv2

    rows, columns = pixels.shape[:2]
    if how.fit == "squash":
        width, height, left, top = how.width, how.height, 0, 0
    else:
        ratio = min(how.width / columns, how.height / rows)
        width = min(how.width, max(1, round(columns * ratio)))
        height = min(how.height, max(1, round(rows * ratio)))
        left, top = ((how.width - width) // 2, (how.height - height) // 2) if how.fit == "centre" else (0, 0)
    # what networks were trained and exported with; INTER_AREA would be smoother, and measures no better
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    tensor = np.empty((1, 3, how.height, how.width), np.float32)
    planes = cv2.split(small)[:: -1 if how.channels == "BGR" else 1]
    for channel, plane, values in zip(tensor[0], planes, _values(how), strict=True):
        if plane.shape != channel.shape:
            channel[:] = values[how.pad]
        cv2.LUT(plane, values, dst=channel[top : top + height, left : left + width])
    return Fitted(tensor, left, top, width, height)


@cache
def _values(how: Input) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """Return ``(value / scale - mean) / std`` of all 256 values, by channel: looking them up is three times as fast."""
    values = np.arange(256, dtype=np.float32)
    first, second, third = (
        values * np.float32(1 / (how.scale * std)) - np.float32(mean / std)
        for mean, std in zip(how.mean, how.std, strict=True)
    )
    return first, second, third
