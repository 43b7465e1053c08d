"""NumPy's files, read from several threads at once; vectors that can be compared told from others; sets as bitmaps."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Bits", "load_array", "load_arrays", "usable"]

# NumPy reads the head of an array by `ast.literal_eval`, and CPython 3.11 counts the depth of what it parses for all
# threads together (python/cpython#106905): two that read at once can end in "SystemError: AST constructor recursion
# depth mismatch".
_ONE_AT_A_TIME = threading.Lock()
_Ids: TypeAlias = npt.NDArray[np.int64]


def load_array(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """Return the array of a ``.npy`` file, read or ``mapped`` into memory; raise OSError, or ValueError for pickles."""
    with _ONE_AT_A_TIME:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return array


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a ``.npz`` file by name; raise as ``load_array`` does."""
    with _ONE_AT_A_TIME, np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def usable(vectors: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) of vectors (n, dim) are finite and not zero, as numbers of 16 bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = vectors if vectors.dtype == np.float16 else vectors.astype(np.float16)
        rows = rows.astype(np.float32)
        squared = np.einsum("nd,nd->n", rows, rows)
    return np.asarray(np.isfinite(squared) & (squared > 0), np.bool_)


@dataclass(frozen=True)
class Bits:
    """A set of ids, which are not negative: bit i of ``packed`` (little-endian) is set where i is a member.

    NumPy's own, since what searches want of a set is a mask of rows: of 600,000 of a million ids it takes 0.06 ms here
    and 1.5 ms from a compressed (roaring) bitmap, which joins two sets no faster.
    """

    packed: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, ids: _Ids) -> Bits:
        """Return the set of some ids, in any order."""
        mask = np.zeros(int(ids.max(initial=-1)) + 1, bool)
        mask[ids] = True
        return cls(np.packbits(mask, bitorder="little"))

    @cached_property
    def count(self) -> int:
        """How many members there are."""
        return int(np.bitwise_count(self.packed).sum(dtype=np.int64))

    def __len__(self) -> int:
        return self.count

    def __contains__(self, id_: object) -> bool:
        if not isinstance(id_, int | np.integer) or not 0 <= id_ < 8 * len(self.packed):
            return False
        return bool(self.packed[id_ >> 3] >> (id_ & 7) & 1)

    @cached_property
    def ids(self) -> _Ids:
        """The members (count,), ascending."""
        at = np.flatnonzero(self.packed)  # of few members nearly all bytes are empty
        within = np.unpackbits(self.packed[at, None], axis=1, bitorder="little").view(bool)
        members: _Ids = (8 * at[:, None] + np.arange(8))[within]
        return members

    def mask(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Return a truth value (last - first + 1,) for each id from ``first`` to ``last``."""
        skipped = first % 8
        part = self.packed[first // 8 : last // 8 + 1]
        short = last // 8 + 1 - first // 8 - len(part)
        part = np.pad(part, (0, short)) if short else part
        return np.unpackbits(part, bitorder="little").view(bool)[skipped : skipped + last - first + 1]

    def has(self, ids: _Ids) -> npt.NDArray[np.bool_]:
        """Return a truth value for each of some ids, which are not negative."""
        inside = ids < 8 * len(self.packed)
        found: npt.NDArray[np.bool_] = np.zeros(ids.shape, bool)
        at = ids[inside]
        found[inside] = (self.packed[at >> 3] >> (at & 7).astype(np.uint8)) & 1
        return found

    def __and__(self, other: Bits) -> Bits:
        n = min(len(self.packed), len(other.packed))
        return Bits(self.packed[:n] & other.packed[:n])

    def __or__(self, other: Bits) -> Bits:
        long, short = (self, other) if len(self.packed) >= len(other.packed) else (other, self)
        packed = long.packed.copy()
        packed[: len(short.packed)] |= short.packed
        return Bits(packed)

    def __sub__(self, other: Bits) -> Bits:
        n = min(len(self.packed), len(other.packed))
        packed = self.packed.copy()
        packed[:n] &= ~other.packed[:n]
        return Bits(packed)

    def changed(self, ids: _Ids, members: _Ids) -> Bits:
        """Return this set where, of ``ids``, the ``members`` are in it and the others are not."""
        return (self - Bits.of(ids)) | Bits.of(members)
