"""Read NumPy's files, from several threads at once, and tell vectors that can be compared from others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["load_array", "load_arrays", "usable"]

# NumPy reads the head of an array by `ast.literal_eval`, and CPython 3.11 counts the depth of what it parses for all
# threads together (python/cpython#106905): two that read at once can end in "SystemError: AST constructor recursion
# depth mismatch".
_ONE_AT_A_TIME = threading.Lock()


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
