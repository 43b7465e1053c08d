"""A bad picture is refused with its reason, at a cost that a limit bounds; take the limit away and it is not."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sosie.decode import REASONS, DecodePool, Limits, decode
from sosie.errors import BadPicture


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def reason(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(BadPicture) as caught:
        decode(data, limits=limits or Limits())
    assert caught.value.reason in REASONS
    return caught.value.reason


def size(data: bytes, limits: Limits) -> tuple[int, int]:
    picture = decode(data, limits=limits)
    return picture.width, picture.height


# ------------------------------------------------------------------------------------------ what it is not


def test_no_bytes() -> None:
    assert reason(b"") == "empty"


@pytest.mark.parametrize("data", [b"not a picture at all", b"BM, this text begins", b"\0" * 100, b"\xff\xd8"])
def test_text_under_another_name(data: bytes) -> None:
    assert reason(data) == "not_a_picture"


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "JPEG2000"])
def test_what_pillow_would_open_or_write_is_refused(kind: str) -> None:
    assert reason(encoded(noise(), kind)) == "unsupported_format"


def test_a_psd_that_pillow_opens_is_refused() -> None:
    data = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(12) + b"\0\0" + bytes(48)
    assert Image.open(io.BytesIO(data)).format == "PSD"
    assert reason(data) == "unsupported_format"


@pytest.mark.parametrize("kind", ["SGI", "PCX", "IM", "SPIDER"])
def test_formats_that_are_not_on_the_list_are_refused(kind: str) -> None:
    assert reason(encoded(noise(), kind)) == "not_a_picture"


# --------------------------------------------------------------------------------------------- truncation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(kind: str, part: float) -> None:
    data = encoded(noise(), kind)
    assert reason(data[: int(len(data) * part)]) == "truncated"


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_truncated_tiff_is_refused(compression: str | None) -> None:
    data = encoded(noise(), "TIFF", compression=compression)
    assert reason(data[: len(data) // 2]) in ("truncated", "corrupt")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"])
def test_a_bare_header_is_refused(kind: str) -> None:
    for length in range(12, 60, 3):
        assert reason(encoded(noise(), kind)[:length]) in ("truncated", "corrupt", "not_a_picture")


# -------------------------------------------------------------------------------------------------- sizes


def test_one_pixel_is_a_picture() -> None:
    assert size(encoded(noise(1, 1), "PNG"), Limits()) == (1, 1)


@pytest.mark.parametrize("shape", [(65536, 1), (1, 65536)])
def test_too_large_a_side(shape: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", shape), "PNG")
    assert reason(data) == "too_large_side"
    assert size(data, Limits(max_side=65536)) == shape


# 13,000 × 13,000 pixels of one colour, lossless.
VAST_WEBP = bytes.fromhex("524946461e000000574542505650384c110000002fc7f2b10c0750bc6ad5b2ff8188e87f0000")


def test_a_vast_webp_of_a_few_bytes() -> None:
    assert reason(VAST_WEBP) == "too_many_pixels"


def test_without_the_limit_a_vast_webp_gets_as_far_as_the_memory_limit() -> None:
    limits = Limits(max_pixels=400_000_000, memory=400 << 20)
    with DecodePool(limits=limits) as pool, pytest.raises(BadPicture, match="could not create decoder"):
        pool.submit(VAST_WEBP).result(timeout=60)


def test_a_vast_webp_is_refused_before_its_canvas_is_allocated() -> None:
    limits = Limits(memory=400 << 20)
    with DecodePool(limits=limits) as pool, pytest.raises(BadPicture, match="too_many_pixels"):
        pool.submit(VAST_WEBP).result(timeout=60)


@pytest.mark.parametrize(("memory", "reason"), [(100 << 20, "out_of_memory"), (Limits().memory, None)])
def test_a_picture_that_needs_more_memory_than_there_is(memory: int, reason: str | None) -> None:
    data = encoded(Image.new("RGB", (8000, 5000)), "PNG", compress_level=1)
    with DecodePool(params={"side": 8}, limits=Limits(memory=memory)) as pool:
        found = pool.submit(data).exception(timeout=60)
    assert (found.reason if isinstance(found, BadPicture) else found) == reason


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG"])
def test_too_many_pixels(kind: str) -> None:
    data = encoded(noise(), kind)
    held = 64 * 48 * (2 if kind == "WEBP" else 1)
    assert reason(data, Limits(max_pixels=held - 1)) == "too_many_pixels"
    assert size(data, Limits(max_pixels=held)) == (64, 48)


def test_too_many_bytes() -> None:
    data = encoded(noise(), "PNG")
    assert reason(data, Limits(max_bytes=len(data) - 1)) == "too_many_bytes"
    assert size(data, Limits(max_bytes=len(data))) == (64, 48)


def test_too_many_bytes_never_reach_a_worker() -> None:
    with DecodePool(limits=Limits(max_bytes=9)) as pool, pytest.raises(BadPicture, match="too_many_bytes"):
        pool.submit(bytes(10)).result(timeout=0)


# --------------------------------------------------------------------------------------------------- bombs


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(noise(16, 16), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def test_a_jpeg_of_a_thousand_scans() -> None:
    assert reason(jpeg_of_scans(1000)) == "too_many_scans"
    assert size(jpeg_of_scans(1000), Limits(max_scans=1000)) == (16, 16)


def test_a_jpeg_of_as_many_scans_as_may_be() -> None:
    assert size(jpeg_of_scans(64), Limits()) == (16, 16)
    assert reason(jpeg_of_scans(65)) == "too_many_scans"


def test_a_sequential_jpeg_of_many_scans() -> None:
    """libjpeg goes through the scans of a component again as often as they come."""
    data = sequential_by_component(200)
    assert reason(data) == "too_many_scans"
    assert size(data, Limits(max_scans=202)) == (8, 8)


def sequential_by_component(repeats: int) -> bytes:
    """An 8 × 8 JPEG with one scan a component; every coefficient is zero, that is, two one-bit codes a block."""
    tables = b"".join(segment(0xC4, bytes([kind << 4, 1] + [0] * 15 + [0])) for kind in (0, 1))
    head = segment(0xDB, b"\0" + b"\1" * 64)
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 3) + b"".join(bytes([c, 0x11, 0]) for c in (1, 2, 3)))
    scans = [segment(0xDA, bytes([1, c, 0, 0, 63, 0])) + b"\x3f" for c in (*[1] * repeats, 2, 3)]
    return b"\xff\xd8" + head + frame + tables + b"".join(scans) + b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def png_with(name: bytes, body: bytes, *, after: bool = False) -> bytes:
    """A PNG with one more chunk, before or after the pixels."""
    data = encoded(noise(8, 8), "PNG")
    at = data.index(b"IEND") - 4 if after else 33
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data[:at] + chunk + data[at:]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_zip_bomb_within_a_png_is_left_out(name: bytes, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"a\0\1\0\0\0" if name == b"iTXt" else b"a\0\0"
    data = png_with(name, before + zlib.compress(bytes(8 << 20)), after=after)
    assert len(data) < 20_000
    tracemalloc.start()
    repaired, (_, peak) = decode(data).repaired, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (repaired, peak < 4 << 20) == ("large_metadata", True)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 16 << 20)
    assert decode(data).repaired is None


def tiled_tiff(side: int) -> bytes:
    """An 8 × 8 grey TIFF in one tile that says to have ``side`` × ``side`` pixels, LZW."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 5), (262, 1), (277, 1), (322, side), (323, side), (324, 8), (325, 64)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_tiff_with_absurd_tiles() -> None:
    assert reason(tiled_tiff(1 << 15)) == "too_many_pixels"
    assert reason(tiled_tiff(16)) in ("corrupt", "truncated")  # small tiles get as far as the decoder


