"""Another photograph of the same thing: what its pixels say, and the verdict that follows."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.features import extractor
from sosie.query.candidates import Candidate
from sosie.query.judge import judge, with_pixels, with_thing
from sosie.types import Picture, Pixels, Verdict
from sosie.verify.evidence import PairEvidence, examine
from sosie.verify.opencv import opencv
from sosie.verify.pixels import luminance
from sosie.verify.things import LEAST_INLIERS, measure_thing, shipped_things
from tests.scenes import scene

SIDE = 640
NEVER = -9.0  # log-odds of a copy


def photograph(cover: Pixels, ground: int, corners: list[tuple[float, float]], light: float) -> Pixels:
    """Return a cover seen at four corners (relative, clockwise) before another scene, in other light."""
    cv2 = opencv()
    before = cv2.resize(scene(ground), (SIDE, SIDE))
    height, width = cover.shape[:2]
    start = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(start, np.array(corners, np.float32) * SIDE)
    seen = cv2.warpPerspective(cover, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(np.full(cover.shape[:2], 255, np.uint8), matrix, (SIDE, SIDE)) == 255
    out = np.where(there[:, :, None], np.clip(seen.astype(np.float32) * light, 0, 255), before)
    return np.ascontiguousarray(out.astype(np.uint8))


def other_kind(cover: Pixels) -> Pixels:
    """Return the same layout with another motif: top and bottom stay, the middle is of another picture."""
    changed = cover.copy()
    height, width = cover.shape[:2]
    middle = slice(height // 4, 3 * height // 4)
    changed[middle] = opencv().resize(scene(41), (width, height))[middle]
    return changed


def seen_twice(first: Pixels, second: Pixels) -> tuple[Pixels, Pixels]:
    return (
        photograph(first, 50, [(0.2, 0.15), (0.75, 0.2), (0.78, 0.85), (0.18, 0.8)], 0.9),
        photograph(second, 51, [(0.3, 0.1), (0.8, 0.12), (0.7, 0.9), (0.25, 0.86)], 1.1),
    )


def evidence_of(first: Pixels, second: Pixels) -> PairEvidence:
    one, other = (extractor().extract(Picture(each, each.shape[1], each.shape[0])) for each in (first, second))
    return examine(one, other)


def test_another_photograph_of_a_thing_keeps_its_places_and_another_kind_of_it_does_not() -> None:
    cover = scene(42)
    shifts = []
    for second in (cover, other_kind(cover)):
        pictures = seen_twice(cover, second)
        evidence = evidence_of(*pictures)
        assert evidence.inliers >= LEAST_INLIERS
        shifts.append(measure_thing(*map(luminance, pictures), evidence))
    same, kind = shifts
    assert same is not None and kind is not None
    assert same < 1 < kind


def test_what_is_no_copy_may_show_the_same_thing() -> None:
    pictures = seen_twice(scene(42), scene(42))
    evidence = with_thing(evidence_of(*pictures), *map(luminance, pictures))
    judged = judge(Candidate(7), evidence, NEVER, cut_off=0.9)
    assert judged.verdict is Verdict.SAME_OBJECT
    assert judged.probability >= shipped_things().cut_off
    assert judged.region == evidence.matched_reference
    assert judged.evidence["thing_shift_px"] == pytest.approx(evidence.thing_shift, abs=0.01)


def test_a_copy_is_said_to_be_one_and_nothing_less() -> None:
    pictures = seen_twice(scene(42), scene(42))
    evidence = with_thing(evidence_of(*pictures), *map(luminance, pictures))
    assert judge(Candidate(7), evidence, NEVER, cut_off=0.9).verdict is Verdict.SAME_OBJECT
    looked_at = with_pixels(evidence, *map(luminance, pictures))
    assert judge(Candidate(7), looked_at, -NEVER, cut_off=0.9).verdict.is_copy


@pytest.mark.parametrize("change", ["few", "mirrored", "nothing"])
def test_nothing_is_claimed_without_matched_points(change: str) -> None:
    pictures = [luminance(each) for each in seen_twice(scene(42), scene(42))]
    evidence = {
        "few": PairEvidence(inliers=LEAST_INLIERS - 1, matrix=tuple(map(tuple, np.eye(3).tolist())), outline=((0, 0),)),
        "mirrored": PairEvidence(
            inliers=50, mirrored=True, matrix=tuple(map(tuple, np.eye(3).tolist())), outline=((0, 0),)
        ),
        "nothing": PairEvidence(),
    }[change]
    assert measure_thing(pictures[0], pictures[1], evidence) is None


def test_a_blank_part_says_nothing() -> None:
    blank = np.full((300, 300), 128, np.uint8)
    square = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
    evidence = PairEvidence(inliers=50, matrix=tuple(map(tuple, np.eye(3).tolist())), outline=square)
    assert measure_thing(blank, blank, evidence) is None


def test_more_points_and_less_shift_never_lower_the_probability() -> None:
    model = shipped_things()
    chances = [model.probability(inliers, shift) for inliers, shift in ((12, 6.0), (12, 2.0), (30, 2.0), (200, 0.1))]
    assert chances == sorted(chances)
    assert chances[0] < model.cut_off < chances[-1] < 1
