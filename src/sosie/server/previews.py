"""Pictures to look at, re-encoded from pixels: nothing of the original file but what can be seen.

``render`` runs in the decode workers, so this module imports neither fastapi nor the engine.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sosie.types import Picture

if TYPE_CHECKING:
    from sosie.decode import DecodePool, Limits

__all__ = ["Preview", "Previews", "render"]

SIDE = 1024
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Preview:
    """A JPEG of at most 1024 pixels a side, and the size of the picture that it shows."""

    data: bytes
    width: int
    height: int


def render(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a picture as JPEG bytes, scaled to fit; called in a worker for each picture."""
    from PIL import Image

    image = Image.fromarray(np.asarray(picture.pixels))
    image.thumbnail((params["longest"], params["longest"]), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return {
        "jpeg": np.frombuffer(file.getvalue(), np.uint8),
        "width": picture.width,
        "height": picture.height,
    }


class Previews:
    """Make previews in a killable worker; keep the latest. Constructing it starts nothing. Thread-safe."""

    _KEPT = 64

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits
        self._lock = Lock()
        self._pool: DecodePool | None = None
        self._made: OrderedDict[str, Preview] = OrderedDict()

    def of(self, key: str, data: bytes) -> Preview:
        """Return the preview of a picture's bytes, known by ``key``; raise BadPicture where they are none."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        found = self._workers().submit(data).result()
        preview = Preview(found["jpeg"].tobytes(), int(found["width"]), int(found["height"]))
        with self._lock:
            self._made[key] = preview
            if len(self._made) > self._KEPT:
                self._made.popitem(last=False)
        return preview

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _workers(self) -> DecodePool:
        from sosie.decode.limits import limits_of
        from sosie.decode.pool import DecodePool, query_workers

        with self._lock:
            if self._pool is None:
                self._pool = DecodePool(
                    workers=1,
                    analyse="sosie.server.previews:render",
                    params={"side": SIDE, "longest": SIDE},
                    limits=(self._limits or limits_of()).interactive(),
                    most=query_workers(),
                )
            return self._pool
