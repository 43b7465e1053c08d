"""A segmenter: picture → how surely each pixel belongs to a class, by any described ONNX network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from sosie.errors import UntrustedModel, UsageError
from sosie.networks import open_network, require_outputs
from sosie.regions.description import Description
from sosie.regions.fitting import Fitted, fit
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


class Segmenter:
    """Runs a described segmenter with ONNX Runtime on the CPU. Thread-safe; loads at the first picture or `warm_up`."""

    def __init__(self, description: Description, *, threads: int | None = None) -> None:
        if description.layout not in MAPS:
            hint = nearest(description.layout, MAPS)
            raise UntrustedModel(f"{description.name}: no layout of masks is called {description.layout!r}; {hint}")
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
                self._run(session, fit(np.full((about.input.height, about.input.width, 3), 114, np.uint8), about.input))
                self._session = session

    def probability(self, pixels: Pixels, wanted: str) -> FloatMatrix:
        """Return for each pixel, at most 256 a side, how surely it is ``wanted`` (h, w).

        ``wanted`` is a class, several with commas between them, or ``!`` and such: everything else. Raises UsageError
        for a class that the network does not know, UntrustedModel where its outputs do not fit the description.
        """
        rows = self.rows_of(wanted)
        self.warm_up()
        fitted = fit(pixels, self.description.input)
        found = self._run(self._session, fitted)[rows].max(axis=0)
        height, width = pixels.shape[:2]
        shrink = min(1.0, _LOOKED_AT / max(height, width))
        sure = fitted.cut(found, (max(1, round(height * shrink)), max(1, round(width * shrink))))
        return np.asarray(1 - sure if wanted.startswith("!") else sure, np.float32)

    def rows_of(self, wanted: str) -> list[int]:
        """Return the places of the classes that ``wanted`` names; raise UsageError."""
        known = self.description.classes
        names = [name.strip() for name in wanted.removeprefix("!").split(",")]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.description.name} knows no {name!r}; {nearest(name, known)}")
        return [known.index(name) for name in names]

    def _run(self, session: Any, fitted: Fitted) -> FloatMatrix:
        """Return how surely each place of the network's own grid belongs to each class (c, h, w)."""
        about = self.description
        try:
            found = np.asarray(session.run(list(about.outputs), {about.input.name: fitted.tensor})[0], np.float32)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise UntrustedModel(f"{about.path} does not take what is described: {reason}") from error
        if found.ndim != 4 or found.shape[:2] != (1, len(about.classes)):
            wanted = f"(1, {len(about.classes)}, h, w)"
            raise UntrustedModel(f"{about.path}: an output of shape {found.shape} came, where {wanted} was described")
        return MAPS[about.layout](found[0])
