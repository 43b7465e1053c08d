"""Drawing primitives: shapes as points, their masks, and noise. numpy and Pillow only.

Everything drawn is a ``Shape``: a polygon to fill or a path to stroke, with a *role* (``main``, ``leaf``, ``glass`` …)
in place of a colour. Subjects and backdrops make shapes; media decide what a role looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = [
    "RGB",
    "Floats",
    "Points",
    "Rng",
    "Scene",
    "Shape",
    "arc",
    "blob",
    "bounds",
    "ellipse",
    "fill",
    "grain",
    "mask",
    "mix",
    "noise",
    "place",
    "polygon",
    "rect",
    "ring",
    "smooth",
    "stroke",
    "taper",
    "window",
]

Points: TypeAlias = npt.NDArray[np.float64]  # (n, 2), x to the right, y down
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
RGB: TypeAlias = tuple[int, int, int]
Rng: TypeAlias = np.random.Generator
Layer: TypeAlias = Literal["back", "subject", "front"]

OVERSAMPLING = 3  # masks are drawn this much larger and averaged down: anti-aliasing
_NOISE_SIDE = 640


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon (``width`` 0) or a stroked path, coloured by its role.

    ``bulge`` says how round it is where a medium models form; ``alpha`` how opaque; ``line`` whether a drawing outlines
    it. Points are in the subject's own units (1 = its height) until ``place`` turns them into pixels.
    """

    points: Points
    role: str
    width: float = 0.0
    bulge: float = 1.0
    alpha: float = 1.0
    line: bool = True
    layer: Layer = "subject"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a medium renders: a size, a sky and shapes from back to front, with the colour of every role."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    palette: dict[str, RGB]
    sun: tuple[float, float]  # centre of the light in pixels: skies and shadows turn round it


# ------------------------------------------------------------------------------------------------ shapes


def fill(points: Points, role: str, *, bulge: float = 1.0, alpha: float = 1.0, line: bool = True) -> Shape:
    """Return a filled polygon."""
    return Shape(points, role, bulge=bulge, alpha=alpha, line=line)


def stroke(points: Points | Sequence[tuple[float, float]], role: str, width: float, *, alpha: float = 1.0) -> Shape:
    """Return a stroked path."""
    return Shape(np.asarray(points, np.float64), role, width=width, alpha=alpha)


def polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, np.float64)


