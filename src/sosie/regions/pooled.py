"""Regions without a detector: squares of the embedder's own feature map, pooled (R-MAC, Tolias, Sicre and Jégou 2016).

One forward pass gives the map; what a square of it holds at most, channel by channel, is its vector.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sosie.types import Box, FloatMatrix, Region

__all__ = ["pool_box", "pooled_regions", "squares"]

LEVELS = 3


@cache
def squares(rows: int, columns: int, levels: int = LEVELS) -> tuple[tuple[int, int, int], ...]:
    """Return (top, left, side) of the squares of a map: at level l, l along the shorter side, each 2/(l + 1) of it."""
    short = min(rows, columns)
    found: dict[tuple[int, int, int], None] = {}
    for level in range(1, levels + 1):
        side = max(1, round(2 * short / (level + 1)))
        for top in _starts(rows, side, level):
            for left in _starts(columns, side, level):
                found[top, left, side] = None
    return tuple(found)


def _starts(length: int, side: int, level: int) -> list[int]:
    """Spread squares along one edge: ``level`` of them, more where the edge is the longer one, ends included."""
    most = length - side
    count = max(level, 1 + -(-most // max(1, side * 3 // 5)) if most else 1)
    return sorted({round(at) for at in np.linspace(0, most, count)}) if count > 1 else [most // 2]


def pooled_regions(maps: FloatMatrix) -> tuple[list[Region], FloatMatrix]:
    """Return the regions of feature maps (n, channels, rows, columns) and unit vectors (n, regions, channels)."""
    rows, columns = maps.shape[2:]
    where = squares(rows, columns)
    pooled = np.stack([maps[:, :, y : y + side, x : x + side].max(axis=(2, 3)) for y, x, side in where], axis=1)
    regions = [Region((x / columns, y / rows, side / columns, side / rows)) for y, x, side in where]
    return regions, _unit(pooled)


def pool_box(feature_map: FloatMatrix, box: Box) -> FloatMatrix:
    """Return the unit vector (1, channels) of what lies under a box of a picture, from its map (channels, h, w)."""
    rows, columns = feature_map.shape[1:]
    x, y, width, height = box
    top, left = min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
    bottom, right = max(top + 1, round((y + height) * rows)), max(left + 1, round((x + width) * columns))
    return _unit(feature_map[:, top:bottom, left:right].max(axis=(1, 2))[None])


def _unit(vectors: FloatMatrix) -> FloatMatrix:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12), np.float32)
