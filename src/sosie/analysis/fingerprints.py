"""Perceptual hashes: PDQ in numpy, its eight turns and flips, and search by Hamming distance.

PDQ is Meta's 256-bit hash of a picture's low frequencies ("The TMK+PDQF Video-Hashing Algorithm and the PDQ
Image-Hashing Algorithm", 2019). At equal input size the codes are those of the reference, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from sosie.types import Picture, Pixels

__all__ = [
    "BITS",
    "MIN_QUALITY",
    "VARIANTS",
    "Codes",
    "Fingerprint",
    "fingerprint",
    "fingerprints",
    "hamming",
    "variants",
    "within",
]

Codes: TypeAlias = npt.NDArray[np.uint8]  # (n, 32)
_Floats: TypeAlias = npt.NDArray[np.float32]

BITS = 256
MIN_QUALITY = 50  # below this the reference says that a picture has too little in it to be told from others
VARIANTS = 8  # variant v: mirrored left to right where v >= 4, then turned counter-clockwise v % 4 times

_GRID = 64  # the picture is reduced to 64 × 64 …
_SLOTS = 16  # … of which the lowest 16 × 16 frequencies, without the constant, give one bit each
_WORKING_SIDE = 512  # larger pictures are reduced first, as the reference advises
_MIN_SIDE = 5
_CHUNK = 1 << 15  # codes compared at once: bounds memory, fits the cache

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_DCT = np.cos(np.pi / (2 * _GRID) * np.outer(np.arange(1, _SLOTS + 1), 2 * np.arange(_GRID) + 1))
_DCT = (np.sqrt(2 / _GRID) * _DCT).astype(np.float32)
_MIRROR_SIGNS = np.where(np.arange(_SLOTS) % 2 == 0, -1, 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A PDQ code (32 bytes, in the order of its published hexadecimal form) and its quality, 0 to 100."""

    bits: bytes
    quality: int

    @property
    def hex(self) -> str:
        """Return the code as other PDQ tools write it."""
        return self.bits.hex()


def fingerprint(picture: Picture) -> Fingerprint:
    """Return the PDQ code of one picture: zeros and quality 0 where it is under 5 pixels a side."""
    if min(picture.pixels.shape[:2]) < _MIN_SIDE:
        return Fingerprint(bytes(BITS // 8), 0)
    grid = _grid(_reduced(picture.pixels))
    return Fingerprint(_code(_frequencies(grid)).tobytes(), _quality(grid))


def fingerprints(pictures: Sequence[Picture]) -> tuple[Codes, npt.NDArray[np.uint8]]:
    """Return the codes (n, 32) and qualities (n,) of several pictures."""
    found = [fingerprint(picture) for picture in pictures]
    codes = np.frombuffer(b"".join(one.bits for one in found), np.uint8).reshape(-1, BITS // 8)
    return codes, np.array([one.quality for one in found], np.uint8)


def variants(picture: Picture) -> Codes:
    """Return the codes (8, 32) of the picture mirrored and turned, from one transform; see ``VARIANTS``."""
    if min(picture.pixels.shape[:2]) < _MIN_SIDE:
        return np.zeros((VARIANTS, BITS // 8), np.uint8)
    upright = _frequencies(_grid(_reduced(picture.pixels)))
    codes = []
    for turned in (upright, upright * _MIRROR_SIGNS):
        for _ in range(4):
            codes.append(_code(turned))
            turned = turned.T * _MIRROR_SIGNS[:, None]  # noqa: PLW2901  a quarter turn counter-clockwise
    return np.stack(codes)


def hamming(queries: Codes, codes: Codes) -> npt.NDArray[np.uint16]:
    """Return how many bits differ, (q, n), between codes (q, 32) and codes (n, 32)."""
    left, right = _words(queries), _words(codes)
    out = np.empty((len(left), len(right)), np.uint16)
    for start in range(0, len(right), _CHUNK):
        part = right[start : start + _CHUNK]
        for row, word in enumerate(left):
            out[row, start : start + _CHUNK] = np.bitwise_count(part ^ word).sum(axis=1, dtype=np.uint16)
    return out


def within(
    queries: Codes, codes: Codes, *, radius: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Find the codes that differ from some query in at most ``radius`` bits, nearest first.

    Returns their positions, the least distance, and which query it was; ties keep the order of the codes.
    """
    distances = hamming(queries, codes)
    if not distances.size:
        return np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.int64)
    least = distances.min(axis=0)
    found = np.flatnonzero(least <= radius)
    found = found[np.argsort(least[found], kind="stable")]
    return found, least[found], distances[:, found].argmin(axis=0)


def _reduced(pixels: Pixels) -> Pixels:
    factor = -(-max(pixels.shape[:2]) // _WORKING_SIDE)
    return np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels


def _grid(pixels: Pixels) -> _Floats:
    """Blur and sample to 64 × 64 luminances: both are linear, so they are one matrix per side."""
    height, width, _ = pixels.shape
    luma = (pixels.reshape(-1, 3).astype(np.float32) @ _LUMA).reshape(height, width)
    grid: _Floats = _blur_and_sample(height) @ luma @ _blur_and_sample(width).T
    return grid


@lru_cache(maxsize=1024)
def _blur_and_sample(side: int) -> _Floats:
    """Return (64, side): two passes of a box (Jarosz's tent filter), then each cell's centre sample."""
    window = -(-side // (2 * _GRID))
    half = (window + 2) // 2
    at = np.arange(side)
    low, high = np.maximum(0, at + half - window), np.minimum(side, at + half)
    inside = (at[None] >= low[:, None]) & (at[None] < high[:, None])
    box = inside / inside.sum(axis=1, keepdims=True)
    centres = ((np.arange(_GRID) + 0.5) * side / _GRID).astype(int)
    matrix: _Floats = (box[centres] @ box).astype(np.float32)
    return matrix


def _frequencies(grid: _Floats) -> _Floats:
    """Return the (16, 16) lowest frequencies of a (64, 64) grid, the constant left out."""
    frequencies: _Floats = _DCT @ grid @ _DCT.T
    return frequencies


def _code(frequencies: _Floats) -> Codes:
    """Return 32 bytes: which frequencies exceed the lower median, last bit first."""
    flat = frequencies.ravel()
    median = np.partition(flat, BITS // 2 - 1)[BITS // 2 - 1]
    return np.packbits((flat > median)[::-1])


def _quality(grid: _Floats) -> int:
    """Return the reference's measure of how much is to be seen: the sum of noticeable gradients, 0 to 100."""
    down = np.abs(((grid[:-1] - grid[1:]) * 100 / 255).astype(int)).sum()
    across = np.abs(((grid[:, :-1] - grid[:, 1:]) * 100 / 255).astype(int)).sum()
    return min(100, int(down + across) // 90)


def _words(codes: Codes) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(codes).view(np.uint64)
