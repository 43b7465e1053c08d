"""What a picture is, exactly: a digest that is equal only where all decoded pixels are.

Every frame counts, at full size and depth, upright, with its alpha. What is digested has one of three grades. The
grade is a part of the digest, so that digests of different grades are never equal:

* ``pixels``: the decoded pixels, in a form that does not depend on the file's format;
* ``coded``: the entropy-coded data with all that its decoding depends on, of JPEGs that are decoded at reduced scale (a
  full decode costs five times as much) and of PNGs with 16 bits a channel in colour (the decoder keeps 8 of them);
* ``file``: the bytes of the file, where neither is to be had. Such a picture has the same pixels as itself alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from sosie.decode import headers
from sosie.decode.colour import without_empty_alpha
from sosie.types import EXACT_PIXELS, Pixels

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["WHOLE", "Effort", "Exact", "Identity", "array_digest", "file_digest", "is_whole"]

WHOLE = 720  # JPEGs with fewer pixels along the shorter side are decoded whole, whatever is needed of them
_STRIPE = 1 << 20  # pixels that are converted at once


class Effort(StrEnum):
    """How much is decoded for the sake of the digest alone."""

    QUICK = "quick"  # animations and pages up to 16 megapixels in all
    FULL = "full"  # whole JPEGs, too, and up to 128 megapixels


_BUDGET = {Effort.QUICK: 16_000_000, Effort.FULL: 128_000_000}  # pixels of all frames


@dataclass(frozen=True, slots=True)
class Identity:
    """The digest (16 bytes; None where none was made) and how many frames or pages the file has."""

    digest: bytes | None
    frames: int


class Exact:
    """The digest of one file, made while its frames are decoded.

    Make it of a file whose first frame is loaded and not yet changed; call `finish` when nobody needs that frame any
    more. ``upright`` is what turns a frame as it is to be seen.
    """

    def __init__(
        self,
        data: bytes,
        name: str,
        file: ImageFile,
        *,
        size: tuple[int, int],
        upright: Image.Transpose | None,
        effort: Effort,
    ) -> None:
        self._data, self._name, self._upright, self._budget = data, name, upright, _BUDGET[effort]
        self._sha256 = hashlib.sha256()
        self._grade = "pixels"
        self._frames = 1
        if name == "JPEG":
            self._begin_jpeg(file, whole=is_whole(size, effort))
        elif _keeps_depth(data, name, file):
            self._add(file)
        elif name == "PNG" and not _is_animated(file):
            self._add_coded(headers.coded_png(data))
        else:
            self._grade = "file"

    def finish(self, file: ImageFile, *, colour: bytes) -> Identity:
        """Add the other frames and return what the file is; ``colour`` tells what its profile does to the pixels."""
        if self._name != "JPEG" and _is_animated(file):
            try:
                self._add_frames(file)
            except Exception:  # a later frame is damaged: the first one is shown, but nothing is claimed of the file
                self._grade = "file"
        if self._grade == "file":
            return Identity(file_digest(self._data), self._frames)
        head = f"{EXACT_PIXELS};{self._grade};{self._frames};".encode() + colour
        return Identity(hashlib.sha256(head + self._sha256.digest()).digest()[:16], self._frames)

    def _begin_jpeg(self, file: ImageFile, *, whole: bool) -> None:
        self._frames = _pictures_of(file)
        if whole and self._frames == 1:
            self._add(file)
        else:
            self._add_coded(headers.coded_jpeg(self._data))
            self._sha256.update(f"{self._upright}".encode())

    def _add_coded(self, parts: Iterator[memoryview] | None) -> None:
        if parts is None:
            self._grade = "file"
            return
        self._grade = "coded"
        for part in parts:
            self._sha256.update(len(part).to_bytes(8, "little"))
            self._sha256.update(part)

    def _add(self, frame: Image.Image) -> None:
        kind, image = _canonical(without_empty_alpha(frame, self._name))
        if self._upright is not None:
            image = image.transpose(self._upright)
        self._sha256.update(f"{kind};{image.width}×{image.height};".encode())
        for stripe in _stripes(image):
            self._sha256.update(_packed(stripe, kind))

    def _add_frames(self, file: ImageFile) -> None:
        self._frames = int(getattr(file, "n_frames", 1))
        spent = file.width * file.height
        for at in range(1, self._frames):
            file.seek(at)
            spent += file.width * file.height
            if self._grade != "pixels" or spent > self._budget or not _keeps_depth(self._data, self._name, file):
                self._grade = "file"
                return
            file.load()
            self._add(file)


def is_whole(size: tuple[int, int], effort: Effort) -> bool:
    """Tell whether a JPEG of this size is digested by its decoded pixels, whatever scale else it is decoded at."""
    return min(size) < WHOLE or (effort is Effort.FULL and size[0] * size[1] <= _BUDGET[effort])


def array_digest(pixels: Pixels) -> bytes:
    """Digest a picture (height, width, 3) that comes from no file, as one that is stored without loss would be."""
    sha256 = hashlib.sha256(f"RGB;{pixels.shape[1]}×{pixels.shape[0]};".encode())
    sha256.update(np.ascontiguousarray(pixels).data)
    return hashlib.sha256(f"{EXACT_PIXELS};pixels;1;".encode() + sha256.digest()).digest()[:16]


def file_digest(data: bytes) -> bytes:
    """Return the digest of a picture that has the same pixels as itself alone."""
    return hashlib.sha256(f"{EXACT_PIXELS};file;".encode() + hashlib.sha256(data).digest()).digest()[:16]


def _is_animated(file: ImageFile) -> bool:
    return bool(getattr(file, "is_animated", False))


def _canonical(image: Image.Image) -> tuple[str, Image.Image]:
    """Return a name for the layout, and the picture in one that does not depend on how it was stored."""
    if image.mode.startswith(("I", "F")):
        return f"{image.mode[:4]}{image.info.get('transparency', '')}", image
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if _lowest(image) < 255:
            return "RGBA", image
    if image.mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
        return "RGB", image
    return image.mode, image


def _lowest(image: Image.Image) -> int:
    low, _ = cast("tuple[int, int]", image.getchannel("A").getextrema())
    return low


def _stripes(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _STRIPE // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _packed(stripe: Image.Image, kind: str) -> bytes:
    if kind == "RGB" and stripe.mode != "RGB":
        stripe = stripe.convert("RGB")
    if kind.startswith(("I", "F")):
        values = np.asarray(stripe)
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return stripe.tobytes()


def _keeps_depth(data: bytes, name: str, file: ImageFile) -> bool:
    """Tell whether the decoder gives all the bits and channels that the file has."""
    if name == "PNG":
        return data[24] <= 8 or file.mode.startswith("I")
    if name == "TIFF":
        return _tiff_keeps_depth(file)
    if name == "PPM":
        return _ppm_keeps_depth(data, file)
    if name == "AVIF":
        return not headers.is_deep_avif(data)
    if name == "HEIF":
        return int(file.info.get("bit_depth", 16)) <= 8
    return True


def _tiff_keeps_depth(file: ImageFile) -> bool:
    tags: Any = getattr(file, "tag_v2", {})
    bits = tags.get(258, (1,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    if tags.get(277, 1) > len(file.getbands()):  # further channels are dropped
        return False
    if file.mode == "P":  # the colours of a palette have 16 bits
        return all(value & 255 in (0, value >> 8) for value in tags.get(320, ()))
    if file.mode.startswith(("I", "F")):
        return bool(max(bits) <= 32 and tags.get(262, 1) == 1)
    return bool(max(bits) <= 8)


def _ppm_keeps_depth(data: bytes, file: ImageFile) -> bool:
    """Colours of 16 bits are reduced to 8: binary ones show by their length, those in plain text are not believed."""
    if file.mode != "RGB":
        return True
    return data[:2] == b"P6" and len(data) < 6 * file.width * file.height


def _pictures_of(file: ImageFile) -> int:
    """Return how many pictures a JPEG has: more than one where a multi-picture index says so (CIPA DC-007)."""
    if "mp" not in file.info:
        return 1
    try:
        return max(2, int(file._getmp()[0xB001]))  # type: ignore[attr-defined]
    except Exception:  # the index is damaged: that there is one is enough to make no claim of a single picture
        return 2
