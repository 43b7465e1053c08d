"""Any pixel layout → 8-bit sRGB over white."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

__all__ = ["opaque", "to_srgb"]

_MAX_PROFILE = 4 << 20  # the largest printing profiles have 2 MiB
_IMPERCEPTIBLE = 2  # of 255


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture with 8 bits a channel and nothing to see through: mode L, RGB or CMYK."""
    if image.mode in ("RGB", "L", "CMYK") and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _over_white(image)
    if image.mode in ("RGB", "L", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale integers of 16 bits by their range; wider ones and floats by what the picture holds."""
    values = np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and 0 <= values.min() <= values.max() < 1 << 16):
        return Image.fromarray((values >> 8).astype(np.uint8))
    floats = values.astype(np.float32)
    np.nan_to_num(floats, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(floats.min()), float(floats.max())
    if low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    floats -= low
    floats *= 255.0 / (high - low or 1.0)
    return Image.fromarray(floats.round().astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB in sRGB, through the embedded ICC profile where it is sound and fits the picture."""
    transform = _transform(profile, image.mode) if profile and len(profile) <= _MAX_PROFILE else None
    if transform is not None:
        from PIL import ImageCms

        return cast("Image.Image", ImageCms.applyTransform(image, transform))
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Build the transform to sRGB; None where the profile is damaged, is for other channels, or changes nothing."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCmsTransform) -> bool:
    """Most embedded profiles are one of the many sRGBs: try a lattice of colours rather than compare names."""
    from PIL import ImageCms

    steps = np.linspace(0, 255, 9).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    return bool(np.abs(moved.astype(int) - lattice).max() <= _IMPERCEPTIBLE)
