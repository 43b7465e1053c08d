"""What the first bytes of a file say, read without a decoder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

__all__ = [
    "coded_jpeg",
    "coded_png",
    "count_fill",
    "count_scans",
    "first_scan",
    "is_deep_avif",
    "is_unsupported",
    "looks_truncated",
    "png_chunks",
    "sniff",
    "webp_size",
]

_ISO_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"heim": "HEIF",
    b"heis": "HEIF",
    b"hevc": "HEIF",
    b"hevx": "HEIF",
}
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "PSD"),
    (b"%PDF-", "PDF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\1\0", "ICO"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"DDS ", "DDS"),
    (b"SIMPLE  =", "FITS"),
)
_SVG = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(\?xml|!--|!DOCTYPE svg|svg)[^\0]*", re.IGNORECASE)
_PNM = re.compile(rb"P(?:[1-6]|f)[ \t\r\n#]")
_TGA_KINDS = frozenset({(0, 2), (0, 3), (0, 10), (0, 11), (1, 1), (1, 9)})
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def sniff(data: bytes) -> tuple[str | None, bool]:
    """Return the name of the format that the first bytes announce, and whether it is one that is ever opened.

    ``(None, False)`` for what looks like no picture at all.
    """
    head = data[:64]
    if head[4:8] == b"ftyp":
        return _sniff_iso(data)
    for table, allowed in ((_MAGIC, True), (_REFUSED, False)):
        for magic, name in table:
            if head.startswith(magic):
                return name, allowed
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP", True
    if found := _sniff_loose(data, head):
        return found, True
    return ("SVG" if _SVG.match(head) and b"<svg" in data[:4096].lower() else None), False


def _sniff_loose(data: bytes, head: bytes) -> str | None:
    """Tell formats of few or no magic bytes by what else their headers have to say."""
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if _PNM.match(head):
        return "PPM"
    return "TGA" if _is_tga(data) else None


def _is_tga(data: bytes) -> bool:
    """Tell whether the header is one of a Truevision TGA, which has no magic number (TGA 2.0, fields 1 to 5)."""
    if len(data) < 18:
        return False
    mapped, kind, depth, flags = data[1], data[2], data[16], data[17]
    known = (mapped, kind) in _TGA_KINDS and depth in (8, 15, 16, 24, 32) and flags < 0x40
    colour_map = data[3:8] == bytes(5) if not mapped else data[7] in (15, 16, 24, 32)
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    packed = kind >= 8
    least = 18 + data[0] + (1 if packed else width * height * ((depth + 7) // 8))
    return known and colour_map and width > 0 and height > 0 and len(data) >= least


def _sniff_iso(data: bytes) -> tuple[str | None, bool]:
    """Tell AVIF from HEIF by the brands of the ``ftyp`` box (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    for brand in brands:
        if brand in _ISO_BRANDS:
            return _ISO_BRANDS[brand], True
    return ("HEIF", True) if brands[0] in (b"mif1", b"msf1") else ("ISO media", False)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the canvas of a WebP file (RFC 9649), or None where the header does not say.

    The decoder allocates its canvas when it is opened, so the size has to be known before that.
    """
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


# Not a stuffed zero, not a restart marker. Of a run of fill bytes only the last is matched: with `\xff+` a run that
# ends in no marker would be read anew from each of its bytes.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SOF_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI = 0xDA, 0xD9


def count_scans(data: bytes, at_most: int) -> int:
    """Count the scans that a JPEG decoder would go through (ITU T.81, B.1), exactly where they are too many.

    A sequential JPEG whose first scan holds every component has no other, which the header tells. Elsewhere counting
    the two bytes of the marker gives an upper bound, and segments are walked only where that is above ``at_most``.
    """
    components = 0
    for marker, at in _segments(data):
        if marker in _SOF:
            components = data[at + 7] if len(data) > at + 7 else 0
            if marker in _SOF_PROGRESSIVE:
                break
        elif marker == _SOS:
            if components and data[at + 2 : at + 3] == bytes([components]):
                return 1
            break
    bound = data.count(b"\xff\xda")
    return bound if bound <= at_most else sum(marker == _SOS for marker, _ in _segments(data))


def count_fill(data: bytes) -> int:
    """Count the bytes before the first scan of a JPEG that belong to no segment: encoders write none, or a few."""
    at, fill = 2, 0
    for marker, start in _segments(data):
        fill += start - 2 - at
        if marker == _SOS:
            return fill
        at = start + int.from_bytes(data[start : start + 2], "big")
    return fill + max(0, len(data) - at)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield every marker with the offset of its length, as libjpeg finds them: junk between them is skipped."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:  # what follows is another picture, or junk
            return
        if marker not in (0x01, 0xD8):  # these two have no length
            yield marker, at
            at += int.from_bytes(data[at : at + 2], "big")


def first_scan(data: bytes) -> int | None:
    """Return where the entropy-coded data of a JPEG begins, None where there is none."""
    for marker, at in _segments(data):
        if marker == _SOS:
            return at + int.from_bytes(data[at : at + 2], "big")
    return None


_TIFF_TOO_NEW = frozenset({34712, 34887, 34892, 50001, 50002, 52546})  # JPEG 2000, LERC, lossy DNG, WebP, JPEG XL


def is_unsupported(data: bytes, name: str) -> bool:
    """Tell whether a file that does not decode is of a form that no decoder here reads, sound as it may be."""
    if name == "TIFF":
        return _tiff_compression(data) in _TIFF_TOO_NEW
    if name == "JPEG":  # lossless, hierarchical, arithmetic where it is not built in; 12 bits
        for marker, at in _segments(data):
            if marker in _SOF:
                return marker not in (0xC0, 0xC1, 0xC2) or data[at + 2 : at + 3] != b"\x08"
            if marker == _SOS:
                return False
    return False


def _tiff_compression(data: bytes) -> int:
    """Return the tag Compression of the first directory, 1 where there is none (TIFF 6.0, sections 2 and 8)."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(data[at : at + 2], order), 12):
        if int.from_bytes(data[entry : entry + 2], order) == 259:
            return int.from_bytes(data[entry + 8 : entry + 10], order)
    return 1


def coded_jpeg(data: bytes) -> Iterator[memoryview] | None:
    """Return all that the pixels of a JPEG depend on: its tables and frame headers, and from its first scan to its end.

    Metadata before the first scan is left out, but for what tells the colour space: Adobe's segment, and whether there
    is one of JFIF. None where there is no scan or no end.
    """
    parts: list[memoryview] = []
    view, jfif = memoryview(data), False
    for marker, at in _segments(data):
        segment = view[at : at + int.from_bytes(data[at : at + 2], "big")]
        if marker == _SOS:
            end = data.rfind(b"\xff\xd9", at)
            return iter([*parts, memoryview(bytes([jfif])), view[at:end]]) if end > 0 else None
        jfif = jfif or (marker == 0xE0 and data.startswith(b"JFIF", at + 2))
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or (marker == 0xEE and data.startswith(b"Adobe", at + 2)):
            parts += [memoryview(bytes([marker])), segment]
    return None


def coded_png(data: bytes) -> Iterator[memoryview] | None:
    """Return all that the pixels of a PNG depend on: its critical chunks and tRNS; None where it does not end."""
    parts: list[memoryview] = []
    view = memoryview(data)
    for kind, at, size in png_chunks(data):
        if kind == b"IEND":
            return iter(parts)
        if kind == b"tRNS" or not kind[0] & 0x20:  # an upper-case letter: the chunk is critical
            parts += [memoryview(kind), view[at : at + size]]
    return None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the offset and the length of the data of every whole chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, size
        at += 12 + size


def is_deep_avif(data: bytes) -> bool:
    """Tell whether some picture in an AVIF file has more than 8 bits a channel (AV1 in ISO media, 2.3.3)."""
    at = data.find(b"av1C")
    if at < 0:
        return True
    while at >= 0:
        if data[at + 6 : at + 7] and data[at + 6] & 0x40:
            return True
        at = data.find(b"av1C", at + 4, 1 << 20)
    return False


def looks_truncated(data: bytes, name: str) -> bool:
    """Tell whether a file that does not decode lacks its end; asked only after decoding has failed."""
    if name == "JPEG":
        return b"\xff\xd9" not in data[-64:]
    if name == "PNG":
        return b"IEND" not in data[-64:]
    if name == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if name == "GIF":
        return data[-1:] != b";"
    return name in ("AVIF", "HEIF") and _boxes_end(data) > len(data)


def _boxes_end(data: bytes) -> int:
    """Return where the last top-level box of an ISO media file says to end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:  # "to the end", or a size of 64 bits
            break
        at += size
    return at
