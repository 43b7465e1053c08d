"""Pictures as the mean colours of eight stripes across them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.embedders.preprocessing import prepare
from sosie.types import EmbedderSpec, FloatMatrix, Head, Picture, Preprocessing

__all__ = ["StripesEmbedder"]

_STRIPES = 8


class StripesEmbedder:
    """No weights, and so nothing to load."""

    spec = EmbedderSpec(
        name="stripes",
        version="1",
        heads=(Head("semantic", 3 * _STRIPES),),
        preprocessing=Preprocessing(side=32, resample="box", scale=255.0),
        licence="MIT",
    )

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, 24) float32 unit vectors."""
        side = self.spec.preprocessing.side
        inputs = [prepare(picture, self.spec.preprocessing).pixels for picture in pictures]
        stripes = np.asarray(inputs, np.float32).reshape(len(pictures), _STRIPES, side // _STRIPES, side, 3)
        vectors = stripes.mean(axis=(2, 3)).reshape(len(pictures), 3 * _STRIPES) + 1  # black has no direction
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