def rect(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """Return a rectangle with rounded corners."""
    if radius <= 0:
        return polygon((left, top), (right, top), (right, bottom), (left, bottom))
    r = min(radius, (right - left) / 2, (bottom - top) / 2)
    corners = (
        (right - r, top + r, -90),
        (right - r, bottom - r, 0),
        (left + r, bottom - r, 90),
        (left + r, top + r, 180),
    )
    return np.concatenate([arc(x, y, r, r, start, start + 90, 6) for x, y, start in corners])


def arc(  # noqa: PLR0917 - x, y, radii, start, end: as every drawing library has it
    x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 24, turn: float = 0.0
) -> Points:
    """Return points along an ellipse from ``start`` to ``end`` degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, end, steps))
    along = np.stack([rx * np.cos(angle), ry * np.sin(angle)], 1)
    return along @ _rotation(turn) + (x, y)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Points:
    """Return an ellipse, ``turn`` degrees clockwise."""
    return arc(x, y, rx, rx if ry is None else ry, 0, 352.5, 48, turn)


def ring(x: float, y: float, radius: float, role: str, width: float) -> Shape:
    """Return a stroked circle."""
    return stroke(arc(x, y, radius, radius, 0, 360, 49), role, width)


def smooth(corners: Sequence[tuple[float, float]], *, closed: bool = True, steps: int = 8) -> Points:
    """Return a Catmull-Rom curve through ``corners``."""
    knots = np.asarray(corners, np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, knots[-1:]])


def blob(  # noqa: PLR0917 - as ellipse
    rng: Rng, x: float, y: float, rx: float, ry: float | None = None, rough: float = 0.1
) -> Points:
    """Return an uneven ellipse, such as a cloud or a crown of leaves."""
    angle = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(0, 0.6)
    reach = 1 + rng.uniform(-rough, rough, 9)
    ry = rx if ry is None else ry
    knots = np.stack([x + rx * reach * np.cos(angle), y + ry * reach * np.sin(angle)], 1)
    return smooth([(float(px), float(py)) for px, py in knots], steps=6)


def taper(path: Points, start: float, end: float) -> Points:
    """Return the outline of a path whose width goes from ``start`` to ``end``, rounded there: a tail, a stem."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.hypot(along[:, 0], along[:, 1])[:, None] + 1e-9)
    half = np.linspace(start, end, len(path))[:, None] / 2
    tip = path[-1:] + (path[-1:] - path[-2:-1]) / np.hypot(*(path[-1] - path[-2])) * end * 0.45
    return np.concatenate([path + normal * half, tip, (path - normal * half)[::-1]])


def place(
    shapes: Iterable[Shape], *, x: float, y: float, scale: float, flip: bool = False, turn: float = 0.0
) -> list[Shape]:
    """Return the shapes in pixels: their origin at (x, y), one unit ``scale`` pixels long."""
    matrix = _rotation(turn) * scale
    if flip:
        matrix = np.diag([-1.0, 1.0]) @ matrix
    return [replace(s, points=s.points @ matrix + (x, y), width=s.width * scale) for s in shapes]


def bounds(shapes: Iterable[Shape]) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of what the shapes cover; pale ones (smoke, beams) do not count."""
    solid = [s for s in shapes if s.alpha > 0.6]
    low = np.min([s.points.min(0) - s.width / 2 for s in solid], axis=0)
    high = np.max([s.points.max(0) + s.width / 2 for s in solid], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _rotation(degrees: float) -> Points:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s], [-s, c]])


# ------------------------------------------------------------------------------------------------ rasters


def window(
    shape: Shape, width: int, height: int, *, pad: float = 0.0, over: int = 0
) -> tuple[int, int, int, int] | None:
    """Return the whole-pixel box of a shape with a margin ``pad``; None where it lies outside.

    It is cut to the picture, or to a frame that reaches ``over`` pixels beyond it.
    """
    low = np.floor(shape.points.min(0) - shape.width / 2 - pad - 1)
    high = np.ceil(shape.points.max(0) + shape.width / 2 + pad + 1)
    left, top = max(-over, int(low[0])), max(-over, int(low[1]))
    right, bottom = min(width + over, int(high[0])), min(height + over, int(high[1]))
    return (left, top, right, bottom) if right - left > 0 and bottom - top > 0 else None


def mask(shape: Shape, box: tuple[int, int, int, int]) -> Image.Image:
    """Return the coverage of a shape in ``box`` as an anti-aliased 8-bit picture."""
    n = OVERSAMPLING
    left, top, right, bottom = box
    image = Image.new("L", ((right - left) * n, (bottom - top) * n))
    draw = ImageDraw.Draw(image)
    points = [(float(x), float(y)) for x, y in (shape.points - (left, top)) * n]
    if shape.width <= 0:
        draw.polygon(points, fill=255)
    else:
        draw_path(draw, points, shape.width * n, 255)
    return image.reduce(n)


def draw_path(
    draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], width: float, colour: int | RGB
) -> None:
    """Stroke a path with round joints and ends."""
    draw.line(points, fill=colour, width=max(1, round(width)), joint="curve")
    radius = width / 2
    if radius > 1:
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return the colour ``share`` of the way from ``a`` to ``b``."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return (red, green, blue)


def noise(rng: Rng, width: int, height: int, cell: int) -> Floats:
    """Return smooth noise in -1..1 whose bumps are about ``cell`` pixels, at a place that ``rng`` chooses."""
    return _cut(_noise_field(cell), rng, width, height)


def grain(rng: Rng, width: int, height: int) -> Floats:
    """Return the tooth of paper, in about -1..1: fine grain over soft unevenness."""
    return _cut(_grain_field(), rng, width, height)


def _cut(field: Floats, rng: Rng, width: int, height: int) -> Floats:
    top = int(rng.integers(0, _NOISE_SIDE - height + 1))
    left = int(rng.integers(0, _NOISE_SIDE - width + 1))
    part: Floats = field[top : top + height, left : left + width]
    return part


@cache
def _noise_field(cell: int) -> Floats:
    # One field a cell size, the same in every process: which part of it a picture sees is the picture's own choice.
    side = _NOISE_SIDE // cell + 4
    rng = np.random.default_rng(1000 + cell)
    coarse = rng.uniform(-1, 1, (side, side)).astype(np.float32)
    finer = rng.uniform(-1, 1, (2 * side, 2 * side)).astype(np.float32)
    field = _enlarged(coarse) + 0.5 * _enlarged(finer)
    limited: Floats = np.clip(field / 1.1, -1, 1)
    return limited


@cache
def _grain_field() -> Floats:
    rng = np.random.default_rng(77)
    fine = rng.normal(0, 1, (_NOISE_SIDE, _NOISE_SIDE)).astype(np.float32)
    soft = _enlarged(rng.normal(0, 1, (_NOISE_SIDE // 2, _NOISE_SIDE // 2)).astype(np.float32))
    wide = _enlarged(rng.normal(0, 1, (_NOISE_SIDE // 5, _NOISE_SIDE // 5)).astype(np.float32))
    limited: Floats = np.clip((0.35 * fine + 0.5 * soft + 0.45 * wide) / 1.6, -1, 1)
    return limited


def _enlarged(field: Floats) -> Floats:
    image = Image.fromarray(field).resize((_NOISE_SIDE, _NOISE_SIDE), Image.Resampling.BICUBIC)
    values: Floats = np.asarray(image, np.float32)
    return values
