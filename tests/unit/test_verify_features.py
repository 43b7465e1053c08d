"""Local features, visual words and the inverted file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sosie.errors import DamagedError
from sosie.verify.features import Features, RootSift, from_bytes, to_bytes
from sosie.verify.geometry import align, map_points
from sosie.verify.inverted import build_segment, load_segment, merge, save_segment, search_segments
from sosie.verify.matching import match
from sosie.verify.words import WORDS, shipped_vocabulary
from tests.scenes import as_picture, scene


def features_of(pixels: np.ndarray) -> Features:
    return RootSift().extract(as_picture(pixels))


def test_packed_features_match_what_was_packed() -> None:
    found = features_of(scene(1))
    again = from_bytes(to_bytes(found))
    assert np.abs(again.points[:, :2] - found.points[:, :2]).max() < 0.02
    assert len(match(found, again)) > 0.8 * len(found)


@pytest.mark.parametrize("data", [b"", b"SLF1", to_bytes(features_of(scene(1)))[:-1], b"xxxx" + bytes(6 + 4096)])
def test_damaged_features_are_an_error(data: bytes) -> None:
    with pytest.raises(DamagedError, match="computes them anew"):
        from_bytes(data)


def test_features_of_a_mirrored_picture_are_known_without_looking() -> None:
    pixels = scene(2)
    looked, known = features_of(pixels[:, ::-1]), features_of(pixels).mirrored()
    pairs = match(looked, known)
    apart = np.linalg.norm(looked.points[pairs[:, 0], :2] - known.points[pairs[:, 1], :2], axis=1)
    assert len(pairs) > 0.6 * len(looked)
    assert np.median(apart) < 1.0


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((200, 200, 3), np.uint8),
        np.full((1, 1, 3), 9, np.uint8),
        np.zeros((3, 900, 3), np.uint8),
        np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (64, 1, 3)),
    ],
    ids=["blank", "one pixel", "a strip", "a ramp"],
)
def test_featureless_pictures_have_few_features_and_never_align(pixels: np.ndarray) -> None:
    found = features_of(pixels)
    assert align(found, features_of(scene(1))) is None
    assert align(features_of(scene(1)), found) is None
    assert len(from_bytes(to_bytes(found))) == len(found)


def test_a_mirrored_crop_is_aligned_as_mirrored() -> None:
    pixels = scene(3)
    fit = align(features_of(pixels[40:200, 60:280][:, ::-1]), features_of(pixels))
    assert fit is not None
    assert fit.mirrored
    corner = map_points(fit.matrix, np.array([[0.0, 0.0]]))[0] / [400 / 320, 300 / 240]
    assert corner == pytest.approx([280, 40], abs=2.5)


def test_different_pictures_do_not_align() -> None:
    assert align(features_of(scene(4)), features_of(scene(5))) is None


def test_words_are_the_same_every_time() -> None:
    descriptors = features_of(scene(6)).descriptors
    words, signatures = shipped_vocabulary().quantise(descriptors)
    again = shipped_vocabulary().quantise(descriptors)
    assert np.array_equal(words, again[0])
    assert np.array_equal(signatures, again[1])
    assert len(np.unique(words)) > len(words) // 4


def test_a_crop_is_found_among_many() -> None:
    ids = np.arange(10, 40)
    segment = build_segment(ids, [features_of(scene(int(i))) for i in ids], shipped_vocabulary())
    found, scores = search_segments([segment], features_of(scene(23)[50:170, 90:250]), shipped_vocabulary(), k=5)
    assert found[0] == 23
    assert len(scores) < 2 or scores[0] > 2 * scores[1]


def test_merged_segments_answer_as_one_built_at_once(tmp_path: Path) -> None:
    features = [features_of(scene(i)) for i in range(6)]
    vocabulary = shipped_vocabulary()
    whole = build_segment(np.arange(6), features, vocabulary)
    parts = (
        build_segment(np.arange(4), features[:4], vocabulary),
        build_segment(np.arange(4, 6), features[4:], vocabulary),
    )
    merged = merge(*parts)
    save_segment(merged, tmp_path)
    for segments in ([merged], parts, [load_segment(tmp_path)]):
        ids, scores = search_segments(segments, features[5], vocabulary, k=6)
        expected, expected_scores = search_segments([whole], features[5], vocabulary, k=6)
        assert ids.tolist() == expected.tolist()
        assert scores == pytest.approx(expected_scores)


def test_an_empty_segment_answers_nothing() -> None:
    empty = build_segment(np.empty(0, np.int64), [], shipped_vocabulary())
    assert len(empty.offsets) == WORDS + 1
    assert len(search_segments([empty], features_of(scene(1)), shipped_vocabulary(), k=3)[0]) == 0
