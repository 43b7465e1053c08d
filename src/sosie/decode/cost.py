"""What decoding one picture takes, in pixels that are held in memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sosie.decode import headers
from sosie.decode.limits import Limits
from sosie.errors import BadPicture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["check_canvas", "check_cost", "check_side"]

_BYTES = 9  # that a decoder and the picture itself take for an opaque pixel (AVIF, measured); the unit of cost
_WORK = 1 / 8  # of a pixel: what reading the entropy-coded data of a JPEG takes, in time rather than memory
_DOUBLE = 2  # a picture with alpha is held three times (14 bytes a pixel, WebP 16), one of integers or floats as well


def check_side(size: tuple[int, int], limits: Limits) -> None:
    """Refuse what has no pixels, or a side beyond the limit."""
    if min(size) < 1:
        raise BadPicture("corrupt", f"{size[0]}×{size[1]} pixels")
    if max(size) > limits.max_side:
        raise BadPicture(
            "too_large_side", f"{size[0]}×{size[1]} pixels, at most {limits.max_side:,} a side: --max-side"
        )


def check_canvas(size: tuple[int, int], limits: Limits) -> None:
    """Refuse a WebP whose canvas is too large: the decoder allocates it when the file is opened."""
    check_side(size, limits)
    _check(_DOUBLE * size[0] * size[1], size, "WEBP", limits)


def check_cost(data: bytes, name: str, file: ImageFile, *, size: tuple[int, int], limits: Limits) -> None:
    """Refuse a picture of ``size`` pixels that takes too many to decode; ``file`` is drafted to its scale."""
    check_side(size, limits)
    full, held = size[0] * size[1], float(size[0] * size[1])
    if name == "JPEG":
        held = max(full * _WORK, file.width * file.height + full * _coefficients(data, file) / _BYTES)
    elif name == "WEBP" or file.has_transparency_data or file.mode.startswith(("I", "F")):
        held *= _DOUBLE
    _check(held, size, name, limits)
    _check_tiles(file, limits)


def _check(held: float, size: tuple[int, int], name: str, limits: Limits) -> None:
    if held <= limits.max_pixels:
        return
    full = size[0] * size[1]
    as_much = "" if held == full else f", which take as much memory or time as {held / 1e6:.1f}"
    raise BadPicture(
        "too_many_pixels",
        f"{full / 1e6:.1f} megapixels of {name}{as_much}, at most {limits.max_pixels / 1e6:g}: --max-megapixels",
    )


def _coefficients(data: bytes, file: ImageFile) -> float:
    """Return how many bytes of coefficients libjpeg keeps for each full pixel: none where one scan holds everything."""
    if not file.info.get("progressive") and headers.count_scans(data, 1) <= 1:
        return 0.0
    layers = cast("list[tuple[int, int, int, int]]", getattr(file, "layer", []))
    areas = [max(1, across * down) for _, across, down, _ in layers]
    return 2.0 * sum(areas) / max(areas, default=1)


def _check_tiles(file: ImageFile, limits: Limits) -> None:
    """Refuse a TIFF whose tiles are larger than any picture may be: each is allocated in full."""
    tags: Any = getattr(file, "tag_v2", None)
    if tags is not None and tags.get(322, 1) * tags.get(323, 1) > limits.max_pixels:
        raise BadPicture("too_many_pixels", f"tiles of {tags.get(322)}×{tags.get(323)} pixels: --max-megapixels")
