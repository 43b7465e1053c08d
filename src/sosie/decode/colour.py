"""Any pixel layout → 8-bit sRGB over one ground."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from sosie.types import Pixels

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

__all__ = ["opaque", "profile_digest", "to_srgb", "without_empty_alpha"]

_MAX_PROFILE = 4 << 20  # the largest printing profiles have 2 MiB
_IMPERCEPTIBLE = 2  # of 255
_FLAT = 16  # of 255: a drawing of less contrast with its ground is not seen
_PART = 8  # what fills less than this part of its range is stretched


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture with 8 bits a channel and nothing to see through: mode L, RGB or CMYK."""
    if image.mode in ("RGB", "L", "CMYK") and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _over_ground(image)
    if image.mode in ("RGB", "L", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def without_empty_alpha(image: Image.Image, name: str) -> Image.Image:
    """Drop the alpha of a BMP or TGA that is zero everywhere: its writer left the byte unused."""
    if name in ("BMP", "TGA") and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale integers and floats by what the picture holds.

    Integers are shifted by whole bits, to the least number of bits that holds the largest one; floats between 0 and 1
    keep that range. What fills less than an eighth of it is stretched, so that masks and scans of little contrast show.
    """
    values = np.asarray(image)
    shifted = _shifted(values) if values.dtype.kind != "f" else None
    return Image.fromarray(shifted if shifted is not None else _stretched(values))


def _shifted(values: np.ndarray[Any, Any]) -> Pixels | None:
    """Return the upper 8 of the bits that integers use; None where they fill little of these, or are no 16 bits."""
    low, high = int(values.min()), int(values.max())
    bits = max(1, high.bit_length())
    if low < 0 or bits > 16 or (high - low) * _PART < 1 << bits:
        return None
    return (values >> (bits - 8) if bits > 8 else values << (8 - bits)).astype(np.uint8)


def _stretched(values: np.ndarray[Any, Any]) -> Pixels:
    floats = values.astype(np.float32)
    np.nan_to_num(floats, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(floats.min()), float(floats.max())
    if low == high:
        return np.full(values.shape, _level(values), np.uint8)
    if values.dtype.kind == "f" and low >= 0.0 and high <= 1.0 and (high - low) * _PART >= 1:
        low, high = 0.0, 1.0
    floats -= low
    floats *= 255.0 / (high - low)
    return floats.round().astype(np.uint8)


def _level(values: np.ndarray[Any, Any]) -> int:
    """Return how a picture of one value is shown: its share of 16 bits, or of 0 to 1; black where it is outside."""
    value = float(values.flat[0])
    level = value / 256 if values.dtype.kind != "f" else value * 255
    return int(level) if 0 <= level < 256 else 0


def _over_ground(image: Image.Image) -> Image.Image:
    """Lay a picture over white; over black where white would leave nothing of it to be seen."""
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB")
    over_white = _over(image, alpha, "white")
    if _contrast(over_white) > _FLAT:
        return over_white
    over_black = _over(image, alpha, "black")
    return over_black if _contrast(over_black) > _FLAT else over_white


def _over(image: Image.Image, alpha: Image.Image, ground: str) -> Image.Image:
    laid = Image.new("RGB", image.size, ground)
    laid.paste(image, mask=alpha)
    return laid


def _contrast(image: Image.Image) -> int:
    extrema = cast("tuple[tuple[int, int], ...]", image.getextrema())
    return max(high - low for low, high in extrema)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB in sRGB, through the embedded ICC profile where it is sound and fits the picture."""
    transform = _transform(profile, image.mode) if profile and len(profile) <= _MAX_PROFILE else None
    if transform is not None:
        from PIL import ImageCms

        return cast("Image.Image", ImageCms.applyTransform(image, transform))
    return image if image.mode == "RGB" else image.convert("RGB")


def profile_digest(profile: bytes | None, mode: str) -> bytes:
    """Return what tells profiles apart that change how pixels of this mode are seen; nothing for those that do not."""
    if not profile or len(profile) > _MAX_PROFILE or _transform(profile, mode) is None:
        return b""
    return hashlib.sha256(profile).digest()


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
