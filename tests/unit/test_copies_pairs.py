"""Duplicates by class: which pairs each holds, what is kept between two runs, what a person decided."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sosie
from sosie.cli import main
from sosie.copies import pairs as judging
from sosie.copies.residual import residual, same_shape
from sosie.errors import UsageError
from sosie.types import Pixels
from tests.scenes import as_file, scene


def files() -> dict[str, bytes]:
    return {
        "0.png": as_file(scene(20)),
        "equal.png": as_file(scene(20)),
        "pixels.bmp": as_file(scene(20), kind="BMP"),
        "small.jpg": as_file(np.asarray(Image.fromarray(scene(20)).resize((192, 144))), kind="JPEG"),
        "flip.png": as_file(scene(20)[:, ::-1]),
        "1.png": as_file(scene(21)),
        "2.png": as_file(scene(22)),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pairs")
    (root / "pictures").mkdir()
    for name, data in files().items():
        (root / "pictures" / name).write_bytes(data)
    with sosie.open(root / "library", model="histogram") as lib:
        lib.add(root / "pictures")
    return root


@pytest.fixture
def library(folder: Path) -> Iterator[sosie.Library]:
    with sosie.open(folder / "library", create=False) as opened:
        yield opened


def members(library: sosie.Library, same: str) -> set[str]:
    """Return the names of all files that are in groups."""
    (group,) = library.copies.duplicates(same=same).groups
    return {place.uri.rsplit("/", 1)[-1] for places in group.places.values() for place in places}


def test_each_class_holds_those_before_it(library: sosie.Library) -> None:
    found = [members(library, same) for same in judging.SAME]
    assert found[0] == {"0.png", "equal.png"}
    assert found[1] == {*found[0], "pixels.bmp"}
    assert found[2] == {*found[1], "small.jpg"}
    assert found[3] == {*found[2], "flip.png"}
    with pytest.raises(UsageError, match="--same"):
        library.copies.duplicates(same="everything")


def test_a_second_run_decodes_nothing(library: sosie.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = library.copies.duplicates().to_json()
    monkeypatch.setattr(judging, "_Decoded", None)
    assert library.copies.duplicates().to_json() == first


def test_other_versions_of_the_judge_judge_anew(library: sosie.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.copies.duplicates()
    monkeypatch.setattr(judging, "VERSION", "another")
    monkeypatch.setattr(judging, "_Decoded", None)
    with pytest.raises(TypeError):
        library.copies.duplicates()


@pytest.mark.parametrize(("decision", "there"), [("not_a_copy", False), ("keep_both", False), ("same_picture", True)])
def test_a_decision_outweighs_equal_pixels(library: sosie.Library, decision: str, there: bool) -> None:
    by_name = {record.uris[0].rsplit("/", 1)[-1]: record for record in library.catalogue.pictures(range(1, 9))}
    pair = by_name["0.png"].sha256, by_name["pixels.bmp"].sha256
    library.catalogue.put_decision(*pair, decision)
    try:
        assert ("pixels.bmp" in members(library, "pixels")) is there
    finally:
        library.catalogue.drop_decision(*pair)


def test_the_command_line_takes_a_class(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = ["-L", str(folder / "library")]
    assert main(["duplicates", *library]) == 0
    said = capsys.readouterr().out
    assert "3 copies in 1 groups" in said
    assert "bridge" not in said
    assert main(["duplicates", *library, "--same", "bytes", "--csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[1] for row in rows] == ["role", "keep", "copy"]
    assert main(["duplicates", *library, "--same", "some"]) == 2


def encoded(pixels: Pixels, **options: object) -> Pixels:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, **options)
    return np.asarray(Image.open(out).convert("RGB"))


def test_other_qualities_and_sizes_are_the_same_picture() -> None:
    for seed in range(4):
        picture = scene(seed, width=640, height=480)
        assert residual(picture, encoded(picture, format="JPEG", quality=30)).same_picture
        assert residual(picture, encoded(picture, format="WEBP", quality=40)).same_picture
        small = np.asarray(Image.fromarray(picture).resize((213, 160)))
        assert residual(picture, encoded(small, format="JPEG", quality=80)).same_picture


def test_small_edits_are_not_the_same_picture() -> None:
    picture = scene(7, width=640, height=480)
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((300, 200), "copied", fill=(255, 255, 255), font_size=32)
    assert not residual(picture, np.asarray(image)).same_picture
    assert not residual(picture, np.ascontiguousarray(picture[:, ::-1])).same_picture
    assert not residual(picture, np.roll(picture, 6, axis=1)).same_picture


def test_one_digit_of_a_form_makes_another_form() -> None:
    forms = []
    for number in ("1,204.50", "1,284.50"):
        image = Image.new("RGB", (800, 1000), "white")
        draw = ImageDraw.Draw(image)
        for line in range(25):
            draw.text((60, 40 + 36 * line), f"Item {line} of the invoice", fill="black", font_size=22)
        draw.text((600, 900), number, fill="black", font_size=22)
        forms.append(np.asarray(image))
    assert residual(forms[0], encoded(forms[0], format="JPEG", quality=40)).same_picture
    assert not residual(*forms).same_picture


def test_shapes_are_equal_up_to_rounding() -> None:
    assert same_shape((1000, 667), (300, 200))
    assert same_shape((300, 200), (1000, 667))
    assert not same_shape((1000, 667), (300, 210))
