"""Edits that move points: scaling, cropping, padding, flips, turns, skew and perspective."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from sosie.alterations.record import Edit, Matrix, corners, mapped, scaling, shift
from sosie.types import Pixels

__all__ = ["CROPS", "FLIPS", "FRAMES", "SCALES", "WARPS", "colour_of", "resized"]

_LEAST = 32  # no scaling makes a side shorter than this, or than it was
_MOST = 12_000_000  # pixels that enlarging may reach


def colour_of(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a flat colour: black, white or any."""
    kind = rng.random()
    if kind < 0.35:
        return np.zeros(3, dtype=np.uint8)
    return np.full(3, 255, np.uint8) if kind < 0.7 else rng.integers(0, 256, 3, dtype=np.uint8)


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize, smoothly in both directions."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _scaled(pixels: Pixels, x: float, y: float) -> Edit:
    height, width = pixels.shape[:2]
    new_w = max(round(width * x), min(width, _LEAST))
    new_h = max(round(height * y), min(height, _LEAST))
    matrix = scaling(new_w / width, new_h / height)
    return Edit(resized(pixels, new_w, new_h), {"x": new_w / width, "y": new_h / height}, matrix)


def scale_down(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Shrink to 20 to 70 %."""
    factor = float(rng.uniform(0.2, 0.7))
    return _scaled(pixels, factor, factor)


def scale_up(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Enlarge to 130 to 250 %, but not beyond 12 megapixels."""
    room = (_MOST / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    factor = max(1.0, min(float(rng.uniform(1.3, 2.5)), room))
    return _scaled(pixels, factor, factor)


def aspect(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Squeeze one side to 50 to 75 %."""
    factor = float(rng.uniform(0.5, 0.75))
    return _scaled(pixels, factor, 1.0) if rng.random() < 0.5 else _scaled(pixels, 1.0, factor)


def _cropped(pixels: Pixels, rng: np.random.Generator, area: float) -> Edit:
    height, width = pixels.shape[:2]
    # a rectangle of that area whose shape differs from the picture's by up to a third
    stretch = float(np.exp(rng.uniform(-0.29, 0.29)))
    w = min(width, max(1, round(width * min(1.0, area**0.5 * stretch))))
    h = min(height, max(1, round(area * width * height / w)))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    params = {"x": x / width, "y": y / height, "width": w / width, "height": h / height}
    return Edit(pixels[y : y + h, x : x + w].copy(), params, shift(-x, -y))


def crop_50(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Keep a rectangle of half the area."""
    return _cropped(pixels, rng, 0.5)


def crop_25(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Keep a rectangle of a quarter of the area."""
    return _cropped(pixels, rng, 0.25)


def pad(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Add a flat margin of its own width on every side, 5 to 40 %."""
    height, width = pixels.shape[:2]
    left, right = (round(float(v) * width) for v in rng.uniform(0.05, 0.4, 2))
    top, bottom = (round(float(v) * height) for v in rng.uniform(0.05, 0.4, 2))
    colour = colour_of(rng)
    result = np.empty((height + top + bottom, width + left + right, 3), np.uint8)
    result[:] = colour
    result[top : top + height, left : left + width] = pixels
    params = {"left": left, "right": right, "top": top, "bottom": bottom, "colour": colour.tolist()}
    return Edit(result, params, shift(left, top))


def border(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Add a frame of one width, 2 to 12 % of the shorter side, sometimes double."""
    height, width = pixels.shape[:2]
    size = max(1, round(float(rng.uniform(0.02, 0.12)) * min(width, height)))
    colours = [colour_of(rng) for _ in range(1 + int(rng.integers(0, 2)))]
    result = np.empty((height + 2 * size, width + 2 * size, 3), np.uint8)
    for at, colour in enumerate(colours):
        inset = at * size // 2
        result[inset : result.shape[0] - inset, inset : result.shape[1] - inset] = colour
    result[size : size + height, size : size + width] = pixels
    return Edit(result, {"size": size, "colours": [c.tolist() for c in colours]}, shift(size, size))


def flip(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Mirror left and right."""
    matrix = np.diag([-1.0, 1.0, 1.0])
    matrix[0, 2] = pixels.shape[1]
    return Edit(np.ascontiguousarray(pixels[:, ::-1]), {"axis": "horizontal"}, matrix)


def flip_vertical(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Mirror top and bottom."""
    matrix = np.diag([1.0, -1.0, 1.0])
    matrix[1, 2] = pixels.shape[0]
    return Edit(np.ascontiguousarray(pixels[::-1]), {"axis": "vertical"}, matrix)


def quarter_turn(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Turn by 90, 180 or 270 degrees, anticlockwise."""
    turns = int(rng.integers(1, 4))
    height, width = pixels.shape[:2]
    matrix = np.eye(3)
    for _ in range(turns):
        matrix = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width], [0.0, 0.0, 1.0]]) @ matrix
        width, height = height, width
    return Edit(np.ascontiguousarray(np.rot90(pixels, turns)), {"turns": turns}, matrix)


def _warped(pixels: Pixels, matrix: Matrix, rng: np.random.Generator) -> tuple[Pixels, Matrix]:
    """Warp onto a canvas that just holds the whole result, and shift the matrix to fit."""
    import cv2

    ends = mapped(matrix, corners(pixels.shape[1], pixels.shape[0]))
    low = ends.min(axis=0)
    width, height = (max(1, round(float(v))) for v in ends.max(axis=0) - low)
    matrix = shift(-float(low[0]), -float(low[1])) @ matrix
    centred = shift(-0.5, -0.5) @ matrix @ shift(0.5, 0.5)  # OpenCV counts from the centres of pixels
    colour = tuple(int(v) for v in colour_of(rng))
    warped = cv2.warpPerspective(pixels, centred, (width, height), flags=cv2.INTER_LINEAR, borderValue=colour)
    return np.asarray(warped, dtype=np.uint8), matrix


def rotate(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Rotate by 3 to 25 degrees, on a canvas that holds it or cut to the old frame."""
    degrees = float(rng.uniform(3, 25)) * (1 if rng.random() < 0.5 else -1)
    inside = bool(rng.random() < 0.5)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    result, matrix = _warped(pixels, turn, rng)
    if inside:
        x = max(0, (result.shape[1] - pixels.shape[1]) // 2)
        y = max(0, (result.shape[0] - pixels.shape[0]) // 2)
        result = result[y : y + pixels.shape[0], x : x + pixels.shape[1]].copy()
        matrix = shift(-x, -y) @ matrix
    return Edit(result, {"degrees": degrees, "old_frame": inside}, matrix)


def skew(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Shear along x or y by 10 to 35 %."""
    amount = float(rng.uniform(0.1, 0.35)) * (1 if rng.random() < 0.5 else -1)
    matrix = np.eye(3)
    axis = int(rng.integers(0, 2))
    matrix[axis, 1 - axis] = amount
    result, matrix = _warped(pixels, matrix, rng)
    return Edit(result, {"amount": amount, "axis": "xy"[axis]}, matrix)


def perspective(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Move each corner inwards by up to 25 % of a side."""
    import cv2

    height, width = pixels.shape[:2]
    before = corners(width, height)
    inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    after = before + inward * rng.uniform(0.02, 0.25, (4, 2)) * [width, height]
    matrix = np.asarray(
        cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32)), dtype=np.float64
    )
    result, matrix = _warped(pixels, matrix, rng)
    return Edit(result, {"corners": after.tolist()}, matrix)


Editing = Callable[[Pixels, np.random.Generator], Edit]

SCALES: dict[str, Editing] = {"scale_down": scale_down, "scale_up": scale_up, "aspect": aspect}
CROPS: dict[str, Editing] = {"crop_50": crop_50, "crop_25": crop_25}
FRAMES: dict[str, Editing] = {"pad": pad, "border": border}
FLIPS: dict[str, Editing] = {"flip": flip, "flip_vertical": flip_vertical, "quarter_turn": quarter_turn}
WARPS: dict[str, Editing] = {"rotate": rotate, "skew": skew, "perspective": perspective}
