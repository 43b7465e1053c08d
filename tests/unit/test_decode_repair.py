"""What every viewer shows is shown, with a note of what was wrong; image data is never mended."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sosie.decode import decode
from sosie.errors import BadPicture
from tests.unit.test_decode_pixels import encoded, png, scene

VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + random.Random(0).randbytes(30_000)


def textured(width: int = 640, height: int = 480) -> Image.Image:
    values = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def reason(data: bytes) -> str:
    with pytest.raises(BadPicture) as caught:
        decode(data)
    return caught.value.reason


def png_with(kind: bytes, body: bytes, *, checksum: int | None = None, image: Image.Image | None = None) -> bytes:
    data = encoded(image or scene(), "PNG")
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return data[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum) + data[33:]


def test_a_sound_file_is_not_called_repaired() -> None:
    assert [decode(encoded(scene(), kind)).repaired for kind in ("JPEG", "PNG", "PPM", "TGA")] == [None] * 4


@pytest.mark.parametrize("behind", [b"", VIDEO, b"\0" * 40 + b"\xff\x33SEFT" * 9])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_a_jpeg_without_its_end_marker_is_shown(options: dict[str, int], behind: bytes) -> None:
    data = encoded(textured(), "JPEG", **options)
    picture = decode(data[:-2] + behind)
    assert picture.repaired == "no_end_marker"
    assert np.array_equal(picture.pixels, decode(data).pixels)


def test_a_grey_jpeg_without_its_end_marker_is_shown() -> None:
    data = encoded(textured().convert("L"), "JPEG")
    assert np.array_equal(decode(data[:-2]).pixels, decode(data).pixels)


def scan(data: bytes) -> int:
    return data.index(b"\xff\xda") + 14


@pytest.mark.parametrize("share", [0.97, 0.99])
def test_a_jpeg_of_which_nearly_all_rows_are_there_is_shown(share: float) -> None:
    data = encoded(textured(), "JPEG")
    cut = data[: scan(data) + int(share * (len(data) - scan(data)))]
    picture = decode(cut)
    assert picture.repaired == "no_end_marker"
    assert np.array_equal(picture.pixels[:400], decode(data).pixels[:400])


@pytest.mark.parametrize("behind", [b"", VIDEO])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_jpeg_that_lacks_more_rows_is_refused(share: float, behind: bytes) -> None:
    data = encoded(textured(), "JPEG")
    assert reason(data[: scan(data) + int(share * (len(data) - scan(data)))] + behind) in ("truncated", "corrupt")


def test_a_progressive_jpeg_that_lacks_half_of_its_scans_is_refused() -> None:
    data = encoded(textured(), "JPEG", progressive=True)
    assert reason(data[: len(data) // 2]) == "truncated"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"tEXt", b"Software\0camera"),
        (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
        (b"gAMA", struct.pack(">I", 45455)),
    ],
)
def test_a_png_with_a_bad_checksum_in_what_is_not_needed_is_shown(kind: bytes, body: bytes) -> None:
    picture = decode(png_with(kind, body, checksum=7))
    assert (picture.repaired, picture.width) == ("bad_checksum", 48)
    assert np.array_equal(picture.pixels, np.asarray(scene()))


@pytest.mark.parametrize(
    ("kind", "head"), [(b"iCCP", b"ICC\0\0"), (b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")]
)
def test_a_png_with_a_large_text_or_profile_is_shown_without_unpacking_it(kind: bytes, head: bytes) -> None:
    picture = decode(png_with(kind, head + zlib.compress(bytes(8_000_000))))
    assert picture.repaired == "large_metadata"
    assert np.array_equal(picture.pixels, np.asarray(scene()))


def test_damaged_image_data_is_refused_whatever_else_is_wrong() -> None:
    body = png(48, 32, 8, 2, (b"\0" + b"\x10\x20\x30" * 48) * 32)
    at = body.index(b"IDAT") + 10
    body = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
    assert reason(body) == "corrupt"
    blemished = body[:33] + struct.pack(">I", 3) + b"tEXtA\0B" + b"\0\0\0\0" + body[33:]
    assert reason(blemished) == "corrupt"


def test_what_was_repaired_has_the_same_pixels_as_itself_alone() -> None:
    data = encoded(textured(), "JPEG")
    digests = {decode(each, identify="quick").exact for each in (data, data[:-2], data[:-2] + VIDEO)}
    assert len(digests) == 3


# --------------------------------------------------------------------------------------------- further formats


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_portable_maps_are_read(mode: str) -> None:
    image = scene().convert(mode)
    picture = decode(encoded(image, "PPM"), identify="quick")
    assert picture.format == "PPM"
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.exact == decode(encoded(image, "PNG"), identify="quick").exact


def test_portable_maps_in_plain_text_are_read() -> None:
    assert decode(b"P3\n# drawn by hand\n2 1\n255\n255 0 0  0 0 255\n").pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_all_bits_of_a_portable_map_count() -> None:
    files = [b"P6 4 4 65535\n" + bytes([200, low] * 48) for low in (3, 4)]
    assert np.array_equal(decode(files[0]).pixels, decode(files[1]).pixels)
    assert decode(files[0], identify="quick").exact != decode(files[1], identify="quick").exact


@pytest.mark.parametrize("compression", [None, "tga_rle"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_tga_is_read(mode: str, compression: str | None) -> None:
    image = scene().convert(mode)
    picture = decode(encoded(image, "TGA", compression=compression))
    assert picture.format == "TGA"
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "junk", [bytes(64), b"\0\0\2" + b"\xff" * 61, random.Random(1).randbytes(4000), b"text\n" * 20]
)
def test_junk_is_not_taken_for_a_tga(junk: bytes) -> None:
    assert reason(junk) == "not_a_picture"


# --------------------------------------------------------------------------------------------- sound, but not decoded


def tiff(compression: int, kind: int, bits: int) -> bytes:
    """A TIFF of 8 × 8 colours whose samples are of this kind (3: floats)."""
    body = bytes(8 * 8 * 3 * bits // 8)
    after = 8 + 2 + 12 * 9 + 4
    shorts = [(256, 8), (257, 8), (259, compression), (262, 2), (277, 3), (278, 8)]
    entries = [(tag, 3, 1, struct.pack("<HH", value, 0)) for tag, value in shorts]
    entries += [(258, 3, 3, struct.pack("<I", after)), (339, 3, 3, struct.pack("<I", after + 6))]
    entries += [(273, 4, 1, struct.pack("<I", after + 12))]
    table = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in sorted(entries))
    samples = struct.pack("<6H", bits, bits, bits, kind, kind, kind)
    return b"II*\0" + struct.pack("<IH", 8, 9) + table + bytes(4) + samples + body


@pytest.mark.parametrize(
    "data",
    [
        tiff(1, 3, 32),
        tiff(50001, 1, 8),
        tiff(50002, 1, 8),
        encoded(scene(), "JPEG").replace(b"\xff\xc0", b"\xff\xc3"),
        encoded(scene(), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        encoded(scene(), "BMP")[:30] + struct.pack("<I", 4) + encoded(scene(), "BMP")[34:],
    ],
    ids=["floats", "WebP in TIFF", "JPEG XL in TIFF", "lossless JPEG", "JPEG of 12 bits", "JPEG in BMP"],
)
def test_a_form_that_is_not_decoded_is_not_called_corrupt(data: bytes) -> None:
    assert reason(data) == "unsupported"


def test_the_helpers_draw_what_they_say() -> None:
    assert decode(png(4, 4, 8, 2, (b"\0" + b"\x10\x20\x30" * 4) * 4)).pixels[0, 0].tolist() == [0x10, 0x20, 0x30]
    with Image.open(io.BytesIO(tiff(1, 1, 8))) as image:
        assert image.size == (8, 8)
