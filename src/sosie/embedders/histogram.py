"""A colour histogram: no network at all; the floor that every model must beat, and a fast stand-in for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.embedders.preprocessing import prepare
from sosie.types import EmbedderSpec, FloatMatrix, Head, Picture, Pixels, Preprocessing

__all__ = ["HistogramEmbedder"]

_BINS = 4  # per channel


class HistogramEmbedder:
    """Square roots of joint RGB histograms over the whole picture and its four quarters (5 × 64 = 320-d).

    The square root makes the inner product the Bhattacharyya coefficient of two histograms.
    """

    spec = EmbedderSpec(
        name="histogram",
        version="1",
        heads=(Head("semantic", 5 * _BINS**3),),
        preprocessing=Preprocessing(side=64, resample="box"),
        licence="MIT",
    )

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, 320) float32 unit vectors."""
        rows = [self._one(prepare(picture, self.spec.preprocessing).pixels) for picture in pictures]
        return np.stack(rows) if rows else np.empty((0, self.spec.dim), np.float32)

    def _one(self, pixels: Pixels) -> FloatMatrix:
        codes = pixels.astype(np.int64) * _BINS // 256
        cells = (codes[..., 0] * _BINS + codes[..., 1]) * _BINS + codes[..., 2]
        half = cells.shape[0] // 2
        quarters = [cells[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
        counts = [np.bincount(part.ravel(), minlength=_BINS**3) / part.size for part in (cells, *quarters)]
        vector = np.sqrt(np.concatenate(counts)).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)
