"""Pixels that a program holds, as the bytes of a picture file: from there on they go the way of every other file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sosie.errors import UsageError, WrongType

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["file_of_image", "file_of_pixels"]

_SHAPES = "(height, width, 3) RGB, (height, width, 4) RGBA or (height, width, 1) grey"
_FAST = 1  # of zlib's levels: what is written here is read once, in a moment
_IN_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_IN_TIFF = frozenset({"CMYK", "LAB"})


def file_of_pixels(pixels: npt.NDArray[Any]) -> bytes:
    """Return pixels (height, width, 3|4|1) as a PNG: RGB, RGBA or grey of uint8, uint16, or floats from 0 to 1.

    Raises WrongType for another shape or dtype, UsageError for floats out of range.
    """
    import cv2

    _check_shape(pixels)
    whole = _whole_numbers(pixels)
    orders = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV keeps blue first
    ordered = np.ascontiguousarray(whole[:, :, orders[whole.shape[2]]])
    written, data = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, _FAST])
    if not written:
        raise UsageError(f"pixels of shape {pixels.shape} cannot be written as a PNG: give a smaller picture")
    return bytes(data)


def file_of_image(image: Image) -> bytes:
    """Return a PIL image as a PNG, or a TIFF where PNG lacks its mode, with its colour profile and orientation."""
    image.load()
    if image.mode not in _IN_PNG | _IN_TIFF:
        image = image.convert("RGB")
    out = io.BytesIO()
    about = {"icc_profile": image.info.get("icc_profile"), "exif": image.getexif().tobytes()}
    kept = {name: value for name, value in about.items() if value}
    if image.mode in _IN_TIFF:
        image.save(out, "TIFF", compression="tiff_lzw", **kept)
    else:
        image.save(out, "PNG", compress_level=_FAST, **kept)
    return out.getvalue()


def _check_shape(pixels: npt.NDArray[Any]) -> None:
    shape = pixels.shape
    if pixels.ndim == 3 and shape[2] in (1, 3, 4) and min(shape[:2]) > 0:
        return
    hint = ""
    if pixels.ndim == 3 and shape[0] in (1, 3, 4):
        hint = "; channels come last: array.transpose(1, 2, 0)"
    elif pixels.ndim == 2:
        hint = "; a grey picture: array[:, :, None]"
    elif pixels.ndim == 4:
        hint = "; several pictures: list(array)"
    raise WrongType(f"an array of shape {shape} is no picture, which has {_SHAPES}{hint}")


def _whole_numbers(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return uint8 or uint16; floats become the nearest of 256 steps, as they were where somebody divided by 255."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise WrongType(f"pixels are uint8, uint16, or floats from 0 to 1, not {pixels.dtype}: array.astype('uint8')")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise UsageError(
            f"pixels of {pixels.dtype} go from 0 to 1, not from {low:g} to {high:g}: divide by what white is, or give "
            "uint8"
        )
    return np.asarray(np.rint(pixels.astype(np.float64) * 255), np.uint8)
