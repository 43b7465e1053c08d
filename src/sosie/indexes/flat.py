"""Exact scores: the yardstick of every index, and what they re-rank and filter with.

A score is larger for nearer vectors. ``dot`` stands for angular, cosine and Euclidean too: on unit vectors
all of them order alike. ``manhattan`` scores minus the sum of differences, ``hamming`` minus the number of
coordinates whose signs differ.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from sosie.types import FloatMatrix

__all__ = [
    "METRICS",
    "Metric",
    "Rows",
    "Vectors",
    "best_of",
    "pad",
    "rerank",
    "score_rows",
    "scores_of",
    "tolerance",
    "top_k",
    "top_k_of",
]

Rows: TypeAlias = npt.NDArray[np.int64]
Row: TypeAlias = npt.NDArray[np.float32]
Vectors: TypeAlias = npt.NDArray[Any]  # (n, dim) float32, perhaps mapped from a file
Metric: TypeAlias = Literal["dot", "manhattan", "hamming"]
METRICS: tuple[Metric, ...] = get_args(Metric)

_SLACK = 8  # candidates beyond k that are scored again, so that rounding cannot drop a tie
_EPSILON = 2e-6  # more than two float32 sums of one inner product can differ, for unit vectors
_FEW_QUERIES = 4  # below this, one pass of BLAS over the vectors beats FAISS's setup
_FEW_ROWS = 2_000
_FEW_MISSING = 200
_GATHERED = 4  # a row that is gathered costs about as much as so many that are read in their order
_BLOCK = 65_536  # rows gathered at a time: 64 MB at 256 numbers each
_TOGETHER = 16  # queries re-ranked at a time, so that what they gather stays in the cache


def top_k(vectors: Vectors, queries: FloatMatrix, k: int, metric: Metric = "dot") -> tuple[Rows, FloatMatrix]:
    """Return rows and scores, both (q, min(k, n)), best first; ties by row.

    Vectors that are equal score equal to the last bit: what a fast pass finds is scored once more, pair by
    pair.
    """
    k = min(k, len(vectors))
    if k == 0 or len(queries) == 0:
        return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    if metric == "hamming":
        return _top_k_hamming(vectors, queries, k)
    many = len(queries) >= _FEW_QUERIES or metric != "dot"
    if many and len(vectors) >= _FEW_ROWS:
        return _top_k_faiss(vectors, queries, k, metric)
    if metric == "dot":
        return _top_k_blas(vectors, queries, k)
    everyone = np.arange(len(vectors))
    return _stack([best_of(vectors, query, everyone, k, metric) for query in queries])


def tolerance(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return how far apart two float32 sums of one score may lie: nearer than that, scores tie."""
    slack: npt.NDArray[Any] = _EPSILON * np.maximum(1.0, np.abs(scores))
    return slack


def top_k_of(
    vectors: Vectors, queries: FloatMatrix, k: int, rows: Rows, metric: Metric = "dot"
) -> tuple[Rows, FloatMatrix]:
    """Return what ``top_k`` gives when only ``rows`` (m,), ascending, may be returned."""
    missing = len(vectors) - len(rows)
    if missing <= _FEW_MISSING and len(rows) > _FEW_ROWS:
        return _without_few(vectors, queries, min(k, len(rows)), rows, metric)
    if metric == "dot" and _GATHERED * len(rows) > len(vectors) and len(rows) > _FEW_ROWS:
        return _among_products(vectors, queries, min(k, len(rows)), rows)
    parts = []
    for start in range(0, max(1, len(rows)), _BLOCK):
        part = rows[start : start + _BLOCK]
        found, scores = top_k(vectors[part], queries, k, metric)
        parts.append((part[found], scores))
    if len(parts) == 1:
        return parts[0]
    found, scores = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    order = np.lexsort((found, -scores))[:, :k]
    return np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)


