"""From a picture of any shape to a network's input, and from places in that input back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

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

    def cut(self, maps: FloatMatrix, shape: tuple[int, int]) -> FloatMatrix:
        """Return maps (c, h, w) over the whole input as maps over the picture alone, (c, *shape)."""
        import cv2

        across, down = maps.shape[2] / self.tensor.shape[3], maps.shape[1] / self.tensor.shape[2]
        left, top = round(self.left * across), round(self.top * down)
        right = max(left + 1, round((self.left + self.width) * across))
        bottom = max(top + 1, round((self.top + self.height) * down))
        part = maps[:, top:bottom, left:right]
        size = (shape[1], shape[0])
        resized = [cv2.resize(np.ascontiguousarray(one), size, interpolation=cv2.INTER_LINEAR) for one in part]
        return np.stack(resized).astype(np.float32)


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
    if (height, width) != (how.height, how.width):
        canvas = np.full((how.height, how.width, 3), how.pad, np.uint8)
        canvas[top : top + height, left : left + width] = small
        small = canvas
    if how.channels == "BGR":
        small = small[..., ::-1]
    tensor = small.transpose(2, 0, 1)[None].astype(np.float32)
    if how.scale != 1.0:
        tensor /= how.scale
    if any(how.mean) or how.std != (1.0, 1.0, 1.0):
        tensor -= np.asarray(how.mean, np.float32).reshape(3, 1, 1)
        tensor /= np.asarray(how.std, np.float32).reshape(3, 1, 1)
    return Fitted(np.ascontiguousarray(tensor), left, top, width, height)
