"""A detector: picture → boxes with class and confidence, by any described ONNX network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sosie.errors import UntrustedModel
from sosie.regions.fitting import Fitted
from sosie.regions.layouts import LAYOUTS
from sosie.regions.network import Network
from sosie.regions.suppression import suppress
from sosie.types import Pixels, Region

__all__ = ["OnnxDetector"]

_LEAST = 0.01  # of a side: what is smaller is no object that one could search by


class OnnxDetector(Network[list[Region]]):
    """Finds boxes with a described network."""

    layouts, things = LAYOUTS, "boxes"

    def detect(self, pixels: Pixels) -> list[Region]:
        """Return what is seen in pixels (h, w, 3), surest first; raise UntrustedModel where the outputs do not fit."""
        return self.see(pixels)[1]

    def _read(self, outputs: Sequence[Any], fitted: Fitted) -> list[Region]:
        about = self.description
        try:
            boxes, sure, labels = LAYOUTS[about.layout](
                outputs, len(about.classes), about.input.width, about.input.height, about.threshold
            )
        except (IndexError, UntrustedModel) as error:
            raise UntrustedModel(f"{about.path}: {error}") from error
        boxes = fitted.back(boxes)
        large = (boxes[:, 2:] - boxes[:, :2] > _LEAST).all(axis=1) & np.isfinite(boxes).all(axis=1)
        boxes, sure, labels = boxes[large], sure[large], labels[large]
        order = suppress(boxes, sure, labels, overlap=about.suppress or 1.0, most=about.most)
        return [_region(boxes[i], about.classes[labels[i]], float(sure[i])) for i in order]


def _region(corners: Any, label: str, confidence: float) -> Region:
    x1, y1, x2, y2 = (float(edge) for edge in corners)
    return Region((x1, y1, x2 - x1, y2 - y1), label, min(confidence, 1.0))
