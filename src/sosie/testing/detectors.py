"""The contract of a detector, as checks that any can be put through.

A third party runs them on its own, with what makes one:

    @pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyDetector)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sosie.contracts import Detector
from sosie.types import Pixels

__all__ = ["DETECTOR_CHECKS", "Make"]

Make = Callable[[], Detector]

_SIZES = ((64, 96), (1, 1), (9, 200), (200, 9))


def check_regions_lie_in_the_picture(make: Make) -> None:
    detector = make()
    for region in (region for pixels in _pictures() for region in detector.detect(pixels)):
        x, y, width, height = region.box
        assert x >= 0 and y >= 0 and x + width <= 1 + 1e-6 and y + height <= 1 + 1e-6, region.box
        assert width > 0 and height > 0, f"{region.box} is empty"


def check_the_surest_come_first(make: Make) -> None:
    detector = make()
    for pixels in _pictures():
        sure = [region.confidence for region in detector.detect(pixels)]
        assert sure == sorted(sure, reverse=True) and all(0 <= each <= 1 for each in sure)


def check_every_object_has_a_name(make: Make) -> None:
    detector = make()
    assert all(region.label for pixels in _pictures() for region in detector.detect(pixels))


def check_a_mask_covers_the_whole_picture(make: Make) -> None:
    detector = make()
    for pixels in _pictures():
        masks = [region.mask for region in detector.detect(pixels) if region.mask is not None]
        assert all(mask.shape == pixels.shape[:2] and mask.dtype == np.bool_ for mask in masks)


def check_the_same_picture_has_the_same_objects(make: Make) -> None:
    first, second = make(), make()
    for pixels in _pictures():
        assert first.detect(pixels) == first.detect(pixels) == second.detect(pixels)


def check_pixels_are_left_as_they_are(make: Make) -> None:
    detector = make()
    for pixels in _pictures():
        before = pixels.copy()
        detector.detect(pixels)
        np.testing.assert_array_equal(pixels, before)


DETECTOR_CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)


def _pictures() -> list[Pixels]:
    rng = np.random.default_rng(0)
    found = [rng.integers(0, 256, (*size, 3), np.uint8) for size in _SIZES] + [np.full((32, 32, 3), 255, np.uint8)]
    for pixels in found:
        pixels.flags.writeable = False
    return found
