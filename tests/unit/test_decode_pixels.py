"""Whatever its file looks like, a decoded picture is upright 8-bit sRGB over white."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from sosie.decode import FORMATS, decode
from sosie.decode import colour as colours
from sosie.errors import BadPicture
from sosie.types import Pixels

GOLDEN = Path(__file__).parents[1] / "golden"
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """Four quarters of different colours, so that every turn and flip shows."""
    image = Image.new("RGB", (width, height), (20, 40, 200))
    image.paste((220, 30, 30), (0, 0, width // 2, height // 2))
    image.paste((30, 200, 40), (width // 2, 0, width, height // 2))
    image.paste((230, 220, 60), (0, height // 2, width // 2, height))
    return image


def colour(data: bytes) -> tuple[int, ...]:
    return tuple(int(v) for v in decode(data).pixels[0, 0])


def distance(a: Pixels, b: Pixels) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("JPEG", 5.0), ("PNG", 0.0), ("WEBP", 4.0), ("GIF", 0.0), ("TIFF", 0.0), ("BMP", 0.0), ("AVIF", 4.0)],
)
def test_a_format_is_decoded(kind: str, tolerance: float) -> None:
    picture = decode(encoded(scene(), kind))
    assert (picture.width, picture.height, picture.format) == (48, 32, kind)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert distance(picture.pixels, np.asarray(scene())) <= tolerance


def test_heic_is_decoded() -> None:
    picture = decode((GOLDEN / "scene.heic").read_bytes(), side=8)
    assert (picture.width, picture.height, picture.format) == (48, 32, "HEIF")
    assert distance(picture.pixels, np.asarray(scene().reduce(2))) <= 6.0


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    with pytest.raises(BadPicture, match=r"missing_decoder.*the extra heif"):
        decode((GOLDEN / "scene.heic").read_bytes())


def test_the_first_picture_of_an_mpo_is_decoded() -> None:
    data = encoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert (decode(data).width, decode(data).format) == (48, "JPEG")


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_the_first_frame_is_decoded(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in (RED, (0, 0, 255))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(np.subtract(colour(data), RED)).max() <= 3


# --------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_decodes_to_the_same_picture(orientation: int, kind: str) -> None:
    lying = scene()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose that a camera so held has applied
    if orientation > 1:
        lying = lying.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(lying, kind, exif=exif))
    assert (picture.width, picture.height) == (48, 32)
    assert distance(picture.pixels, np.asarray(scene())) <= 6.0


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_an_orientation_may_stand_in_xmp(kind: str) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, Any] = {"xmp": xmp}
    if kind == "TIFF":
        options = {"tiffinfo": {700: xmp}}
    elif kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {"pnginfo": text}
    picture = decode(encoded(scene().transpose(Image.Transpose.ROTATE_90), kind, **options))
    assert (picture.width, picture.height) == (48, 32)
    assert distance(picture.pixels, np.asarray(scene())) <= 6.0


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0junk", b"Exif\0\0"])
def test_damaged_exif_says_nothing(exif: bytes) -> None:
    assert decode(encoded(scene(), "JPEG", exif=exif)).width == 48


# ------------------------------------------------------------------------------------------------- colours


def test_transparency_lies_over_white() -> None:
    assert colour(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG")) == WHITE
    assert colour(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 255)), "PNG")) == RED
    assert colour(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")) == (255, 127, 127)


def test_grey_with_alpha_lies_over_white() -> None:
    assert colour(encoded(Image.new("LA", (4, 4), (0, 0)), "PNG")) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_lies_over_white(kind: str) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((3, 3), 1)
    assert colour(encoded(image, kind)) == RED
    assert colour(encoded(image, kind, transparency=0)) == WHITE


def test_a_transparent_colour_lies_over_white() -> None:
    assert colour(encoded(Image.new("RGB", (4, 4), RED), "PNG", transparency=RED)) == WHITE


@pytest.mark.parametrize("level", [255, 246])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_what_would_be_flat_over_white_lies_over_black(kind: str, level: int) -> None:
    image = Image.new("RGBA", (32, 32), (level, level, level, 0))
    image.paste((level, level, level, 255), (8, 8, 24, 24))
    pixels = decode(encoded(image, kind)).pixels
    assert pixels[0, 0].max() <= 3
    assert pixels[16, 16].min() >= level - 3


def test_what_is_flat_over_any_ground_lies_over_white() -> None:
    assert colour(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")) == WHITE


def bmp(pixels: Pixels) -> bytes:
    """A BMP with a mask for alpha (BITMAPV5HEADER) of pixels (height, width, 4)."""
    height, width, _ = pixels.shape
    body = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    head = (head + struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs").ljust(124, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_bmp_whose_alpha_is_zero_everywhere_is_opaque(alpha: int) -> None:
    pixels = np.dstack([np.asarray(scene()), np.full((32, 48), alpha, np.uint8)])
    picture = decode(bmp(pixels), identify="quick")
    assert np.array_equal(picture.pixels, np.asarray(scene()))
    assert picture.exact == decode(encoded(scene(), "PNG"), identify="quick").exact


def test_the_alpha_of_a_bmp_counts_where_some_of_it_is_set() -> None:
    pixels = np.dstack([np.asarray(scene()), np.zeros((32, 48), np.uint8)])
    pixels[:16, :, 3] = 255
    assert decode(bmp(pixels)).pixels[31, 0].tolist() == list(WHITE)


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (4, 4), 0)
    image.putpixel((0, 0), 1)
    pixels = decode(encoded(image, "PNG")).pixels
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[1, 1].tolist() == [0] * 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_keep_their_upper_eight(kind: str) -> None:
    image = Image.fromarray(np.full((4, 4), 0x8123, np.uint16))
    assert colour(encoded(image, kind)) == (0x81,) * 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_sixteen_bits_of_grey_are_shown_by_the_bits_that_are_used(bits: int, kind: str) -> None:
    grey = np.asarray(scene().convert("L"))
    pixels = decode(encoded(Image.fromarray(grey.astype(np.uint16) << (bits - 8)), kind)).pixels
    assert np.array_equal(pixels[..., 0], grey)


@pytest.mark.parametrize("lowest", [0, 1, 1000, 40_000])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_mask_of_small_numbers_or_of_close_ones_shows(kind: str, lowest: int) -> None:
    mask = np.full((16, 16), lowest, np.uint16)
    mask[4:12, 4:12] += 40
    pixels = decode(encoded(Image.fromarray(mask), kind)).pixels
    assert int(np.ptp(pixels)) >= 100


def test_floats_that_fill_little_of_their_range_show() -> None:
    values = np.array([[0.001, 0.002, 0.003]], np.float32)
    assert decode(encoded(Image.fromarray(values), "TIFF")).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_sixteen_bits_of_colour_keep_their_upper_eight() -> None:
    row = b"\0" + struct.pack(">3H", 0xFF12, 0x8034, 0x0156) * 4
    assert colour(png(4, 4, 16, 2, row * 4)) == (0xFF, 0x80, 0x01)


@pytest.mark.parametrize(
    ("values", "grey"), [((0.0, 0.5, 1.0), (0, 128, 255)), ((-10.0, 0.0, 10.0), (0, 128, 255)), ((5.0,) * 3, (0,) * 3)]
)
def test_floats_are_scaled_by_what_the_picture_holds(values: tuple[float, ...], grey: tuple[int, ...]) -> None:
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert decode(data).pixels[0, :, 0].tolist() == list(grey)


def test_floats_that_are_no_numbers_are_black() -> None:
    data = encoded(Image.fromarray(np.array([[np.nan, np.inf, 0.0, 1.0]], np.float32)), "TIFF")
    assert decode(data).pixels[0, :, 0].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    # Pillow writes CMYK JPEGs as Adobe does, inverted.
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind)
    assert np.abs(np.subtract(colour(data), RED)).max() <= 3


def test_lab_becomes_rgb() -> None:
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    data = encoded(ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 40, 90)), to_lab), "TIFF")
    assert np.abs(np.subtract(colour(data), (200, 40, 90))).max() <= 4


def png(width: int, height: int, bits: int, kind: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)


# ------------------------------------------------------------------------------------------- ICC profiles


def wide_gamut() -> bytes:
    """A matrix profile with the primaries of Adobe RGB (1998), gamma 2.2, written by hand (ICC.1:2010, 8.3)."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + b"\0" * 79
    tags = [(b"desc", text), (b"wtpt", xyz(0.9642, 1.0, 0.8249)), (b"cprt", b"text\0\0\0\0none")]
    tags += [(b"rXYZ", xyz(0.60974, 0.31111, 0.01947)), (b"gXYZ", xyz(0.20528, 0.62567, 0.06087))]
    tags += [(b"bXYZ", xyz(0.14919, 0.06322, 0.74457)), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I4sI", at + len(body), b"lcms", 0x02100000) + b"mntrRGB XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


def test_a_wide_gamut_profile_changes_colours_as_littlecms_says() -> None:
    image, profile = Image.new("RGB", (4, 4), (120, 200, 60)), wide_gamut()
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert expected is not None
    found = colour(encoded(image, "PNG", icc_profile=profile))
    assert found == expected.getpixel((0, 0))
    assert found != (120, 200, 60)


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(scene(), "PNG", icc_profile=profile)
    assert np.array_equal(decode(data).pixels, np.asarray(scene()))


def test_only_a_profile_that_changes_colours_costs_a_conversion() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colours._transform(srgb, "RGB") is None
    assert colours._transform(wide_gamut(), "RGB") is not None


@pytest.mark.parametrize("profile", [b"junk", wide_gamut()[:200], wide_gamut().replace(b"RGB ", b"CMYK")])
def test_a_damaged_or_foreign_profile_is_ignored(profile: bytes) -> None:
    assert colour(encoded(Image.new("RGB", (4, 4), (120, 200, 60)), "PNG", icc_profile=profile)) == (120, 200, 60)


# ---------------------------------------------------------------------------------------------- reduction


@pytest.mark.parametrize(("side", "width"), [(None, 800), (301, 800), (300, 400), (200, 400), (100, 200), (10, 100)])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_enough(side: int | None, width: int) -> None:
    picture = decode(encoded(scene(800, 600), "JPEG"), side=side)
    assert picture.pixels.shape[1] == width
    assert (picture.width, picture.height) == (800, 600)
    assert min(picture.pixels.shape[:2]) >= min(side or 0, 75)


@pytest.mark.parametrize(("side", "width"), [(None, 800), (300, 800), (200, 800), (150, 400), (100, 267), (10, 27)])
def test_another_format_is_reduced_to_twice_what_is_needed(side: int | None, width: int) -> None:
    picture = decode(encoded(scene(800, 600), "PNG"), side=side)
    assert picture.pixels.shape[1] == width
    assert (picture.width, picture.height) == (800, 600)


def test_the_size_is_the_upright_one_when_reduced_and_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode(encoded(scene(800, 600), "JPEG", exif=exif), side=100)
    assert (picture.width, picture.height) == (600, 800)
    assert picture.pixels.shape == (200, 150, 3)


def test_every_decoder_is_named_and_can_be_imported() -> None:
    from importlib import import_module

    for name, home in FORMATS.items():
        if name != "HEIF":
            module, _, attribute = home.partition(":")
            assert getattr(import_module(module), attribute).format == name
