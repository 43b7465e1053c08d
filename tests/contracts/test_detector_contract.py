"""Detectors of the layouts that Sosie reads keep the contract, and the suite notices those that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sosie.testing.detectors import DETECTOR_CHECKS, Make
from sosie.types import Pixels, Region


class Corners:
    """Finds something in the lighter corners of a picture."""

    def detect(self, pixels: Pixels) -> list[Region]:
        light = float(pixels.mean()) / 255
        found = [Region((0.0, 0.0, 0.5, 0.5), "corner", light), Region((0.5, 0.5, 0.5, 0.5), "corner", light / 2)]
        return [replace(found[0], mask=np.zeros(pixels.shape[:2], bool)), found[1]]


class Wrong(Corners):
    """Does one thing wrong."""

    def __init__(self, change: Callable[[list[Region]], list[Region]]) -> None:
        self._change = change

    def detect(self, pixels: Pixels) -> list[Region]:
        return self._change(super().detect(pixels))


def checks(make: Make) -> list[str]:
    """Return the checks that a detector fails."""
    failed = []
    for check in DETECTOR_CHECKS:
        try:
            check(make)
        except AssertionError:
            failed.append(check.__name__.removeprefix("check_"))
    return failed


def test_one_that_keeps_the_contract_passes() -> None:
    assert checks(Corners) == []


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda found: found[::-1], "the_surest_come_first"),
        (lambda found: [replace(found[0], box=(0.6, 0, 0.5, 0.5))], "regions_lie_in_the_picture"),
        (lambda found: [replace(found[0], label=None)], "every_object_has_a_name"),
        (lambda found: [replace(found[0], mask=np.zeros((2, 3), bool))], "a_mask_covers_the_whole_picture"),
        (lambda found: found[: np.random.default_rng().integers(3)], "the_same_picture_has_the_same_objects"),
    ],
)
def test_the_suite_notices(change: Callable[[list[Region]], list[Region]], failed: str) -> None:
    assert failed in checks(lambda: Wrong(change))