def test_a_deep_nest_of_exif_says_nothing() -> None:
    entry = struct.pack(">HHII", 0x8769, 4, 1, 8)  # an Exif directory that is itself
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)
    assert size(encoded(noise(), "JPEG", exif=exif), Limits()) == (64, 48)


# ------------------------------------------------------------------------------------------------ mutation


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, overwrite a run, cut, or repeat a part."""
    changed = bytearray(data)
    at, length = int(rng.integers(len(changed))), int(rng.integers(1, 40))
    kind = rng.integers(5)
    if kind <= 1:
        for where in rng.integers(0, len(changed), int(rng.integers(1, 12))):
            changed[where] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        changed[at : at + length] = rng.bytes(length)
    elif kind == 3:
        del changed[at : at + length]
    else:
        changed[at:at] = changed[at : at + length]
    return bytes(changed)


def mended(data: bytes) -> bytes:
    """Give every chunk of a PNG the checksum that it should have, so that the damage gets to the decoder."""
    whole, at = bytearray(data), 8
    while at + 12 <= len(whole):
        end = at + 8 + int.from_bytes(whole[at : at + 4], "big")
        if end + 4 > len(whole):
            break
        whole[end : end + 4] = zlib.crc32(whole[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(whole)


SEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "GIF": ("GIF", {}),
    "TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "AVIF": ("AVIF", {}),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_file_gives_a_picture_or_a_reason(seed: str) -> None:
    kind, options = SEEDS[seed]
    data, rng = encoded(noise(32, 24), kind, **options), np.random.default_rng(0)
    items = [(at, mutated(data, rng)) for at in range(200)]
    if kind == "PNG":
        items += [(at, mended(item)) for at, item in items]
    with DecodePool(params={"side": 8}) as pool:
        found = [answer for _, answer in pool.map(items, in_flight=16)]
    assert len(found) == len(items)
    refused = {answer.reason for answer in found if isinstance(answer, BadPicture)}
    assert refused <= set(REASONS) - {"crashed", "timeout", "analysis_failed"}
    assert any(not isinstance(answer, BadPicture) for answer in found)
