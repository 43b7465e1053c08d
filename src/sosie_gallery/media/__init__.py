"""How things are drawn: each medium is one function from a scene to a picture, and one line in ``MEDIA``.

All of them read the same shapes from back to front; only the way of laying down a shape differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PIL import Image

from sosie_gallery.canvas import Rng, Scene
from sosie_gallery.media.drawn import chalk, ink
from sosie_gallery.media.modelled import clay, papercut
from sosie_gallery.media.painted import oil, watercolour
from sosie_gallery.media.vector import flat, pixel

__all__ = ["MEDIA"]

MEDIA: Mapping[str, Callable[[Scene, Rng], Image.Image]] = {
    "chalk": chalk,
    "clay": clay,
    "flat": flat,
    "ink": ink,
    "oil": oil,
    "papercut": papercut,
    "pixel": pixel,
    "watercolour": watercolour,
}
