"""Two files have one exact digest only where every decoded pixel of every frame is equal."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from sosie.analysis.worker import WORKING_SIDE, pixel_digest
from sosie.decode import decode
from sosie.decode.identity import WHOLE, array_digest
from sosie.types import Picture
from tests.unit.test_decode_pixels import encoded, png, wide_gamut

RNG = np.random.default_rng(7)
LARGE = (1600, 1200)


def noise(width: int, height: int, seed: int = 0, channels: int = 3) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values)


def smooth(width: int, height: int) -> Image.Image:
    return noise(16, 12).resize((width, height), Image.Resampling.BICUBIC)


def exact(data: bytes, effort: str = "quick", side: int | None = 360) -> bytes:
    digest = decode(data, side=side, identify=effort).exact
    assert digest is not None
    return digest


def frames_of(data: bytes) -> int:
    return decode(data, identify="quick").frames


def test_nothing_is_digested_unasked() -> None:
    assert decode(encoded(noise(8, 8), "PNG")).exact is None


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_a_picture_is_the_same_in_every_format_without_loss(mode: str, kind: str) -> None:
    image = noise(40, 30).convert(mode)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert exact(encoded(image, kind, **options)) == exact(encoded(image, "PNG"))


def test_what_comes_from_no_file_has_the_digest_of_its_file() -> None:
    pixels = np.asarray(noise(40, 30))
    assert array_digest(pixels) == exact(encoded(Image.fromarray(pixels), "PNG"))
    assert pixel_digest(Picture(pixels, 40, 30)) == array_digest(pixels)
    with pytest.raises(ValueError, match="reduced"):
        pixel_digest(Picture(pixels, 80, 60))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_is_digested_upright(orientation: int, kind: str) -> None:
    image = noise(40, 30)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    lying = encoded(image.transpose(Image.Transpose(undo)), kind, exif=exif, **options)
    assert exact(lying) == exact(encoded(image, "PNG"))


def test_alpha_is_a_part_of_the_picture() -> None:
    drawn = [Image.new("RGBA", (64, 64), (0, 0, 0, 0)) for _ in range(2)]
    drawn[0].paste((255, 255, 255, 255), (10, 10, 30, 50))
    drawn[1].paste((255, 255, 255, 255), (5, 5, 60, 20))
    assert len({exact(encoded(image, "PNG")) for image in drawn}) == 2
    assert exact(encoded(drawn[0], "WEBP", lossless=True, exact=True)) == exact(encoded(drawn[0], "PNG"))
    assert exact(encoded(noise(9, 9).convert("RGBA"), "PNG")) == exact(encoded(noise(9, 9), "PNG"))  # all opaque


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_entry_of_a_palette_is_a_part_of_the_picture(kind: str) -> None:
    image = noise(20, 20).quantize(8)
    assert exact(encoded(image, kind, transparency=3)) != exact(encoded(image, kind))
    assert exact(encoded(image, kind, transparency=3)) != exact(encoded(image, kind, transparency=4))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_every_frame_counts(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    frames = [noise(24, 16, seed).quantize(16).convert("RGB") for seed in range(5)]

    def saved(*which: int) -> bytes:
        first, *others = (frames[at] for at in which)
        return encoded(first, kind, save_all=True, append_images=others, **options)

    films = [saved(0), saved(0, 1), saved(0, 1, 2), saved(0, 1, 3), saved(0, 2, 1)]
    assert [frames_of(film) for film in films] == [1, 2, 3, 3, 3]
    assert len({exact(film) for film in films}) == 5
    assert exact(saved(0, 1, 2)) == exact(films[2])


def test_an_animation_is_the_same_in_every_format_without_loss() -> None:
    frames = [noise(24, 16, seed).quantize(16).convert("RGB") for seed in range(3)]
    every = {"save_all": True, "append_images": frames[1:]}
    films = [encoded(frames[0], "TIFF", **every), encoded(frames[0], "WEBP", lossless=True, **every)]
    assert exact(films[0]) == exact(films[1]) == exact(encoded(frames[0], "PNG", **every))


def test_an_animation_of_which_a_later_frame_is_damaged_claims_nothing() -> None:
    frames = [noise(64, 64, seed).quantize(16) for seed in range(4)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    cut, shorter = data[:-2000], data[:-2001]
    assert exact(cut) != exact(shorter)
    assert np.array_equal(decode(cut).pixels, decode(data).pixels)


def test_more_frames_than_are_decoded_claim_nothing() -> None:
    frames = [Image.new("RGB", (2000, 1500), (at, 0, 0)) for at in range(7)]

    def saved(duration: int) -> bytes:
        return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=duration)

    assert exact(saved(100)) != exact(saved(200))  # 21 megapixels
    assert exact(saved(100), "full") == exact(saved(200), "full")


@pytest.mark.parametrize("pair", ["masks", "upper eight", "signed"])
def test_all_bits_of_grey_count(pair: str) -> None:
    values = RNG.integers(0, 60, (30, 40)).astype(np.uint16)
    other = {"masks": values + 1, "upper eight": values ^ 1, "signed": values + 0x8000}[pair]
    for kind in ("PNG", "TIFF"):
        assert exact(encoded(Image.fromarray(values), kind)) != exact(encoded(Image.fromarray(other), kind))
    assert exact(encoded(Image.fromarray(values), "PNG")) == exact(encoded(Image.fromarray(values), "TIFF"))


def test_all_bits_of_colour_count_though_the_decoder_keeps_eight() -> None:
    def picture(low: int) -> bytes:
        return png(4, 4, 16, 2, (b"\0" + struct.pack(">3H", 0xFF00 | low, 0x8034, 0x0156) * 4) * 4)

    rows = (b"\0" + struct.pack(">3H", 0xFF12, 0x8034, 0x0156) * 4) * 4
    assert exact(png(4, 4, 16, 2, rows, (b"tEXt", b"Software\0camera"))) == exact(picture(0x12))
    assert np.array_equal(decode(picture(0x12)).pixels, decode(picture(0x13)).pixels)
    assert exact(picture(0x12)) != exact(picture(0x13))


def test_floats_count_to_their_last_bit() -> None:
    values = RNG.random((30, 40), np.float32)
    other = np.nextafter(values, np.float32(2))
    assert exact(encoded(Image.fromarray(values), "TIFF")) != exact(encoded(Image.fromarray(other), "TIFF"))


def test_a_channel_of_a_tiff_that_the_decoder_drops_counts() -> None:
    def picture(fourth: int) -> bytes:
        values = np.dstack([np.asarray(noise(8, 8)), np.full((8, 8), fourth, np.uint8)])
        data = encoded(Image.fromarray(values), "TIFF")
        said = struct.pack("<HHIH", 338, 3, 1, 2)  # ExtraSamples: alpha; now of unknown meaning
        assert data.count(said) == 1
        return data.replace(said, struct.pack("<HHIH", 338, 3, 1, 0))

    assert np.array_equal(decode(picture(3)).pixels, decode(picture(4)).pixels)
    assert exact(picture(3)) != exact(picture(4))


def test_patterns_that_are_equal_once_reduced_are_told_apart() -> None:
    y, x = np.indices((2880, 2880))
    checker, stripes = (Image.fromarray((a * 255).astype(np.uint8)) for a in ((x + y) % 2, x % 2))
    reduced = [decode(encoded(image, "PNG"), side=360).pixels for image in (checker, stripes)]
    assert np.array_equal(reduced[0], reduced[1])
    assert exact(encoded(checker, "PNG")) != exact(encoded(stripes, "PNG"))


def test_a_profile_that_changes_colours_is_a_part_of_the_picture() -> None:
    image = noise(20, 20)
    assert exact(encoded(image, "PNG", icc_profile=wide_gamut())) != exact(encoded(image, "PNG"))
    large = smooth(*LARGE)
    assert exact(encoded(large, "JPEG", icc_profile=wide_gamut())) != exact(encoded(large, "JPEG"))


def test_a_profile_that_is_srgb_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = noise(20, 20)
    assert exact(encoded(image, "PNG", icc_profile=srgb)) == exact(encoded(image, "PNG"))


# --------------------------------------------------------------------------------------------- JPEG


def tagged(data: bytes, comment: bytes) -> bytes:
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]


def test_small_jpegs_are_decoded_whole_whatever_is_needed_of_them() -> None:
    assert WHOLE >= 2 * WORKING_SIDE  # so that ingest decodes them whole for its own sake
    data = encoded(smooth(900, 700), "JPEG")
    assert exact(data) == exact(data, side=20) == exact(encoded(Image.fromarray(decode(data).pixels), "PNG"))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_is_the_same_under_other_metadata(progressive: bool) -> None:
    data = encoded(smooth(*LARGE), "JPEG", progressive=progressive)
    assert exact(tagged(data, b"of my holidays")) == exact(data) == exact(data, side=900)
    assert exact(data + b"a film behind it") == exact(data)


def test_large_jpegs_that_are_equal_at_an_eighth_are_told_apart() -> None:
    y, x = np.indices((2880, 2880))
    files = [encoded(Image.fromarray((a * 255).astype(np.uint8)), "JPEG", quality=95) for a in ((x + y) % 2, x % 2)]
    assert exact(files[0]) != exact(files[1])


@pytest.mark.parametrize("change", ["quality", "one pixel", "tables", "colour space", "orientation"])
def test_all_that_decoding_depends_on_is_digested(change: str) -> None:
    image = smooth(*LARGE)
    data = encoded(image, "JPEG", quality=90)
    if change == "quality":
        other = encoded(image, "JPEG", quality=89)
    elif change == "one pixel":
        image.putpixel((800, 600), (255, 0, 255))
        other = encoded(image, "JPEG", quality=90)
    elif change == "tables":
        at = data.index(b"\xff\xdb") + 6
        other = data[:at] + bytes([data[at] + 9]) + data[at + 1 :]
    elif change == "colour space":
        jfif = 2 + 2 + int.from_bytes(data[4:6], "big")
        other = data[:2] + b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\0" + data[jfif:]
    else:
        exif = Image.Exif()
        exif[0x0112] = 3
        other = encoded(image, "JPEG", quality=90, exif=exif)
    assert not np.array_equal(decode(other).pixels, decode(data).pixels)
    assert exact(other) != exact(data)


def test_with_all_effort_a_large_jpeg_is_the_picture_that_it_decodes_to() -> None:
    data = encoded(smooth(*LARGE), "JPEG")
    same = encoded(Image.fromarray(decode(data).pixels), "PNG", compress_level=1)
    assert exact(data, "full") == exact(same, "full") == exact(same)
    assert exact(data) != exact(same)  # not compared in full, so nothing is claimed


@pytest.mark.parametrize("size", [(64, 48), LARGE])
def test_the_further_pictures_of_a_jpeg_count(size: tuple[int, int]) -> None:
    def saved(*seeds: int) -> bytes:
        others = [noise(32, 32, seed) for seed in seeds]
        return encoded(smooth(*size), "MPO", save_all=True, append_images=others)

    assert frames_of(saved(1, 2)) == 3
    assert len({exact(data) for data in (saved(1, 2), saved(1, 3), saved(1), encoded(smooth(*size), "JPEG"))}) == 4


def test_the_digest_does_not_depend_on_how_it_is_asked() -> None:
    data = encoded(noise(300, 200), "PNG")
    assert exact(data, side=None) == exact(data, side=10) == exact(data, "full")
