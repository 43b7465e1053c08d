"""Bytes → Picture, in this process."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from sosie.decode import headers
from sosie.decode.colour import opaque, profile_digest, to_srgb, without_empty_alpha
from sosie.decode.cost import check_canvas, check_cost, check_side
from sosie.decode.identity import Effort, Exact, Identity, file_digest, is_whole
from sosie.decode.limits import Limits
from sosie.decode.metadata import Found, read_metadata
from sosie.decode.repair import mend
from sosie.errors import BadPicture
from sosie.types import Picture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["FORMATS", "decode"]

# The decoders are named, one by one: whatever else Pillow can open, or learns to, is out of reach.
FORMATS: dict[str, str] = {
    "JPEG": "PIL.JpegImagePlugin:JpegImageFile",  # MPO too: its first picture is a plain JPEG
    "PNG": "PIL.PngImagePlugin:PngImageFile",
    "WEBP": "PIL.WebPImagePlugin:WebPImageFile",
    "GIF": "PIL.GifImagePlugin:GifImageFile",
    "TIFF": "PIL.TiffImagePlugin:TiffImageFile",
    "BMP": "PIL.BmpImagePlugin:BmpImageFile",
    "PPM": "PIL.PpmImagePlugin:PpmImageFile",  # PGM and PBM too
    "TGA": "PIL.TgaImagePlugin:TgaImageFile",
    "AVIF": "PIL.AvifImagePlugin:AvifImageFile",
    "HEIF": "pi_heif.as_plugin:HeifImageFile",
}
_ORIENTATION = 0x0112
_WITH_ORIENTATION = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MOST_FILL = 1 << 12  # the decoder reads them byte by byte
# What Pillow says of forms that it knows, but does not decode; a number alone is a compression of TIFF.
_UNSUPPORTED = re.compile(r"unknown pixel mode|[Uu]nsupported|cannot handle|TIFF: \d+$")
_KEEP_SIDES = frozenset(_UPRIGHT[orientation] for orientation in (2, 3, 4))
_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is wanted of a picture; `decode` says what each means."""

    side: int | None
    limits: Limits
    effort: Effort | None
    metadata: str | None


def decode(
    data: bytes,
    *,
    side: int | None = None,
    limits: Limits = _DEFAULT,
    identify: str | None = None,
    metadata: str | None = None,
) -> Picture:
    """Decode one picture: the first frame, upright, 8-bit sRGB over white (over black where it would be flat).

    ``side`` says how many pixels the caller needs along the *shorter* side: JPEGs are then decoded at the smallest
    of the scales 1, 1/2, 1/4, 1/8 that has them, other formats reduced to not less than twice as many. ``identify``
    (an `Effort`) fills in the picture's exact digest and its number of frames, ``metadata`` what it says of itself
    (`sosie.decode.metadata`: USUAL or GPS). The
    pixels are C-contiguous and read-only. Raise BadPicture, whose ``reason`` is a key of `REASONS`, and nothing else.
    """
    name = _admit(data, limits)
    wanted = _Wanted(side, limits, Effort(identify) if identify else None, metadata)
    try:
        return _decode(data, name, wanted)
    except BadPicture:
        raise
    except MemoryError as error:
        raise BadPicture("out_of_memory", "decoding ran out of memory") from error
    except Exception as error:
        # Damaged files make decoders raise nearly anything, IndexError and KeyError included.
        if (mended := _decode_mended(data, name, wanted)) is not None:
            return mended
        raise _explain(error, data, name) from error


def _decode_mended(data: bytes, name: str, wanted: _Wanted) -> Picture | None:
    """Decode what viewers show all the same; its digest is that of the file: nothing else equals it."""
    try:
        mended = mend(data, name)
        if mended is None:
            return None
        picture = _decode(mended.data, name, replace(wanted, effort=None))
    except Exception:
        return None
    return replace(picture, repaired=mended.note, exact=file_digest(data) if wanted.effort else None)


