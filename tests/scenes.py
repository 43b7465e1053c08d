"""Pictures with enough structure to be found again: coloured shapes over a smooth ground."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from sosie.types import Picture, Pixels


def scene(seed: int, *, width: int = 320, height: int = 240) -> Pixels:
    """Return a picture; different seeds give pictures that share nothing."""
    rng = np.random.default_rng([seed, 77])
    ground = Image.fromarray(rng.integers(60, 200, (5, 6, 3), dtype=np.uint8))
    image = ground.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(5, 45, 2)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            draw.polygon([(x, y), (x + w, y + int(rng.integers(-9, 9))), (x + int(rng.integers(0, w)), y + h)], colour)
        else:
            draw.ellipse((x, y, x + w, y + h), colour)
    return np.asarray(image)


def as_picture(pixels: Pixels) -> Picture:
    """Return pixels as a decoded picture."""
    return Picture(np.ascontiguousarray(pixels), pixels.shape[1], pixels.shape[0])


def as_file(pixels: Pixels, *, kind: str = "PNG", quality: int = 90) -> bytes:
    """Return pixels as the bytes of a file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return out.getvalue()
