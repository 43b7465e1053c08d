"""Small real picture files for tests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int, *, width: int = 96, height: int = 64, quality: int = 90) -> bytes:
    """Return a JPEG of a smooth random picture; different seeds give pictures that look different."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    out = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def png_of(data: bytes) -> bytes:
    """Return the pixels of a picture file as a PNG."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def folder_of(path: Path, count: int, *, first: int = 0) -> Path:
    """Fill a folder with ``count`` different pictures, in two sub-folders that can be labels."""
    for seed in range(first, first + count):
        place = path / ("even" if seed % 2 == 0 else "odd") / f"{seed:05d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg(seed))
    return path