def _admit(data: bytes, limits: Limits) -> str:
    """Return the format, having checked all that can be known without a decoder."""
    if not data:
        raise BadPicture("empty", "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise BadPicture("too_many_bytes", f"{len(data):,} bytes, at most {limits.max_bytes:,} are read")
    name, allowed = headers.sniff(data)
    if name is None:
        raise BadPicture("not_a_picture", f"begins with {bytes(data[:8])!r}")
    if not allowed:
        raise BadPicture("unsupported_format", f"{name} files are not opened")
    if name == "JPEG" and (fill := headers.count_fill(data)) > _MOST_FILL:
        raise BadPicture("corrupt", f"{fill:,} bytes before the picture belong to no segment")
    if name == "JPEG" and (scans := headers.count_scans(data, limits.max_scans)) > limits.max_scans:
        raise BadPicture("too_many_scans", f"{scans:,} scans, at most {limits.max_scans} are decoded")
    if name == "WEBP" and (size := headers.webp_size(data)):
        check_canvas(size, limits)
    return name


def _decode(data: bytes, name: str, wanted: _Wanted) -> Picture:
    side, effort = wanted.side, wanted.effort
    with _open(data, name) as file:
        size = file.size
        check_side(size, wanted.limits)
        if side and name == "JPEG":
            file.draft(None, (side, side))
        check_cost(data, name, file, size=size, limits=wanted.limits)
        early = _metadata(file, wanted) if name == "TIFF" else {}  # which loses its directories when it is loaded
        file.load()
        metadata = early or _metadata(file, wanted)
        if name != "JPEG":
            size = file.size  # Pillow turns a TIFF as it loads it, and a HEIF may correct what its header says
        profile, upright = file.info.get("icc_profile"), _UPRIGHT.get(_orientation(file))
        exact = _exact(data, name, file, size=size, upright=upright, effort=effort) if effort else None
        image = opaque(without_empty_alpha(file, name))
        colour = profile_digest(profile, image.mode) if exact else b""
        if side and name != "JPEG" and (factor := min(size) // (2 * side)) > 1:
            image = image.reduce(factor)
        image = to_srgb(image, profile)
        if upright is not None:
            image = image.transpose(upright)
            size = size if upright in _KEEP_SIDES else (size[1], size[0])
        pixels = np.asarray(image)  # a copy: the file may go on to its next frame
        identity = exact.finish(file, colour=colour) if exact else Identity(None, 1)
        return Picture(pixels, *size, name, identity.digest, identity.frames, metadata=metadata)


def _metadata(file: ImageFile, wanted: _Wanted) -> Found:
    return read_metadata(file, wanted.metadata) if wanted.metadata else {}


def _exact(
    data: bytes, name: str, file: ImageFile, *, size: tuple[int, int], upright: Image.Transpose | None, effort: Effort
) -> Exact:
    """Begin the digest of a file with its first frame, which is decoded again where it was decoded at reduced scale."""
    if file.size == size or not is_whole(size, effort):
        return Exact(data, name, file, size=size, upright=upright, effort=effort)
    with _open(data, name) as whole:
        whole.load()
        return Exact(data, name, whole, size=size, upright=upright, effort=effort)


def _open(data: bytes, name: str) -> ImageFile:
    module, _, attribute = FORMATS[name].partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except ImportError as error:
        raise BadPicture("missing_decoder", "its decoder comes with the extra heif") from error
    return cast("ImageFile", factory(io.BytesIO(data)))


def _orientation(file: ImageFile) -> int:
    """Return how the picture lies, 1 to 8 (EXIF 2.32, tag Orientation); damaged EXIF says nothing."""
    if _WITH_ORIENTATION.isdisjoint(file.info):  # saves building an Exif object for every picture
        return 1
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _explain(error: Exception, data: bytes, name: str) -> BadPicture:
    """Translate a decoder's exception."""
    text = f"{name}: {error or type(error).__name__}"
    if isinstance(error, Image.DecompressionBombError):
        return BadPicture("too_many_pixels", text)
    if isinstance(error, ValueError) and "MAX_TEXT" in text:
        return BadPicture("decompression_bomb", text)
    if headers.is_unsupported(data, name) or _UNSUPPORTED.search(text):
        return BadPicture("unsupported", text)
    if "truncated" in text.lower() or isinstance(error, EOFError) or headers.looks_truncated(data, name):
        return BadPicture("truncated", text)
    return BadPicture("corrupt", text)
