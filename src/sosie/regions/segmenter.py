"""A segmenter: picture → how surely each pixel belongs to a class, by any described ONNX network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from sosie.errors import UntrustedModel, UsageError
from sosie.regions.fitting import Fitted
from sosie.regions.network import Network
from sosie.registry import nearest
from sosie.types import FloatMatrix, Pixels

__all__ = ["MAPS", "Segmenter"]

Layout: TypeAlias = Callable[[FloatMatrix], FloatMatrix]  # (c, h, w) → (c, h, w) between 0 and 1
_LOOKED_AT = 256  # pixels of the longer side of a mask: edges are feathered by more than one of them


def classes(logits: FloatMatrix) -> FloatMatrix:
    """One class a pixel: the softmax over them (DeepLabV3, Chen et al. 2017)."""
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True), np.float32)


def maps(found: FloatMatrix) -> FloatMatrix:
    """Independent maps that are probabilities already."""
    return np.clip(found, 0, 1)


def logit_maps(logits: FloatMatrix) -> FloatMatrix:
    """Independent maps that are logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)


MAPS: Mapping[str, Layout] = {"classes": classes, "maps": maps, "logit_maps": logit_maps}


class Segmenter(Network[FloatMatrix]):
    """Tells with a described network how surely each place belongs to each class (c, h, w)."""

    layouts, things = MAPS, "masks"

    def probability(self, pixels: Pixels, wanted: str) -> FloatMatrix:
        """Return for each pixel, at most 256 a side, how surely it is ``wanted`` (h, w).

        ``wanted`` is a class, several with commas between them, or ``!`` and such: everything else. Raises UsageError
        for a class that the network does not know, UntrustedModel where its outputs do not fit the description.
        """
        rows = self.rows_of(wanted)
        fitted, found = self.see(pixels)
        height, width = pixels.shape[:2]
        shrink = min(1.0, _LOOKED_AT / max(height, width))
        sure = fitted.cut(found[rows].max(axis=0), (max(1, round(height * shrink)), max(1, round(width * shrink))))
        return np.asarray(1 - sure if wanted.startswith("!") else sure, np.float32)

    def rows_of(self, wanted: str) -> list[int]:
        """Return the places of the classes that ``wanted`` names; raise UsageError."""
        known = self.description.classes
        names = [name.strip() for name in wanted.removeprefix("!").split(",")]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.description.name} knows no {name!r}; {nearest(name, known)}")
        return [known.index(name) for name in names]

    def _read(self, outputs: Sequence[Any], fitted: Fitted) -> FloatMatrix:
        about = self.description
        found = np.asarray(outputs[0], np.float32)
        if found.ndim != 4 or found.shape[:2] != (1, len(about.classes)):
            wanted = f"(1, {len(about.classes)}, h, w)"
            raise UntrustedModel(f"{about.path}: an output of shape {found.shape} came, where {wanted} was described")
        return MAPS[about.layout](found[0])
