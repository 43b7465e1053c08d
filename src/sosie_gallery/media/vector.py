"""Crisp media: flat areas, and sprites of few pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from sosie.types import Pixels
from sosie_gallery.canvas import RGB, Points, Rng, Scene, Shape, mix, window
from sosie_gallery.media.common import laid_shapes, moved, pairs, sky_wash, span_of, to_image

__all__ = ["flat", "pixel"]


def flat(scene: Scene, rng: Rng) -> Image.Image:
    """Flat areas with one crisp shadow each, under a sky of rings."""
    image = to_image(sky_wash(scene, glow=0))
    reach = scene.height * float(rng.uniform(0.2, 0.26))
    for i in range(4, 0, -1):
        r = reach * i
        disc = Image.new("L", image.size)
        x, y = scene.sun
        ImageDraw.Draw(disc).ellipse((x - r, y - r, x + r, y + r), fill=26)
        image.paste(scene.palette["sky_low"], (0, 0), disc)
    for shape, box, cover in laid_shapes(scene, over=16):
        colour = scene.palette[shape.role]
        image.paste(colour, box, cover)
        if shape.bulge > 0.25 and span_of(shape) > 9 and shape.width <= 0:
            step = int(min(14, max(2, 0.13 * span_of(shape))))
            shade = ImageChops.subtract(cover, moved(cover, -step, -step))
            image.paste(mix(colour, scene.palette["ink"], 0.24), box, shade)
    return image


def pixel(scene: Scene, rng: Rng) -> Image.Image:
    """A sprite of few colours on a coarse grid, its sky dithered, its subject outlined."""
    cell = int(rng.choice([5, 6, 7]))
    w, h = -(-scene.width // cell), -(-scene.height // cell)
    small = Image.fromarray(_dithered_sky(scene, w, h))
    for shape in scene.shapes:
        if window(shape, scene.width, scene.height) is not None:
            _plot(small, shape, cell, scene.palette)
    return small.resize((w * cell, h * cell), Image.Resampling.NEAREST).crop((0, 0, scene.width, scene.height))


def _plot(small: Image.Image, shape: Shape, cell: int, palette: Mapping[str, RGB]) -> None:
    colour, path = palette[shape.role], pairs(shape.points / cell)
    if shape.alpha < 0.9:  # thinned out, as a sprite does it: a share of the colour, no outline
        cover = Image.new("L", small.size)
        pen = ImageDraw.Draw(cover)
        if shape.width > 0:
            pen.line(path, fill=round(200 * shape.alpha), width=max(1, round(shape.width / cell)))
        else:
            pen.polygon(path, fill=round(255 * shape.alpha))
        small.paste(colour, (0, 0), cover)
        return
    draw = ImageDraw.Draw(small)
    if shape.width > 0:
        draw.line(path, fill=colour, width=max(1, round(shape.width / cell)))
        return
    outlined = shape.layer == "subject" and shape.line and span_of(shape) >= 3.5 * cell
    draw.polygon(path, fill=colour, outline=mix(colour, palette["ink"], 0.6) if outlined else None)
    if shape.bulge > 0.5 and span_of(shape) > 9 * cell:
        _sprite_shade(small, shape.points / cell, colour, palette["ink"])


def _sprite_shade(small: Image.Image, points: Points, colour: RGB, dark: RGB) -> None:
    cover = Image.new("1", small.size)
    ImageDraw.Draw(cover).polygon(pairs(points), fill=1)
    inner = Image.new("1", small.size)
    ImageDraw.Draw(inner).polygon(pairs(points - (2, 2)), fill=1)
    outer = Image.new("1", small.size)
    ImageDraw.Draw(outer).polygon(pairs(points - (1, 1)), fill=1)
    shade = ImageChops.subtract(ImageChops.logical_and(cover, outer).convert("L"), inner.convert("L"))
    small.paste(mix(colour, dark, 0.28), (0, 0), shade)


def _dithered_sky(scene: Scene, width: int, height: int) -> Pixels:
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16
    threshold = np.tile(bayer, (height // 4 + 1, width // 4 + 1))[:height, :width]
    level = np.linspace(0, 5.2, height)[:, None] + threshold - 0.5
    step = np.clip(np.round(level), 0, 5)[..., None] / 5
    top, low = np.array(scene.palette["sky_top"]), np.array(scene.palette["sky_low"])
    sky: Pixels = np.round(top + (low - top) * step).astype(np.uint8)
    return sky
