"""Headers are read without a decoder, and agree with one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from sosie.decode import decode
from sosie.decode.headers import count_fill, count_scans, sniff, webp_size
from sosie.errors import BadPicture


def encoded(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_every_format_is_known_by_its_first_bytes(kind: str) -> None:
    assert sniff(encoded(kind)) == (kind, True)


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = major + b"\0\0\0\0" + b"".join(compatible)
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (ftyp(b"heic"), "HEIF"),
        (ftyp(b"mif1", b"mif1", b"heic"), "HEIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"msf1"), "HEIF"),
    ],
)
def test_brands_tell_avif_from_heif(data: bytes, name: str) -> None:
    assert sniff(data) == (name, True)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "EPS"),
        (b"8BPS\0\1", "PSD"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\n <svg width='1'/>", "SVG"),
        (b"\0\0\1\0\1\0", "ICO"),
        (ftyp(b"isom", b"mp42"), "ISO media"),
    ],
)
def test_what_is_never_opened_is_named(data: bytes, name: str) -> None:
    assert sniff(data) == (name, False)


@pytest.mark.parametrize("data", [b"", b"\xff", b"BM is how this text begins", b"<html>", b"RIFF1234WAVE"])
def test_what_is_no_picture_has_no_name(data: bytes) -> None:
    assert sniff(data) == (None, False)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"mode": "RGBA", "lossless": False, "exif": b"x"}])
def test_the_canvas_of_a_webp_is_read_from_its_header(options: dict[str, Any]) -> None:
    assert webp_size(encoded("WEBP", (40, 30), **options)) == (40, 30)


def test_a_headless_webp_has_no_canvas() -> None:
    assert webp_size(encoded("WEBP")[:20]) is None


def scans(data: bytes, at_most: int = 0) -> int:
    return count_scans(data, at_most)


def test_a_sequential_jpeg_has_one_scan_and_a_progressive_one_several() -> None:
    assert scans(encoded("JPEG")) == 1
    assert scans(encoded("JPEG", progressive=True)) == encoded("JPEG", progressive=True).count(b"\xff\xda") > 1


def test_scan_markers_within_metadata_are_not_scans() -> None:
    plain = encoded("JPEG", progressive=True)
    assert scans(encoded("JPEG", progressive=True, comment=b"\xff\xda" * 100)) == scans(plain)


def test_what_follows_the_end_is_not_counted() -> None:
    plain = encoded("JPEG", progressive=True)
    assert scans(plain + b"\0\2" + plain) == scans(plain)


def test_fewer_than_asked_are_not_counted_exactly() -> None:
    data = encoded("JPEG", progressive=True)
    assert scans(data + b"\xff\xda", at_most=1000) == scans(data) + 1  # an upper bound is enough


def test_fill_before_the_first_scan_is_counted_and_much_of_it_refused() -> None:
    whole = encoded("JPEG")
    padded = whole[:2] + b"\xff" * 1000 + whole[2:]
    assert (count_fill(whole), count_fill(padded)) == (0, 1000)
    assert decode(padded).width == 40
    for data in (whole[:2] + b"\xff" * 5_000 + whole[2:], whole[:2] + b"\xff" * 5_000 + b"\0"):
        with pytest.raises(BadPicture, match="no segment"):
            decode(data)
