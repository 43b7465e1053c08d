"""Files with a blemish that every viewer shows: what can be mended without guessing at the picture.

A JPEG may lack its end marker, or have other data where it should stand, if nearly all of its rows are there; a PNG may
have bad checksums in, or too much of, what is not needed to decode it. Image data is never mended.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import JpegImagePlugin

from sosie.decode import headers

__all__ = ["Mended", "mend"]

_ROWS = 0.95  # of a JPEG that have to be there
_TRIED_SIDE = 64  # of the reduced decodes that tell how many are
_END = b"\xff\xd9"
# Anything but zeros, so that blocks that are decoded from it differ from those that the decoder makes up.
_NOISE = bytes(range(1, 251)) * 8
_NO_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed zero, nor a restart marker, nor a fill byte
_BETWEEN_SCANS = frozenset({0xC4, 0xDA, 0xDB, 0xDD, 0xDC, 0xFE, *range(0xE0, 0xF0)})
_TEXTS = frozenset({b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf"})


@dataclass(frozen=True, slots=True)
class Mended:
    """The bytes that decode, and what was wrong with the file."""

    data: bytes
    note: str


def mend(data: bytes, name: str) -> Mended | None:
    """Return a file that decodes in place of one that does not, None where there is no such blemish."""
    if name == "JPEG":
        return _mend_jpeg(data)
    return _mend_png(data) if name == "PNG" else None


def _mend_jpeg(data: bytes) -> Mended | None:
    end = _end_of_scans(data)
    if end is None or data.startswith(_END, end):
        return None
    whole = data[:end] + _END
    return Mended(whole, "no_end_marker") if _rows_there(data[:end]) >= _ROWS else None


def _end_of_scans(data: bytes) -> int | None:
    """Return where the entropy-coded data ends: at the first marker that cannot stand there, or with the file."""
    at = headers.first_scan(data)
    if at is None:
        return None
    while found := _NO_DATA.search(data, at):
        marker, size = data[found.start() + 1], int.from_bytes(data[found.end() : found.end() + 2], "big")
        if marker not in _BETWEEN_SCANS or found.end() + size > len(data) or (marker == 0xDA and size > 14):
            return found.start()
        at = found.end() + size
    return len(data)


def _rows_there(data: bytes) -> float:
    """Return the share of rows that a JPEG without its end has.

    It is decoded twice: ended at once, where the decoder makes up what is missing, and with noise before the end. What
    is decoded from the file is equal in both.
    """
    ended, noisy = (_reduced(data + more) for more in (_END, _NOISE + _END))
    if ended is None or noisy is None:
        return 0.0
    differing = (ended != noisy).reshape(*ended.shape[:2], -1).any(axis=2)
    if not differing.any():
        return 1.0
    row = int(differing.any(axis=1).argmax())
    column = int(differing[row].argmax())  # blocks come from left to right, and have 8 rows at least
    height, width = differing.shape
    return float((row + _block_rows(data, height) * column / width) / height)


def _block_rows(data: bytes, height: int) -> float:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as file:
        return 8.0 * height / int(file.height)


def _reduced(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as file:
            file.draft(None, (_TRIED_SIDE, _TRIED_SIDE))
            file.load()
            return np.asarray(file)
    except Exception:  # damaged files make decoders raise nearly anything
        return None


def _mend_png(data: bytes) -> Mended | None:
    """Leave out ancillary chunks with a bad checksum, and texts and profiles that unpack to too much."""
    kept, notes = [data[:8]], set()
    for kind, at, size in headers.png_chunks(data):
        wrong = _blemish(data, kind, at, size) if kind[0] & 0x20 else ""
        if wrong:
            notes.add(wrong)
        else:
            kept.append(data[at - 8 : at + size + 4])
    return Mended(b"".join(kept), " ".join(sorted(notes))) if notes else None


def _blemish(data: bytes, kind: bytes, at: int, size: int) -> str:
    checksum = int.from_bytes(data[at + size : at + size + 4], "big")
    if zlib.crc32(data[at - 4 : at + size]) != checksum:
        return "bad_checksum"
    return "large_metadata" if kind in _TEXTS and _is_large(data[at : at + size], kind) else ""


def _is_large(chunk: bytes, kind: bytes) -> bool:
    """Tell whether what a chunk holds exceeds what Pillow takes, unpacking no more than that."""
    from PIL import PngImagePlugin

    most = PngImagePlugin.MAX_TEXT_CHUNK
    if kind in (b"tEXt", b"eXIf"):
        return len(chunk) > most
    for packed in _packed_parts(chunk, kind):
        try:
            unpacker = zlib.decompressobj()
            if len(unpacker.decompress(packed, most)) >= most and unpacker.unconsumed_tail:
                return True
        except zlib.error:
            return True
    return False


def _packed_parts(chunk: bytes, kind: bytes) -> Iterator[bytes]:
    if kind == b"iTXt":
        _, _, rest = chunk.partition(b"\0")
        if rest[:1] == b"\1":
            yield rest[2:].split(b"\0", 2)[-1]
    else:
        yield chunk.partition(b"\0")[2][1:]
