"""What every index kind refuses, in one place, so that all of them refuse the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.errors import UsageError
from sosie.types import FloatMatrix, Ids

__all__ = ["check_allow", "check_build", "check_k", "check_queries"]


def check_build(ids: Any, vectors: Any) -> tuple[Ids, FloatMatrix]:
    """Return ids (n,) as int64 and vectors (n, dim) as contiguous float32, or raise UsageError."""
    found = np.asarray(ids)
    matrix = _as_matrix(vectors, "vectors")
    if found.ndim != 1 or len(found) != len(matrix):
        raise UsageError(f"{len(matrix)} vectors need as many ids in one row; got an array of {found.shape}")
    if len(found) and not np.issubdtype(found.dtype, np.integer):
        raise UsageError(f"ids are integers, not {found.dtype}")
    checked = found.astype(np.int64, copy=False)
    if len(checked) and checked.min() < 0:
        raise UsageError(f"ids are >= 0; got {checked.min()}")
    _refuse_duplicates(checked)
    return checked, matrix


def check_queries(queries: Any, dim: int | None) -> FloatMatrix:
    """Return queries (q, dim) as contiguous float32; ``dim`` None means that the index is still empty."""
    matrix = _as_matrix(queries, "queries")
    if dim is not None and matrix.shape[1] != dim:
        raise UsageError(f"the index holds vectors of {dim} numbers; the queries have {matrix.shape[1]}")
    return matrix


def check_k(k: int) -> int:
    """Return ``k``, at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"k is a whole number from 1 up, not {k!r}")
    return int(k)


def check_allow(allow: Any) -> Ids:
    """Return the allowed ids (m,) sorted, each once."""
    found = np.asarray(allow)
    if found.ndim != 1 or (len(found) and not np.issubdtype(found.dtype, np.integer)):
        raise UsageError(f"allow is one row of integer ids, not {found.dtype} of {found.shape}")
    checked = found.astype(np.int64, copy=False)
    ascending = bool((checked[1:] > checked[:-1]).all())
    return checked if ascending else np.unique(checked)


def _as_matrix(values: Any, name: str) -> FloatMatrix:
    found = np.asarray(values)
    if found.ndim != 2 or found.shape[1] == 0:
        raise UsageError(f"{name} are a matrix (n, dim) with dim >= 1; got an array of {found.shape}")
    if not np.issubdtype(found.dtype, np.floating):
        raise UsageError(f"{name} are floating-point numbers, not {found.dtype}")
    matrix = _as_float32(found)
    # One sum of squares is finite if all numbers are; only where it is not are they looked at one by one.
    if not np.isfinite(np.vdot(matrix, matrix)) and not np.isfinite(matrix).all():
        raise UsageError(f"{name} hold NaN or infinity; embed those pictures again or leave them out")
    return matrix


def _as_float32(found: npt.NDArray[np.floating[Any]]) -> FloatMatrix:
    if found.dtype == np.float32:
        return np.ascontiguousarray(found)
    # A float64 beyond float32's range becomes inf, which the caller refuses.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(found, dtype=np.float32)


def _refuse_duplicates(ids: Ids) -> None:
    if bool((ids[1:] > ids[:-1]).all()):
        return
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise UsageError(f"id {twice[0]} is given twice; ids are unique within an index")
