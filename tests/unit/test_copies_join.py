"""The join of a library with itself: near fingerprints in every turn, near vectors, each pair once."""

from __future__ import annotations

import numpy as np

from sosie.analysis.fingerprints import hamming, variants
from sosie.copies.join import near_codes, near_vectors, turned
from tests.scenes import as_picture, scene


def test_near_codes_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (700, 32), dtype=np.uint8)
    codes[400:500] = codes[:100] ^ (rng.random((100, 32)) < 0.3).astype(np.uint8)
    distances = hamming(codes, codes)
    expected = {(a, b, int(distances[a, b])) for a, b in np.argwhere(np.triu(distances <= 64, 1)).tolist()}
    assert {(one.a, one.b, one.distance) for one in near_codes(codes, radius=64)} == expected
    assert len(expected) == 100


def test_codes_of_turned_pictures_follow_from_the_bits() -> None:
    for seed in range(6):
        exact = variants(as_picture(scene(seed)))
        about = turned(exact[:1])[:, 0]
        assert int(np.diagonal(hamming(about, exact)).max()) <= 32


def test_a_mirrored_picture_is_near_in_its_turn() -> None:
    mirror = np.ascontiguousarray(scene(3)[:, ::-1])
    codes = np.stack([variants(as_picture(pixels))[0] for pixels in (scene(1), scene(3), scene(5), mirror)])
    (found,) = near_codes(codes, radius=40, turns=True)
    assert (found.a, found.b, found.variant) == (1, 3, 4)
    assert not list(near_codes(codes, radius=40))


def test_one_picture_gives_no_more_than_its_nearest() -> None:
    codes = np.zeros((300, 32), np.uint8)
    assert len(list(near_codes(codes, radius=10))) <= 300 * 50


def test_near_vectors_are_each_pair_once_by_id() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(600, 32)).astype(np.float32)
    vectors[300] = vectors[2] + 0.1 * rng.normal(size=32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(600) * 10
    assert list(near_vectors(ids, vectors, least=0.8)) == [(20, 3000)]
    assert list(near_vectors(ids[:1], vectors[:1], least=0.1)) == []
    assert list(near_vectors(ids[:0], vectors[:0], least=0.1)) == []