def _among_products(vectors: Vectors, queries: FloatMatrix, k: int, rows: Rows) -> tuple[Rows, FloatMatrix]:
    """Multiply with all vectors, which are read in their order, and pick among ``rows``: no vector is copied."""
    answers = []
    step = max(1, 8_000_000 // len(vectors))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        products = part @ vectors.T
        answers += [_best(vectors, query, row[rows], k, rows) for query, row in zip(part, products, strict=True)]
    return _stack(answers)


def _without_few(
    vectors: Vectors, queries: FloatMatrix, k: int, rows: Rows, metric: Metric
) -> tuple[Rows, FloatMatrix]:
    """Search all and leave out the few that are not among ``rows``, rather than gather nearly everything."""
    allowed = np.zeros(len(vectors), bool)
    allowed[rows] = True
    found, scores = top_k(vectors, queries, k + len(vectors) - len(rows), metric)
    # A stable sort brings what is allowed to the front and keeps its order.
    order = np.argsort(~allowed[found], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)


def best_of(vectors: Vectors, query: Row, rows: Rows, k: int, metric: Metric = "dot") -> tuple[Rows, Row]:
    """Return the k best of ``rows`` for one query, scored one by one; ties by row."""
    scores = np.concatenate(
        [scores_of(vectors[rows[at : at + _BLOCK]], query, metric) for at in range(0, len(rows), _BLOCK)]
        or [np.empty(0, np.float32)]
    )
    return _sorted(rows, scores, k)


def _sorted(rows: Rows, scores: Row, k: int) -> tuple[Rows, Row]:
    if len(rows) > 4 * k:
        kth = np.partition(scores, len(rows) - k)[len(rows) - k]
        near = scores >= kth
        rows, scores = rows[near], scores[near]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def scores_of(near: Vectors, query: Row, metric: Metric = "dot") -> Row:
    """Return the scores (m,) of one query with each of ``near`` (m, dim), summed in one fixed order."""
    scores: Row
    if metric == "dot":
        scores = np.einsum("md,d->m", near, query)
    elif metric == "manhattan":
        scores = -np.abs(near - query).sum(axis=1)
    else:
        scores = -np.count_nonzero((near > 0) != (query > 0), axis=1).astype(np.float32)
    return scores


def rerank(
    vectors: Vectors, queries: FloatMatrix, near: Rows, k: int, metric: Metric = "dot"
) -> tuple[Rows, FloatMatrix]:
    """Score candidates ``near`` (q, m) exactly and return the k best of each; row -1 means no candidate."""
    scores = score_rows(vectors, queries, near, metric)
    order = np.lexsort((near, -scores))[:, :k]
    if len(order) == 1:
        return near[:, order[0]], scores[:, order[0]]
    return np.take_along_axis(near, order, 1), np.take_along_axis(scores, order, 1)


def score_rows(vectors: Vectors, queries: FloatMatrix, near: Rows, metric: Metric = "dot") -> FloatMatrix:
    """Return the exact scores (q, m) of rows ``near`` (q, m), -inf for row -1."""
    if metric == "dot":
        starts = range(0, len(queries), _TOGETHER)
        parts = [_dots(vectors, queries[at : at + _TOGETHER], near[at : at + _TOGETHER]) for at in starts]
    else:
        pairs = zip(queries, near, strict=True)
        parts = [scores_of(vectors[rows], query, metric)[None] for query, rows in pairs]
    # After a search the cache is cold and each call into NumPy shows, so there are few of them for one query.
    scores = parts[0] if len(parts) == 1 else np.concatenate(parts)
    missing = near < 0
    if missing.any():
        scores[missing] = -np.inf
    return scores


def pad(ids: npt.NDArray[np.int64], scores: FloatMatrix, k: int) -> tuple[npt.NDArray[np.int64], FloatMatrix]:
    """Widen (q, m) answers to (q, k) with -1 and -inf."""
    missing = k - ids.shape[1]
    if missing <= 0:
        return ids, scores
    widths = ((0, 0), (0, missing))
    return np.pad(ids, widths, constant_values=-1), np.pad(scores, widths, constant_values=-np.inf)


def _dots(vectors: Vectors, queries: FloatMatrix, near: Rows) -> FloatMatrix:
    scores: FloatMatrix = np.einsum("qd,qmd->qm", queries, vectors[near])
    return scores


def _stack(answers: list[tuple[Rows, Row]]) -> tuple[Rows, FloatMatrix]:
    rows, scores = zip(*answers, strict=True)
    return np.stack(rows), np.stack(scores)


def _top_k_blas(vectors: Vectors, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
    answers = []
    # A few queries at a time bound the table of scores to some tens of megabytes.
    step = max(1, 8_000_000 // len(vectors))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        products = part @ vectors.T
        answers += [_best(vectors, query, row, k) for query, row in zip(part, products, strict=True)]
    return _stack(answers)


def _best(vectors: Vectors, query: Row, products: Row, k: int, rows: Rows | None = None) -> tuple[Rows, Row]:
    """Pick the k best of ``rows``, or of all, by their products; everything that ties with the k-th is looked at."""
    kth = np.partition(products, len(products) - k)[len(products) - k]
    near = np.flatnonzero(products >= kth - tolerance(kth))
    return best_of(vectors, query, near if rows is None else rows[near], k)


def _top_k_faiss(vectors: Vectors, queries: FloatMatrix, k: int, metric: Metric) -> tuple[Rows, FloatMatrix]:
    import faiss

    wide = min(len(vectors), k + _SLACK)
    by_product = metric == "dot"
    fast, near = faiss.knn(queries, vectors, wide, metric=faiss.METRIC_INNER_PRODUCT if by_product else faiss.METRIC_L1)
    if not by_product:
        fast = -fast
    rows, scores = rerank(vectors, queries, near, k, metric)
    # More ties than the slack holds: only a look at all rows can order them.
    tied = fast[:, -1] >= fast[:, k - 1] - tolerance(fast[:, k - 1])
    for at in np.flatnonzero(tied) if wide < len(vectors) else ():
        if by_product:
            rows[at], scores[at] = _best(vectors, queries[at], vectors @ queries[at], k)
        else:
            rows[at], scores[at] = best_of(vectors, queries[at], np.arange(len(vectors)), k, metric)
    return rows, scores


def _top_k_hamming(vectors: Vectors, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
    codes, everyone = _signs(vectors), np.arange(len(vectors))
    differing = (np.bitwise_count(codes ^ one).sum(axis=1, dtype=np.int32) for one in _signs(queries))
    return _stack([_sorted(everyone, -each.astype(np.float32), k) for each in differing])


def _signs(vectors: Vectors) -> npt.NDArray[np.uint64]:
    """Return one bit a number (n, words), gathered in blocks to bound memory."""
    blocks = [np.packbits(vectors[at : at + _BLOCK] > 0, axis=1) for at in range(0, len(vectors), _BLOCK)]
    packed = np.concatenate(blocks)
    return np.ascontiguousarray(np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))).view(np.uint64)
