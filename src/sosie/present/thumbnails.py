"""Pictures for a page: small JPEGs, encoded anew, so that nothing but pixels is passed on."""

from __future__ import annotations

import io

__all__ = ["small_jpeg"]

_MAX_PIXELS = 50_000_000


def small_jpeg(data: bytes, *, side: int = 240, quality: int = 82) -> bytes | None:
    """Return the picture as a JPEG of at most ``side`` pixels a side, without metadata; None if it is no picture."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    upright.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    Image.frombytes("RGB", upright.size, upright.tobytes()).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
