"""A detector: picture → boxes with class and confidence, by any described ONNX network."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from sosie.errors import UntrustedModel
from sosie.networks import open_network, require_outputs
from sosie.regions.description import Description
from sosie.regions.fitting import fit
from sosie.regions.layouts import LAYOUTS
from sosie.regions.suppression import suppress
from sosie.registry import nearest
from sosie.types import Pixels, Region

__all__ = ["Detector"]

_LEAST = 0.01  # of a side: what is smaller is no object that one could search by


class Detector:
    """Runs a described detector with ONNX Runtime on the CPU. Thread-safe; loads at the first picture or `warm_up`."""

    def __init__(self, description: Description, *, threads: int | None = None) -> None:
        if description.layout not in LAYOUTS:
            hint = nearest(description.layout, LAYOUTS)
            raise UntrustedModel(f"{description.name}: no layout of boxes is called {description.layout!r}; {hint}")
        self.description = description
        self._threads = threads
        self._session: Any = None
        self._lock = Lock()

    def warm_up(self) -> None:
        """Load the network and run it once, so that one that does not fit its description fails before any picture."""
        with self._lock:
            if self._session is None:
                about = self.description
                session = open_network(about.path, sha256=about.sha256, threads=self._threads)
                require_outputs(session, about.outputs, about.path)
                self._detect(session, np.full((about.input.height, about.input.width, 3), 114, np.uint8))
                self._session = session

    def detect(self, pixels: Pixels) -> list[Region]:
        """Return what is seen in pixels (h, w, 3), surest first; raise UntrustedModel where the outputs do not fit."""
        self.warm_up()
        return self._detect(self._session, pixels)

    def _detect(self, session: Any, pixels: Pixels) -> list[Region]:
        about = self.description
        fitted = fit(pixels, about.input)
        feeds = {about.input.name: fitted.tensor}
        if about.input.sizes:
            feeds[about.input.sizes] = np.array([[about.input.width, about.input.height]], np.int64)
        try:
            outputs = session.run(list(about.outputs), feeds)
        except Exception as error:
            raise UntrustedModel(
                f"{about.path} does not take what is described: {str(error).splitlines()[0]}"
            ) from error
        try:
            boxes, scores = LAYOUTS[about.layout](outputs, len(about.classes), about.input.width, about.input.height)
        except (IndexError, UntrustedModel) as error:
            raise UntrustedModel(f"{about.path}: {error}") from error
        labels = scores.argmax(axis=1)
        sure = scores[np.arange(len(labels)), labels]  # NumPy finds the place of a maximum faster than its value
        kept = np.flatnonzero(sure >= about.threshold)  # a few of thousands: only they are looked at any further
        boxes = fitted.back(boxes[kept])
        sizes = boxes[:, 2:] - boxes[:, :2]
        large = (sizes > _LEAST).all(axis=1) & np.isfinite(boxes).all(axis=1)
        kept, boxes = kept[large], boxes[large]
        order = suppress(boxes, sure[kept], labels[kept], overlap=about.suppress or 1.0, most=about.most)
        return [_region(boxes[i], about.classes[labels[kept[i]]], float(sure[kept[i]])) for i in order]


def _region(corners: Any, label: str, confidence: float) -> Region:
    x1, y1, x2, y2 = (float(edge) for edge in corners)
    return Region((x1, y1, x2 - x1, y2 - y1), label, min(confidence, 1.0))
