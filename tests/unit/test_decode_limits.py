"""What decoding a picture takes, and what is refused for it, by format."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sosie.decode import DecodePool, Limits, decode
from sosie.decode.limits import limits_of
from sosie.errors import BadPicture, UsageError
from sosie.settings import read_application


def encoded(size: tuple[int, int], kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 90 if mode == "L" else None).save(file, kind, **options)
    return file.getvalue()


def takes(data: bytes, pixels: float, side: int | None) -> bool:
    """Tell whether a picture takes so many pixels to decode, give or take a thousandth."""
    decode(data, side=side, limits=Limits(max_pixels=round(pixels * 1.001)))
    with pytest.raises(BadPicture, match="too_many_pixels"):
        decode(data, side=side, limits=Limits(max_pixels=round(pixels * 0.999)))
    return True


@pytest.mark.parametrize(
    ("kind", "mode", "options", "share"),
    [
        ("JPEG", "RGB", {}, 1 / 8),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 2}, 1 / 64 + 3 / 9),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}, 1 / 64 + 6 / 9),
        ("PNG", "RGB", {}, 1),
        ("PNG", "RGBA", {}, 2),
        ("WEBP", "RGB", {}, 2),
        ("AVIF", "RGB", {}, 1),
        ("PNG", "I;16", {}, 2),
    ],
)
def test_what_decoding_takes_of_each_format(kind: str, mode: str, options: dict[str, Any], share: float) -> None:
    data = encoded((800, 800), kind, mode, **options)
    assert takes(data, share * 800 * 800, 100)


def test_a_jpeg_at_full_scale_takes_all_of_its_pixels() -> None:
    assert takes(encoded((800, 800)), 800 * 800, None)


@pytest.mark.parametrize("size", [(16_384, 3_800), (800, 32_000), (20_000, 10_000)])
def test_large_jpegs_are_read_in_little_memory(size: tuple[int, int]) -> None:
    """A panorama, a webtoon and 200 megapixels: the worker has a quarter of what it may have."""
    data = encoded(size, mode="L", quality=10)
    limits = Limits(memory=Limits().memory // 4)
    with DecodePool(params={"side": 448, "identify": "quick"}, limits=limits, analyse=f"{__name__}:shape") as pool:
        assert pool.submit(data).result(timeout=60) == {"width": size[0], "height": size[1]}


def shape(picture: Any, params: Any) -> dict[str, int]:
    return {"width": picture.width, "height": picture.height}


def test_an_error_names_the_size_and_the_option() -> None:
    with pytest.raises(BadPicture, match=r"0\.6 megapixels of PNG, at most 0\.5: --max-megapixels"):
        decode(encoded((800, 800), "PNG"), limits=limits_of(0.5))
    with pytest.raises(BadPicture, match=r"800×800 pixels, at most 700 a side: --max-side"):
        decode(encoded((800, 800)), limits=limits_of(max_side=700))


def test_limits_come_from_the_environment_where_they_are_not_given() -> None:
    environ = {"SOSIE_MAX_MEGAPIXELS": "500", "SOSIE_MAX_SIDE": "90000"}
    raised = limits_of(environ=environ)
    assert (raised.max_pixels, raised.max_side) == (500_000_000, 90_000)
    assert raised.memory == Limits().memory * 5 // 2
    assert limits_of(10, 20, environ=environ).max_pixels == 10_000_000
    assert limits_of(10, environ={}).memory == Limits().memory


@pytest.mark.parametrize("text", ["many", "-1", "nan", "0"])
def test_a_limit_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SOSIE_MAX_SIDE"):
        limits_of(environ={"SOSIE_MAX_SIDE": text})


def test_an_application_says_its_limits(tmp_path: Path) -> None:
    (tmp_path / "application.yaml").write_text("max_megapixels: 500\nmax_side: 90000\n")
    application = read_application(tmp_path / "application.yaml")
    assert (application.max_megapixels, application.max_side) == (500, 90_000)


def test_add_takes_larger_pictures_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "large.png").write_bytes(encoded((800, 800), "PNG"))
    environment = {**os.environ, "SOSIE_MAX_MEGAPIXELS": "0.5"}

    def add(*options: str) -> str:
        command = [sys.executable, "-m", "sosie", "add", "a", "-L", "library", *options]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    refused = add()
    assert "1 too_many_pixels" in refused and "--max-megapixels" in refused
    assert add("--again", "--max-megapixels", "1").startswith("1 new")
