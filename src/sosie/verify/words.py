"""Visual words: local descriptors as one of 65,536 cells and a 64-bit signature inside the cell.

An inverted multi-index (Babenko and Lempitsky, 2012): descriptors are rotated to 64 components, and either half has 256
centres, so that a cell costs two small products instead of 65,536 distances. The signature is Hamming embedding (Jégou,
Douze and Schmid, 2008): the signs of the rotated residual.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from sosie.arrays import load_arrays
from sosie.verify.blas import one_thread

__all__ = ["WORDS", "Vocabulary", "shipped_vocabulary"]

Floats = npt.NDArray[np.float32]

_CENTRES = 256
_HALF = 32
WORDS = _CENTRES * _CENTRES
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What quantises descriptors: ``mean`` (128,), ``projection`` (128, 64), ``centres`` (2, 256, 32), ``rotation``."""

    mean: Floats
    projection: Floats
    centres: Floats
    rotation: Floats

    @property
    def digest(self) -> str:
        """Return what names this vocabulary in the manifest of an index."""
        parts = (self.mean, self.projection, self.centres, self.rotation)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]

    def quantise(self, descriptors: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint64]]:
        """Return the word (n,) and the signature (n,) of descriptors (n, 128)."""
        words = np.empty(len(descriptors), np.uint16)
        signatures = np.empty(len(descriptors), np.uint64)
        with one_thread():
            for start in range(0, len(descriptors), _BLOCK):
                part = slice(start, start + _BLOCK)
                words[part], signatures[part] = self._quantise(descriptors[part])
        return words, signatures

    def _quantise(self, descriptors: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint64]]:
        rotated = (descriptors.astype(np.float32) / 512 - self.mean) @ self.projection
        halves = rotated[:, :_HALF], rotated[:, _HALF:]
        cells = [
            ((centres**2).sum(axis=1) - 2 * half @ centres.T).argmin(axis=1)
            for half, centres in zip(halves, self.centres, strict=True)
        ]
        residual = rotated - np.hstack([self.centres[0][cells[0]], self.centres[1][cells[1]]])
        signs = np.packbits(residual @ self.rotation > 0, axis=1)
        return (cells[0] * _CENTRES + cells[1]).astype(np.uint16), signs.view(np.uint64).ravel()


@cache
def shipped_vocabulary() -> Vocabulary:
    """Return the vocabulary that comes with Sosie; ``recipes/calibration/vocabulary.py`` made it."""
    with resources.as_file(resources.files("sosie.verify") / "vocabulary.npz") as path:
        stored = load_arrays(path)
    return Vocabulary(stored["mean"], stored["projection"], stored["centres"], stored["rotation"])
