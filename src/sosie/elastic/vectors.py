"""Vectors on a cluster: their field, how they are sent, how neighbours are asked for, what a score says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.errors import UsageError
from sosie.registry import nearest

__all__ = ["MOST", "check_search_params", "dense_vector", "inner_product", "knn", "pack"]

MOST = 10_000  # answers or candidates of one question; the cluster's own bound
_SEARCH: dict[str, Any] = {"candidates": int, "oversample": int | float}
_QUANTIZED = ("int8_", "int4_", "bbq_")


def dense_vector(dim: int, kind: str, oversample: float) -> dict[str, Any]:
    """Return the mapping of a field for vectors (dim,), indexed as ``kind``.

    The similarity is the inner product: vectors that were rounded to 16 bits are not quite of unit length, which
    ``dot_product`` would refuse now and then.
    """
    options: dict[str, Any] = {"type": kind}
    if is_quantized(kind):
        options["rescore_vector"] = {"oversample": oversample}
    return {
        "type": "dense_vector",
        "dims": dim,
        "index": True,
        "similarity": "max_inner_product",
        "index_options": options,
    }


def check_search_params(params: Mapping[str, Any]) -> None:
    """Raise UsageError for what is no search parameter of a cluster's index, or has no value that one can have."""
    for name, value in params.items():
        if name not in _SEARCH:
            raise UsageError(f"an index on a cluster has no search parameter {name!r}; {nearest(name, _SEARCH)}")
        number = value if isinstance(value, _SEARCH[name]) and not isinstance(value, bool) else 0
        if number < 1:
            words = "a whole number" if name == "candidates" else "a number"
            raise UsageError(f"an index on a cluster takes {name} as {words} from 1 up, not {value!r}")


def is_quantized(kind: str) -> bool:
    """Tell whether neighbours are looked for among codes, so that a second look at the vectors themselves helps."""
    return kind.startswith(_QUANTIZED)


def pack(vector: npt.NDArray[Any]) -> str:
    """Return a vector as the cluster reads it fastest: big-endian float32 in base64."""
    return base64.b64encode(np.asarray(vector).astype(">f4").tobytes()).decode("ascii")


def knn(
    field: str,
    vector: npt.NDArray[Any],
    k: int,
    *,
    candidates: int,
    oversample: float | None,
    query: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the question for the ``k`` nearest to a vector (dim,) among what meets ``query``.

    ``candidates`` are looked at on each shard; ``oversample`` times k of them once more at full precision (None: as the
    field was made).
    """
    return {
        "field": field,
        "query_vector": np.asarray(vector, np.float32).tolist(),
        "k": k,
        "num_candidates": min(MOST, max(k, candidates)),
        **({} if query is None else {"filter": query}),
        **({} if oversample is None else {"rescore_vector": {"oversample": oversample}}),
    }


def inner_product(score: float) -> float:
    """Return the inner product that ``max_inner_product`` made this score of."""
    return score - 1 if score >= 1 else 1 - 1 / score
