"""Media with depth: clay in soft light, sheets of cut paper."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from sosie_gallery.canvas import Floats, Rng, Scene, grain
from sosie_gallery.media.common import laid_shapes, moved, sky_wash, slices, span_of, to_floats, to_image, unit_colour

__all__ = ["clay", "papercut"]


def clay(scene: Scene, rng: Rng) -> Image.Image:
    """Every part modelled in the round, softly lit, with soft shadows under it."""
    canvas = sky_wash(scene)
    for shape, box, cover in laid_shapes(scene, pad=12):
        rows, columns = slices(box)
        view, alpha = canvas[rows, columns], to_floats(cover)[..., None]
        span = span_of(shape)
        if shape.bulge > 0.1 and shape.alpha > 0.5 and span > 3:
            soft = cover.filter(ImageFilter.GaussianBlur(min(6.0, 1 + span * 0.06)))
            drop = int(min(6, 1 + span * 0.05))
            view *= 1 - 0.34 * to_floats(moved(soft, drop, drop + 1))[..., None] * (1 - alpha)
        lit = unit_colour(scene.palette[shape.role]) * _lighting(cover, span, shape.bulge)
        view += (lit - view) * alpha
    canvas *= 1 - 0.16 * _vignette(scene)[..., None]
    return to_image(canvas + 0.008 * grain(rng, scene.width, scene.height)[..., None])


def _lighting(cover: Image.Image, span: float, bulge: float) -> Floats:
    """Return the light on a shape blown up like a cushion, (h, w, 1)."""
    if bulge <= 0.05 or span < 3:
        return np.ones((1, 1, 1), np.float32)
    radius = min(34.0, max(1.2, span * 0.26))
    height = to_floats(cover.filter(ImageFilter.GaussianBlur(radius)))
    dy, dx = np.gradient(height * radius * 2.6 * bulge)
    up = 1 / np.sqrt(1 + dx * dx + dy * dy)
    facing = np.clip((0.54 - 0.5 * dx - 0.62 * dy) * up, 0, 1)
    shine = facing**22
    light: Floats = (0.44 + 0.94 * facing + 0.3 * bulge * shine)[..., None].astype(np.float32)
    return light


def _vignette(scene: Scene) -> Floats:
    y = np.linspace(-1, 1, scene.height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, scene.width, dtype=np.float32)[None, :]
    return np.clip((x * x + y * y) / 2, 0, 1) ** 1.5


def papercut(scene: Scene, rng: Rng) -> Image.Image:
    """Sheets of coloured paper laid over each other, each with its shadow."""
    canvas = sky_wash(scene, glow=0.15)
    tooth = 0.045 * grain(rng, scene.width, scene.height)[..., None]
    for shape, box, cover in laid_shapes(scene, pad=10):
        rows, columns = slices(box)
        view, alpha = canvas[rows, columns], to_floats(cover)[..., None]
        span = span_of(shape)
        if shape.alpha > 0.5 and span > 2.5:
            lift = 2 if span < 18 else 4
            soft = cover.filter(ImageFilter.GaussianBlur(lift * 0.9))
            view *= 1 - 0.42 * to_floats(moved(soft, lift - 1, lift))[..., None]
        rim = to_floats(ImageChops.subtract(cover, moved(cover, 1, 1)))[..., None] if span > 6 else 0.0
        sheet = unit_colour(scene.palette[shape.role]) * (1 + tooth[rows, columns])
        view += (np.clip(sheet + 0.13 * rim, 0, 1) - view) * alpha
    return to_image(canvas)
