"""Drawn media: pen and ink, coloured chalk."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from sosie_gallery.canvas import (
    OVERSAMPLING,
    RGB,
    Floats,
    Points,
    Rng,
    Scene,
    Shape,
    draw_path,
    grain,
    mask,
    mix,
    noise,
    window,
)
from sosie_gallery.media.common import (
    laid_shapes,
    luma,
    moved,
    pairs,
    slices,
    span_of,
    to_floats,
    to_image,
    unit_colour,
    wander,
)

__all__ = ["chalk", "ink"]


def ink(scene: Scene, rng: Rng) -> Image.Image:
    """Pen and ink on warm paper: a living outline, hatching for tone, one tint for the light."""
    n, w, h = OVERSAMPLING, scene.width, scene.height
    sheet = Image.new("L", (w * n, h * n), 255)
    draw = ImageDraw.Draw(sheet)
    night = luma(scene.palette["sky_top"]) < 0.25
    if night:
        sheet.paste(_hatching(1, sheet.size))
    for shape in scene.shapes:
        _pen(scene, shape, sheet, draw, rng)
    lines = to_floats(sheet.reduce(n))
    tooth = grain(rng, w, h)
    paper = np.array((0.972, 0.953, 0.91), np.float32) * (1 + 0.018 * tooth[..., None])
    tinted = paper * (1 - _tint(scene)[..., None] * (1 - unit_colour(scene.palette["main"])))
    pen = unit_colour(mix(scene.palette["ink"], (25, 22, 30), 0.5))
    return to_image(pen + (tinted - pen) * np.clip(lines + 0.05 * tooth, 0, 1)[..., None])


def _pen(scene: Scene, shape: Shape, sheet: Image.Image, draw: ImageDraw.ImageDraw, rng: Rng) -> None:
    n = OVERSAMPLING
    path = shape.points * n
    weight = 1.0 if shape.layer != "subject" else 1.55
    if shape.width > 0:
        if shape.width > 3.2:  # a tube: black with a light core unless it is dark
            draw_path(draw, pairs(wander(path, rng, 1.2)), (shape.width + 1.6) * n, 20)
            if luma(scene.palette[shape.role]) > 0.3:
                draw_path(draw, pairs(path), max(1.0, (shape.width - 1.4)) * n, 250)
        elif shape.alpha > 0.3:
            draw_path(draw, pairs(wander(path, rng, 1.0)), max(1.0, shape.width * 0.8) * n, 40)
        return
    if shape.alpha > 0.5:
        tone = luma(scene.palette[shape.role])
        level = 0 if tone > 0.62 else 1 if tone > 0.42 else 2 if tone > 0.2 else 3
        if shape.layer != "subject":
            level = min(level, 1 if shape.role in ("water", "shade", "wall", "floor", "ground", "near") else 2)
        _hatched(sheet, path, level)
    if shape.line or shape.bulge > 0:
        _outline(draw, wander(np.vstack([path, path[:1]]), rng, 1.3 * n / 3), weight * n, rng)


def _hatched(sheet: Image.Image, path: Points, level: int) -> None:
    low, high = np.floor(path.min(0)).astype(int), np.ceil(path.max(0)).astype(int) + 1
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(sheet.width, int(high[0])), min(sheet.height, int(high[1]))
    if right <= left or bottom <= top:
        return
    cover = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(cover).polygon(pairs(path - (left, top)), fill=255)
    sheet.paste(_hatching(level, sheet.size).crop((left, top, right, bottom)), (left, top), cover)


@cache
def _hatching(level: int, size: tuple[int, int]) -> Image.Image:
    """Return a sheet of hatching: none, one way, two ways, nearly black."""
    sheet = Image.new("L", size, 252)
    draw = ImageDraw.Draw(sheet)
    if level == 3:
        draw.rectangle((0, 0, *size), fill=38)
        return sheet
    rng = np.random.default_rng(level)
    width, height = size
    for direction in range(level):
        for start in np.arange(-height, width + height, 15 if level == 1 else 13):
            lean = height if direction == 0 else -height
            shake = rng.uniform(-4, 4, 2)
            draw.line((start + shake[0], 0, start + lean + shake[1], height), fill=70, width=3)
    return sheet


def _outline(draw: ImageDraw.ImageDraw, path: Points, weight: float, rng: Rng) -> None:
    """Draw a line whose pressure swells and fades."""
    phase = rng.uniform(0, 6.3)
    pressure = 0.95 + 0.4 * np.sin(np.linspace(0, 9, len(path)) + phase)
    corners = pairs(path)
    step = 3
    for i in range(0, len(corners) - 1, step):
        draw.line(corners[i : i + step + 1], fill=22, width=max(2, round(weight * float(pressure[i]))), joint="curve")


def _tint(scene: Scene) -> Floats:
    """Return where the pen drawing got a touch of colour: the subject's main parts."""
    tint = Image.new("L", (scene.width, scene.height))
    for shape in scene.shapes:
        box = window(shape, scene.width, scene.height) if shape.layer == "subject" and shape.alpha > 0.5 else None
        if box is not None:
            tint.paste(150 if shape.role == "main" else 0, box, mask(shape, box))
    return to_floats(moved(tint, 3, 2))


