"""What pixels say of two pictures that lie over each other."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.alterations import alter
from sosie.copies.report import _text
from sosie.query.candidates import Candidate
from sosie.query.judge import judge, with_pixels
from sosie.types import Verdict
from sosie.verify.calibration import shipped_calibration
from sosie.verify.evidence import PairEvidence
from sosie.verify.pixels import agreement, luminance
from tests.scenes import scene

SURE = PairEvidence(
    inliers=120,
    precise=0.95,
    agreement=0.95,
    correlation=0.95,
    query_overlap=1.0,
    reference_overlap=1.0,
    matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
)


def large(number: int) -> np.ndarray:
    return cv2.resize(scene(number), (640, 480), interpolation=cv2.INTER_CUBIC)


def from_another_side(pixels: np.ndarray) -> np.ndarray:
    """Move every place by its own depth, as when the camera has moved: smooth, up to nine pixels, no plane map."""
    height, width = pixels.shape[:2]
    depth = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(height, width)).astype(np.float32), (0, 0), 30)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(pixels, x + 9 * depth / np.abs(depth).max(), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def odds(query: np.ndarray, reference: np.ndarray) -> float:
    seen = with_pixels(SURE, luminance(query), luminance(reference))
    return shipped_calibration().odds(seen)


@pytest.mark.parametrize("name", ["jpeg", "brightness", "text", "blur", "grey", "noise"])
def test_an_edit_leaves_the_cells_in_place(name: str) -> None:
    reference = large(3)
    assert odds(alter(reference, name, 1, others=[large(4)]).pixels, reference) > 1.1


def test_a_camera_that_moved_is_no_edit() -> None:
    reference = large(3)
    assert odds(from_another_side(reference), reference) < 0
    assert shipped_calibration().odds(SURE) > 4, "its features alone call it a copy"


def test_shifts_are_measured_in_pixels() -> None:
    reference = luminance(large(5))
    found = agreement(luminance(from_another_side(large(5))), reference, np.eye(3))
    assert found is not None
    assert 0.3 < found.shift < 4
    assert found.cells > 100


def test_a_registration_that_is_off_is_corrected() -> None:
    reference = luminance(large(3))
    found = agreement(np.roll(reference, 2, axis=1), reference, np.eye(3))
    assert found is not None
    assert found.shift < 0.1


def test_pictures_without_contrast_say_nothing() -> None:
    plain = np.full((300, 400), 128, np.uint8)
    assert agreement(plain, plain, np.eye(3)) is None


def test_what_nobody_compared_is_no_copy() -> None:
    found = judge(Candidate(1), SURE, shipped_calibration().odds(SURE), cut_off=0.75)
    assert found.verdict is Verdict.SIMILAR
    assert found.probability < 0.75
    assert found.evidence["judged_on_pixels"] is False


def test_the_hit_that_holds_the_query_and_the_one_that_is_in_it() -> None:
    grey = luminance(large(3))
    crop = with_pixels(replace(SURE, query_overlap=1.0, reference_overlap=0.2), grey, grey)
    page = with_pixels(replace(SURE, query_overlap=0.2, reference_overlap=1.0), grey, grey)
    assert judge(Candidate(1), crop, 5.0, cut_off=0.75).verdict is Verdict.CONTAINS
    assert judge(Candidate(1), page, 5.0, cut_off=0.75).verdict is Verdict.IS_PART_OF


def test_a_report_shows_numbers_as_numbers() -> None:
    assert _text(np.float64(0.5938)) == "0.5938"
    assert _text({"gain": (1.0, np.float32(0.5)), "grey": np.bool_(False)}) == "gain: 1, 0.5; grey: no"
    assert _text(None) == "–"
