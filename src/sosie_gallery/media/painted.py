"""Wet media: watercolour and oil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sosie_gallery.canvas import Floats, Points, Rng, Scene, grain, mask, noise
from sosie_gallery.media.common import laid_shapes, sky_wash, slices, to_floats, to_image, unit_colour, wander
from sosie_gallery.media.modelled import clay

__all__ = ["oil", "watercolour"]


def watercolour(scene: Scene, rng: Rng) -> Image.Image:
    """Washes on grained paper: uneven pigment, dark rims, wandering edges, a pencil line here and there."""
    w, h = scene.width, scene.height
    paper = np.array((0.985, 0.972, 0.945), np.float32)
    tooth, pools, drift = grain(rng, w, h), noise(rng, w, h, 80), noise(rng, w, h, 14)
    wash = np.clip(0.86 + 0.2 * pools + 0.05 * drift, 0, 1)[..., None]
    canvas = paper * (1 - wash * (1 - sky_wash(scene)))
    for shape, box, cover in laid_shapes(scene, pad=5):
        rows, columns = slices(box)
        view = canvas[rows, columns]
        if shape.width > 0 and shape.width < 5:
            view *= 1 - 0.75 * to_floats(cover)[..., None] * (1 - unit_colour(scene.palette[shape.role]))
            continue
        blurred = to_floats(cover.filter(ImageFilter.GaussianBlur(1.6)))
        edge = np.clip((blurred - 0.5 + 0.2 * drift[rows, columns] * shape.alpha) * 4.5 + 0.5, 0, 1) * shape.alpha
        rim = np.clip(edge - to_floats(to_image(edge).filter(ImageFilter.GaussianBlur(3.2))), 0, 1)
        pigment = edge * (0.85 + 0.24 * pools[rows, columns] + 0.1 * tooth[rows, columns]) + 0.55 * rim
        view += (paper - view) * (0.9 * edge)[..., None]
        view *= 1 - np.clip(pigment, 0, 1.15)[..., None] * (1 - unit_colour(scene.palette[shape.role]))
        if shape.line and shape.layer == "subject":
            pencil = replace(shape, points=wander(np.vstack([shape.points, shape.points[:1]]), rng, 0.8), width=1.1)
            view -= view * 0.42 * (to_floats(mask(pencil, box)) * (0.6 + 0.4 * tooth[rows, columns]))[..., None]
    canvas *= 1 + 0.045 * tooth[..., None]
    frame = _ragged_frame(w, h, drift, tooth)[..., None]
    return to_image(canvas + (paper * (1 + 0.02 * tooth[..., None]) - canvas) * frame)


def _ragged_frame(width: int, height: int, drift: Floats, tooth: Floats) -> Floats:
    """Return 1 on the unpainted margin of the sheet, 0 inside, with a brushed edge between."""
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    inset = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    return np.clip((13 + 7 * drift + 2.5 * tooth - inset) / 2.5, 0, 1)


def oil(scene: Scene, rng: Rng) -> Image.Image:
    """Short strokes of thick paint, broad ones first, fine ones where there is detail (Hertzmann 1998)."""
    model = clay(scene, rng)
    w, h = model.size
    painted = model.filter(ImageFilter.GaussianBlur(7)).resize((w * 2, h * 2))
    draw = ImageDraw.Draw(painted)
    flow = noise(rng, w, h, 60) * 2.2
    for size, blur, miss in ((18, 4.0, 0), (10, 2.0, 16), (6, 0.8, 30)):
        guide = np.asarray(model.filter(ImageFilter.GaussianBlur(blur)), np.float32)
        spots = _spots(np.asarray(model, np.float32), guide, size, miss, rng)
        _brush(draw, guide, _grain_of(guide, flow), spots, size=size, rng=rng)
    canvas = to_floats(painted.resize((w, h), Image.Resampling.BOX))
    thick = canvas.mean(2)
    ridge = np.clip(thick - np.roll(thick, (1, 1), (0, 1)), -0.1, 0.1)
    return to_image(canvas + 0.4 * ridge[..., None])


def _grain_of(guide: Floats, flow: Floats) -> Floats:
    """Return the direction of strokes: along edges where there are some, with the flow elsewhere (radians)."""
    dy, dx = np.gradient(guide.sum(2))
    along = np.arctan2(dx, -dy)
    lean: Floats = np.where(np.hypot(dx, dy) > 9, along, flow).astype(np.float32)
    return lean


def _spots(model: Floats, guide: Floats, size: int, miss: int, rng: Rng) -> Points:
    """Return where strokes go: everywhere for broad ones, where the coarser guide misses something for fine ones."""
    h, w = model.shape[:2]
    step = size * 0.56
    grid = np.stack(np.meshgrid(np.arange(0, w, step), np.arange(0, h, step)), -1).reshape(-1, 2)
    grid = np.clip(grid + rng.uniform(-step / 2, step / 2, grid.shape), 0, (w - 1, h - 1))
    if miss:
        x, y = grid.astype(int).T
        blurred = np.asarray(to_image(model / 255).filter(ImageFilter.GaussianBlur(size * 0.6)), np.float32)
        grid = grid[np.abs(guide - blurred).sum(2)[y, x] > miss]
    spots: Points = grid[rng.permutation(len(grid))]
    return spots


def _brush(draw: ImageDraw.ImageDraw, guide: Floats, lean: Floats, spots: Points, *, size: int, rng: Rng) -> None:
    x, y = spots.astype(int).T
    angle = lean[y, x] + rng.normal(0, 0.12, len(spots))
    reach = np.stack([np.cos(angle), np.sin(angle)], 1) * (size * rng.uniform(0.55, 1.0, (len(spots), 1)))
    shift = rng.normal(0, 6, (len(spots), 1)) + rng.normal(0, 3.5, (len(spots), 3))
    colours = np.clip(guide[y, x] + shift, 0, 255).astype(int).tolist()
    ends = np.concatenate([spots - reach, spots + reach], 1) * 2
    for end, colour in zip(ends.tolist(), colours, strict=True):
        draw.line(end, fill=tuple(colour), width=size)
