"""What detectors and segmenters have in common: how a described ONNX network is opened, tried and fed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from sosie.errors import UntrustedModel
from sosie.networks.runtime import open_network, require_outputs
from sosie.regions.description import Description
from sosie.regions.fitting import Fitted, fit
from sosie.registry import nearest
from sosie.types import Pixels

__all__ = ["Network"]

_T = TypeVar("_T")


class Network(ABC, Generic[_T]):
    """Runs a described network with ONNX Runtime on the CPU. Thread-safe; loads at the first picture or `warm_up`.

    A kind of network supplies ``_read``, and its ``layouts`` of ``things``: the ways in which outputs are written down.
    """

    layouts: ClassVar[Mapping[str, Any]]
    things: ClassVar[str]

    def __init__(self, description: Description, *, threads: int | None = None) -> None:
        if description.layout not in self.layouts:
            hint = nearest(description.layout, self.layouts)
            raise UntrustedModel(
                f"{description.name}: no layout of {self.things} is called {description.layout!r}; {hint}"
            )
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
                self._look(session, np.full((about.input.height, about.input.width, 3), 114, np.uint8))
                self._session = session

    def see(self, pixels: Pixels) -> tuple[Fitted, _T]:
        """Return how pixels (h, w, 3) were fed and what was seen; raise UntrustedModel where the outputs do not fit."""
        self.warm_up()
        return self._look(self._session, pixels)

    def _look(self, session: Any, pixels: Pixels) -> tuple[Fitted, _T]:
        about = self.description
        fitted = fit(pixels, about.input)
        feeds = {about.input.name: fitted.tensor}
        if about.input.sizes:
            feeds[about.input.sizes] = np.array([[about.input.width, about.input.height]], np.int64)
        try:
            outputs = session.run(list(about.outputs), feeds)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise UntrustedModel(f"{about.path} does not take what is described: {reason}") from error
        return fitted, self._read(outputs, fitted)

    @abstractmethod
    def _read(self, outputs: Sequence[Any], fitted: Fitted) -> _T:
        """Return what the outputs say of one picture; raise UntrustedModel where they are not as described."""
