"""Which pictures of a library are near one another at all: one join of the library with itself.

Fingerprints are compared word by word, each pair once, in blocks; the eight turns and flips of a code follow from its
bits, but for the few that lie at the median. Copy vectors give each picture's nearest neighbours, their likeness
normalised by the picture's own background (Pizzi et al., 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.analysis.fingerprints import Codes
from sosie.types import FloatMatrix, Ids

__all__ = ["Near", "near_codes", "near_vectors", "turned"]

_ROWS = 256
_MOST = 50  # nearest pictures of one that are kept: a burst of thousands must not give millions of pairs
_NEIGHBOURS = 5
_BACKGROUND = slice(10, 30)  # ranks of the neighbours that say how like anything is to a picture
_GRID = 16


@dataclass(frozen=True, slots=True)
class Near:
    """Positions a < b of two near pictures, and how near: bits that differ, and which turn of b's code it was."""

    a: int
    b: int
    distance: int | None = None
    variant: int | None = None


def near_codes(codes: Codes, *, radius: int, turns: bool = False) -> Iterator[Near]:
    """Yield the pairs of codes (n, 32) that differ in at most ``radius`` bits, in any turn where ``turns``."""
    words = np.ascontiguousarray(codes).view(np.uint64)
    others = [words]
    if turns:
        others = [np.ascontiguousarray(one).view(np.uint64) for one in turned(codes)]
    for start in range(0, len(words), _ROWS):
        yield from _near_block(words, others, start, radius)


def _near_block(
    words: npt.NDArray[np.uint64], others: list[npt.NDArray[np.uint64]], start: int, radius: int
) -> Iterator[Near]:
    rows = words[start : start + _ROWS]
    least = np.full((len(rows), len(words) - start), 999, np.uint16)
    which = np.zeros(least.shape, np.uint8)
    for variant, other in enumerate(others):
        distances = _distances(rows, other[start:])
        nearer = distances < least
        least[nearer], which[nearer] = distances[nearer], variant
    at, to = np.nonzero(least <= radius)
    later = to > at
    for row, columns in _by_row(at[later], to[later]):
        nearest = columns[np.argsort(least[row, columns], kind="stable")[:_MOST]]
        for column in nearest.tolist():
            yield Near(start + row, start + column, int(least[row, column]), int(which[row, column]))


def _distances(rows: npt.NDArray[np.uint64], words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    distances = np.zeros((len(rows), len(words)), np.uint16)
    for word in range(words.shape[1]):
        distances += np.bitwise_count(rows[:, word, None] ^ words[None, :, word])
    return distances


def _by_row(at: npt.NDArray[np.int64], to: npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    rows, starts = np.unique(at, return_index=True)
    yield from zip(rows.tolist(), np.split(to, starts[1:]), strict=False)


def turned(codes: Codes) -> npt.NDArray[np.uint8]:
    """Return (8, n, 32): about what the codes of the turned and mirrored pictures are; see ``fingerprints.VARIANTS``.

    A turn transposes the frequencies and negates every second row or column, and a code says which exceed their
    median, which is near zero.
    """
    upright = np.unpackbits(codes, axis=1)[:, ::-1].reshape(-1, _GRID, _GRID).astype(bool)
    odd = np.arange(_GRID) % 2 == 0
    found = []
    for grid in (upright, upright ^ odd):
        for _ in range(4):
            found.append(np.packbits(grid.reshape(len(codes), -1)[:, ::-1], axis=1))
            grid = grid.transpose(0, 2, 1) ^ odd[:, None]  # noqa: PLW2901  a quarter turn counter-clockwise
    return np.stack(found)


def near_vectors(ids: Ids, vectors: FloatMatrix, *, least: float) -> Iterator[tuple[int, int]]:
    """Yield the ids of pictures whose vectors (n, dim) are nearer than the background of either, each pair once."""
    found: set[tuple[int, int]] = set()
    for start in range(0, len(vectors), _ROWS):
        likeness = vectors[start : start + _ROWS] @ vectors.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -1
        count = min(_BACKGROUND.stop, likeness.shape[1] - 1)
        if count < 1:
            return
        order = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        scores = np.take_along_axis(likeness, order, axis=1)
        ranked = np.argsort(-scores, axis=1)
        order, scores = np.take_along_axis(order, ranked, axis=1), np.take_along_axis(scores, ranked, axis=1)
        far = scores[:, _BACKGROUND] if count > _BACKGROUND.start else np.zeros((len(scores), 1), np.float32)
        background = far.mean(axis=1, keepdims=True)
        normalised = (scores - background) / np.maximum(1e-3, 1 - background)
        for row, rank in np.argwhere(normalised[:, :_NEIGHBOURS] >= least).tolist():
            a, b = int(ids[start + row]), int(ids[order[row, rank]])
            found.add((min(a, b), max(a, b)))
    yield from sorted(found)
