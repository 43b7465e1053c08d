"""What the media share: coverage, colours as floats, the sky, an unsure hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from PIL import Image

from sosie_gallery.canvas import RGB, Floats, Points, Rng, Scene, Shape, mask, window

__all__ = [
    "Box",
    "laid_shapes",
    "luma",
    "moved",
    "pairs",
    "sky_wash",
    "slices",
    "span_of",
    "to_floats",
    "to_image",
    "unit_colour",
    "wander",
]

Box = tuple[int, int, int, int]


def laid_shapes(scene: Scene, pad: float = 0.0, over: int = 0) -> Iterator[tuple[Shape, Box, Image.Image]]:
    """Yield each visible shape with its window and its coverage there, opacity included.

    The window has a margin of ``pad`` pixels round the shape; it may reach ``over`` pixels out of the picture.
    """
    for shape in scene.shapes:
        box = window(shape, scene.width, scene.height, pad=pad, over=over)
        if box is None:
            continue
        cover = mask(shape, box)
        yield shape, box, cover.point(lambda v, a=shape.alpha: v * a) if shape.alpha < 1 else cover


def slices(box: Box) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def to_floats(image: Image.Image) -> Floats:
    return np.asarray(image, np.float32) / 255


def unit_colour(colour: RGB) -> Floats:
    return np.array(colour, np.float32) / 255


def to_image(canvas: Floats) -> Image.Image:
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def sky_wash(scene: Scene, glow: float = 0.35) -> Floats:
    """Return the sky from top to horizon with a glow round the light, (height, width, 3)."""
    top, low, sun = (unit_colour(scene.palette[role]) for role in ("sky_top", "sky_low", "sun"))
    down = np.clip(np.linspace(0, 1.35, scene.height, dtype=np.float32), 0, 1)[:, None, None]
    canvas = np.repeat(top + (low - top) * down, scene.width, axis=1)
    if glow:
        y, x = np.ogrid[: scene.height, : scene.width]
        far = ((x - scene.sun[0]) ** 2 + (y - scene.sun[1]) ** 2) / (0.3 * scene.height) ** 2
        halo = (glow * np.exp(-far)).astype(np.float32)[..., None]
        canvas = canvas + (sun - canvas) * halo
    return np.ascontiguousarray(canvas, np.float32)


def moved(cover: Image.Image, dx: int, dy: int) -> Image.Image:
    """Return the coverage shifted, with nothing shifted in."""
    out = Image.new("L", cover.size)
    out.paste(cover, (dx, dy))
    return out


def span_of(shape: Shape) -> float:
    """Return the smaller side of a shape in pixels."""
    extent = np.ptp(shape.points, axis=0)
    return float(shape.width or extent.min())


def luma(colour: RGB) -> float:
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def wander(path: Points, rng: Rng, amount: float) -> Points:
    """Return the path as an unsure hand would follow it."""
    if len(path) < 6:
        path = np.concatenate([*(np.linspace(a, b, 6, endpoint=False) for a, b in pairwise(path)), path[-1:]])
    knots = rng.normal(0, amount, (max(3, len(path) // 5), 2))
    at = np.linspace(0, len(knots) - 1, len(path))
    shake = np.stack([np.interp(at, np.arange(len(knots)), knots[:, i]) for i in range(2)], 1)
    wandered: Points = path + shake
    return wandered


def pairs(points: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]
