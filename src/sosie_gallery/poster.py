"""One picture of many: the gallery at a glance.

python -m sosie_gallery.poster GALLERY poster.jpg
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from sosie_gallery.gallery import Gallery, GalleryItem, read_gallery

__all__ = ["poster"]


def poster(
    gallery: Gallery, *, columns: int = 8, rows: int = 4, side: int = 180, gap: int = 6, lot: int = 0
) -> Image.Image:
    """Return a grid of pictures in which neighbours differ in subject, medium and mood as far as they can."""
    items = _varied(gallery.of_kind("picture"), columns, columns * rows, lot=lot)
    size = (columns * (side + gap) + gap, rows * (side + gap) + gap)
    sheet = Image.new("RGB", size, (250, 248, 245))
    for place, item in enumerate(items):
        with Image.open(gallery.folder / item.path) as image:
            tile = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
        sheet.paste(tile, (gap + place % columns * (side + gap), gap + place // columns * (side + gap)))
    return sheet


def _varied(items: Sequence[GalleryItem], columns: int, count: int, *, lot: int) -> list[GalleryItem]:
    """Choose greedily the item least like those before it and above it, from an order drawn by ``lot``."""
    left = random.Random(lot).sample(items, len(items))  # noqa: S311 - a choice of pictures, not a secret
    chosen: list[GalleryItem] = []
    while left and len(chosen) < count:
        best = min(left, key=lambda item: _sameness(item, chosen, columns))
        chosen.append(best)
        left.remove(best)
    return chosen


def _sameness(item: GalleryItem, chosen: Sequence[GalleryItem], columns: int) -> float:
    total = 0.0
    for back, other in enumerate(reversed(chosen), 1):
        same = (item.subject == other.subject) * 2 + (item.media == other.media) + (item.mood == other.mood) * 0.8
        same += (item.media, item.mood) == (other.media, other.mood)
        total += same * (3 if back in (1, columns) else 1 / back)
    return total


if __name__ == "__main__":
    poster(read_gallery(Path(sys.argv[1]))).save(sys.argv[2], quality=86)
