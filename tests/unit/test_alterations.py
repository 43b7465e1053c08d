"""Altered copies: seeded, of any size, and truly what their record says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.alterations import FAMILIES, GROUPS, alter, chain, names
from sosie.alterations.record import corners, inverse, mapped
from sosie.errors import UnknownName, UsageError

GEOMETRIC = [name for name, group in GROUPS.items() if group in {"crop", "flip", "scale", "warp", "frame"}]


def position_picture(width: int = 240, height: int = 180) -> np.ndarray:
    """A picture that says where each pixel is: red grows with x, green with y, blue is 128."""
    x = np.broadcast_to((np.arange(width) + 0.5) / width * 255, (height, width))
    y = np.broadcast_to(((np.arange(height) + 0.5) / height * 255)[:, None], (height, width))
    return np.rint(np.stack([x, y, np.full_like(x, 128)], axis=2)).astype(np.uint8)


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_picture_and_record(name: str) -> None:
    pixels = position_picture()
    first, again = alter(pixels, name, 3), alter(pixels, name, 3)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.record.to_json() == again.record.to_json()


@pytest.mark.parametrize("name", names())
def test_the_reference_is_left_as_it_was_and_something_changes(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    before = pixels.copy()
    altered = alter(pixels, name, 5).pixels
    assert np.array_equal(pixels, before)
    assert altered.shape != before.shape or not np.array_equal(altered, before)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", GEOMETRIC)
def test_the_homography_says_where_points_went(name: str, seed: int) -> None:
    reference = position_picture()
    altered = alter(reference, name, seed)
    matrix = altered.record.homography
    assert matrix is not None
    points = np.array([[x, y] for x in range(30, 240, 30) for y in range(30, 180, 30)], dtype=np.float64)
    near = []
    for (x, y), (u, v) in zip(points, mapped(matrix, points), strict=True):
        column, row = int(np.floor(u)), int(np.floor(v))
        if not (2 <= column < altered.pixels.shape[1] - 2 and 2 <= row < altered.pixels.shape[0] - 2):
            continue
        red, green, blue = altered.pixels[row, column].astype(float)
        if abs(blue - 128) < 4:  # else under a caption
            near.append(abs(red / 255 * 240 - x) < 5 and abs(green / 255 * 180 - y) < 5)
    assert len(near) >= 3
    assert np.mean(near) > 0.9  # the edges of letters may be as blue


def test_a_crop_record_gives_the_rectangle_that_is_left() -> None:
    altered = alter(position_picture(), "crop_25", 1)
    x, y, width, height = altered.record.crop or (0, 0, 0, 0)
    params = altered.record.find("crop_25")
    assert params is not None
    assert (x, y, width, height) == pytest.approx([params[key] for key in ("x", "y", "width", "height")])
    assert width * height == pytest.approx(0.25, abs=0.01)


def test_a_padded_picture_keeps_the_whole_reference() -> None:
    assert alter(position_picture(), "pad", 1).record.crop == pytest.approx((0, 0, 1, 1))


def test_a_flip_is_a_mirror_image_and_a_turn_is_not() -> None:
    assert alter(position_picture(), "flip", 0).record.mirrored
    assert not alter(position_picture(), "quarter_turn", 0).record.mirrored


def test_a_chain_composes_its_matrices() -> None:
    altered = chain(position_picture(), ["flip", "pad"], 2)
    corner = mapped(altered.record.homography, np.array([[0.0, 0.0]]))[0]  # type: ignore[arg-type]
    pad = altered.record.find("pad")
    assert pad is not None
    assert corner == pytest.approx([pad["left"] + 240, pad["top"]])


def test_covered_boxes_come_back_as_parts_of_the_reference() -> None:
    altered = chain(position_picture(), ["flip", "cover"], 4)
    boxes = altered.record.find("cover")
    assert boxes is not None
    x, _, width, _ = boxes["boxes"][0]
    xs = sorted(point[0] for point in altered.record.covered[0])
    assert xs[0] == pytest.approx((240 - x - width) / 240)


def test_chains_draw_families_of_different_groups() -> None:
    for seed in range(20):
        steps = [step.name for step in alter(position_picture(60, 40), "chain_4", seed).record.steps]
        assert len({GROUPS[step] for step in steps}) == 4


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    name=st.sampled_from(names()),
    seed=st.integers(0, 2**40),
)
def test_any_picture_can_be_altered_in_any_way(width: int, height: int, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    altered = alter(pixels, name, seed, others=[pixels])
    assert altered.pixels.dtype == np.uint8
    assert altered.pixels.ndim == 3
    assert 0 not in altered.pixels.shape
    assert altered.record.altered == (altered.pixels.shape[1], altered.pixels.shape[0])
    json.dumps(altered.record.to_json())


def test_the_inverse_brings_corners_back() -> None:
    matrix = alter(position_picture(), "perspective", 1).record.homography
    assert matrix is not None
    there = mapped(matrix, corners(240, 180))
    assert mapped(inverse(matrix), there) == pytest.approx(corners(240, 180))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'crop_50'"):
        alter(position_picture(), "crop50", 0)


def test_grey_arrays_are_refused() -> None:
    with pytest.raises(UsageError, match="uint8"):
        alter(np.zeros((5, 5), np.uint8), "jpeg", 0)


def test_every_family_has_a_group() -> None:
    assert set(FAMILIES) == set(GROUPS)
