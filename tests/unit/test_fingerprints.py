"""PDQ codes: equal to the reference, steady under edits, silent about featureless pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.analysis.fingerprints import MIN_QUALITY, fingerprint, fingerprints, hamming, variants, within
from sosie.types import Picture, Pixels


def as_picture(pixels: Pixels) -> Picture:
    return Picture(np.ascontiguousarray(pixels), pixels.shape[1], pixels.shape[0])


def scene(seed: int = 0, size: tuple[int, int] = (200, 300)) -> Pixels:
    """A smooth random picture with strong structure."""
    coarse = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def real_pictures(shared: Path, pack: str, step: int) -> list[Pixels]:
    paths = sorted((shared / "data" / pack / "images").iterdir())[::step]
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


@pytest.mark.parametrize("pack", ["copies-dev", "distractors-a", "art-dev"])
def test_codes_and_qualities_equal_the_reference_on_real_pictures(sosie_shared: Path, pack: str) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("pdqhash", reason="it needs a compiler: uv sync --group peers")
    import pdqhash

    for pixels in real_pictures(sosie_shared, pack, 20):
        if max(pixels.shape) > 512:
            continue  # larger ones are reduced first, in a way that the reference leaves open
        vector, quality = pdqhash.compute(pixels)
        ours = fingerprint(as_picture(pixels))
        assert ours.bits == np.packbits(vector.astype(np.uint8)).tobytes()
        assert ours.quality == quality


@pytest.mark.parametrize("variant", range(8))
def test_variants_are_the_codes_of_the_turned_and_mirrored_picture(variant: int) -> None:
    pixels = scene(size=(256, 256))
    moved = np.rot90(pixels[:, ::-1] if variant >= 4 else pixels, variant % 4)
    code = np.frombuffer(fingerprint(as_picture(moved)).bits, np.uint8)
    assert hamming(variants(as_picture(pixels)), code[None])[:, 0].argmin() == variant


def test_a_reduced_copy_of_a_large_picture_has_nearly_the_same_code() -> None:
    large = scene(size=(1500, 2000))
    small = np.asarray(Image.fromarray(large).resize((300, 225)))
    codes, _ = fingerprints([as_picture(large), as_picture(small)])
    assert hamming(codes[:1], codes[1:])[0, 0] <= 31  # what the reference calls a match


@pytest.mark.parametrize("pixels", [np.full((90, 70, 3), 200, np.uint8), np.zeros((4, 300, 3), np.uint8)])
def test_featureless_and_tiny_pictures_have_no_quality(pixels: Pixels) -> None:
    assert fingerprint(as_picture(pixels)).quality < MIN_QUALITY


def test_hex_is_the_published_form() -> None:
    assert len(fingerprint(as_picture(scene())).hex) == 64


def test_within_gives_the_nearest_first_and_says_which_query() -> None:
    codes = np.zeros((4, 32), np.uint8)
    codes[1, 0], codes[2, 0], codes[3] = 0b1, 0b111, 255
    queries = np.stack([codes[0], codes[3]])
    positions, distances, which = within(queries, codes, radius=2)
    assert positions.tolist() == [0, 3, 1]
    assert distances.tolist() == [0, 0, 1]
    assert which.tolist() == [0, 1, 0]


def test_search_in_an_empty_library_finds_nothing() -> None:
    assert within(np.zeros((8, 32), np.uint8), np.zeros((0, 32), np.uint8), radius=90)[0].size == 0