def chalk(scene: Scene, rng: Rng) -> Image.Image:
    """Coloured chalk on a slate that was wiped before."""
    w, h = scene.width, scene.height
    tooth, smear = grain(rng, w, h), noise(rng, w, h, 60)
    slate = mix((46, 58, 56), scene.palette["sky_top"], 0.16)
    canvas = unit_colour(slate) * (1 + 0.1 * smear[..., None] + 0.05 * tooth[..., None])
    dust, strokes = np.clip(0.72 + 1.1 * tooth, 0, 1), _chalk_strokes(rng, w, h)
    for shape, box, cover in laid_shapes(scene, pad=4):
        rows, columns = slices(box)
        view, speck = canvas[rows, columns], dust[rows, columns]
        stick = unit_colour(_chalky(scene.palette[shape.role]))
        back = shape.layer == "back"
        laid = to_floats(cover)
        if shape.width > 0:
            laid = laid * speck
        else:
            view += (unit_colour(slate) - view) * (0.85 * laid)[..., None]
            body = 0.3 if back else 0.5 + 0.2 * luma(scene.palette[shape.role])
            laid = laid * body * strokes[rows, columns]
            if shape.line and shape.alpha > 0.4 and span_of(shape) > 4:
                path = wander(np.vstack([shape.points, shape.points[:1]]), rng, 0.8)
                rim = replace(shape, points=path, width=2.2 if back else 3.2)
                laid = np.maximum(laid, to_floats(mask(rim, box)) * speck * (0.75 if back else 1.0))
        view += (stick - view) * laid[..., None]
    return to_image(canvas)


def _chalk_strokes(rng: Rng, width: int, height: int) -> Floats:
    """Return how much a stick drawn slantwise over the slate leaves behind, 0..1."""
    field = _slanted()
    top, left = (int(rng.integers(0, 640 - side + 1)) for side in (height, width))
    return field[top : top + height, left : left + width]


@cache
def _slanted() -> Floats:
    fine = np.random.default_rng(5).normal(0, 1, (640, 640)).astype(np.float32)
    drawn = sum(np.roll(fine, (k, -k), (0, 1)) for k in range(18)) / 18**0.5
    return np.clip(0.62 + 0.3 * drawn + 0.12 * fine, 0.05, 1).astype(np.float32)


def _chalky(colour: RGB) -> RGB:
    """Return the stick of chalk that comes nearest: light, a little pale."""
    top = max(*colour, 1)
    red, green, blue = (min(255, round(c * 248 / top)) for c in colour)
    return mix((red, green, blue), (250, 248, 240), 0.12 if top > 90 else 0.45)
