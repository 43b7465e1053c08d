"""How many frames or pages a file holds."""

from __future__ import annotations

import io

__all__ = ["frames_in"]

_STILL = ("JPEG", "MPO", "BMP", "PPM")  # an MPO's second picture is its preview


def frames_in(data: bytes) -> int | None:
    """Return the number of frames of an animation, or of pages of a document; None where it cannot be told."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return 1 if image.format in _STILL else int(getattr(image, "n_frames", 1))
    except Exception:  # Pillow's plugins raise errors of every kind for damaged files
        return None
