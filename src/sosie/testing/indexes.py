"""The contract of an index, as checks that any kind can be put through.

A third party runs them on its own kind:

    @pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyIndex)
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from sosie.contracts import Index
from sosie.indexes.flat import top_k
from sosie.types import FloatMatrix, Ids

__all__ = ["INDEX_CHECKS", "Make", "clustered", "recall"]

Make = Callable[[], Index]

_N = 3_000
_DIM = 40  # no multiple of 32 or 64: kinds that need one have to widen
_LEAST_RECALL = 0.8  # of untuned defaults; what a library gets is tuned and measured


def clustered(n: int, dim: int, *, seed: int = 0) -> FloatMatrix:
    """Return ``n`` unit vectors (n, dim) in clusters with a decaying spectrum, as embeddings have."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    centres = rng.standard_normal((max(4, n // 50), dim), dtype=np.float32)
    points = centres[rng.integers(0, len(centres), n)] + 0.7 * rng.standard_normal((n, dim), dtype=np.float32)
    points = points * scale
    unit: FloatMatrix = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


def recall(found: Ids, truth: Ids) -> float:
    """Return the share of ``truth`` (q, k) that is in ``found`` (q, k)."""
    hits = [len(np.intersect1d(one, other)) for one, other in zip(found, truth, strict=True)]
    return float(np.sum(hits)) / truth.size


def check_own_vector_comes_first(make: Make) -> None:
    index, ids, vectors = _built(make)
    first = index.search(vectors[:300], 1)[0][:, 0]
    assert np.mean(first == ids[:300]) >= 0.99


def check_scores_are_inner_products_best_first(make: Make) -> None:
    index, ids, vectors = _built(make)
    found, scores = index.search(vectors[:50], 10)
    assert found.dtype == np.int64 and scores.dtype == np.float32
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    true = np.einsum("qd,qkd->qk", vectors[:50], vectors[np.searchsorted(ids, found)])
    np.testing.assert_allclose(scores, true, atol=1e-5)


def check_most_neighbours_are_found(make: Make) -> None:
    index, ids, vectors = _built(make)
    queries = clustered(_N + 100, _DIM)[_N:]
    truth = ids[top_k(vectors, queries, 10)[0]]
    assert recall(index.search(queries, 10)[0], truth) >= _LEAST_RECALL


def check_an_answer_names_an_id_once(make: Make) -> None:
    index, _, vectors = _built(make)
    for row in index.search(vectors[:100], 20)[0]:
        assert len(np.unique(row)) == 20


def check_equal_vectors_tie(make: Make) -> None:
    vectors = clustered(_N, _DIM)
    vectors[10:13] = vectors[10]
    index = make()
    index.build(np.arange(_N), vectors)
    found, scores = index.search(vectors[10:11], 3)
    assert set(found[0]) == {10, 11, 12}
    assert np.ptp(scores[0]) < 1e-6


def check_k_beyond_n_is_padded(make: Make) -> None:
    vectors = clustered(20, _DIM)
    index = make()
    index.build(np.arange(20), vectors)
    found, scores = index.search(vectors[:2], 30)
    assert found.shape == scores.shape == (2, 30)
    assert (np.sort(found[:, :20], axis=1) == np.arange(20)).all()
    assert (found[:, 20:] == -1).all() and np.isneginf(scores[:, 20:]).all()


def check_every_vector_is_found_with_k_equal_n(make: Make) -> None:
    index, ids, vectors = _built(make)
    found = index.search(vectors[:2], _N)[0]
    assert (np.sort(found, axis=1) == ids).all()


def check_empty_gives_nothing(make: Make) -> None:
    index = make()
    index.build(np.empty(0, np.int64), np.empty((0, _DIM), np.float32))
    found, scores = index.search(clustered(2, _DIM), 3)
    assert (found == -1).all() and np.isneginf(scores).all()
    full, _, _ = _built(make)
    assert full.search(np.empty((0, _DIM), np.float32), 3)[0].shape == (0, 3)


def check_one_vector_is_enough(make: Make) -> None:
    vectors = clustered(1, _DIM)
    index = make()
    index.build(np.array([7]), vectors)
    assert index.search(vectors, 2)[0].tolist() == [[7, -1]]


def check_building_again_replaces(make: Make) -> None:
    index, _, vectors = _build_anew(make)
    index.build(np.arange(1_000), vectors[1_000:2_000])
    found = index.search(vectors[1_500:1_501], 1)[0]
    assert found.tolist() == [[500]]


def check_any_order_of_ids_will_do(make: Make) -> None:
    vectors = clustered(_N, _DIM)
    ids = np.random.default_rng(1).permutation(_N * 2)[:_N]
    index = make()
    index.build(ids, vectors)
    assert np.mean(index.search(vectors[:100], 1)[0][:, 0] == ids[:100]) >= 0.98
    assert (index.ids == np.sort(ids)).all()


def check_bad_input_is_refused(make: Make) -> None:
    vectors = clustered(10, _DIM)
    holed, endless = vectors.copy(), vectors.copy()
    holed[3, 3], endless[4, 4] = np.nan, np.inf
    ids = np.arange(10)
    twice = ids.copy()
    twice[9] = 0
    cases: Sequence[tuple[Any, Any]] = [
        (twice, vectors),
        (ids - 1, vectors),
        (ids[:9], vectors),
        (ids.astype(np.float64), vectors),
        (ids, holed),
        (ids, endless),
        (ids, vectors[0]),
        (ids, (vectors * 100).astype(np.int32)),
    ]
    for bad_ids, bad_vectors in cases:
        _refuses(make().build, bad_ids, bad_vectors)


def check_bad_queries_are_refused(make: Make) -> None:
    index, _, vectors = _built(make)
    holed, endless = vectors[:1].copy(), vectors[:1].copy()
    holed[0, 0], endless[0, 0] = np.nan, np.inf
    for queries, k in ((vectors[:1, :9], 1), (holed, 1), (endless, 1), (vectors[0], 1), (vectors[:1], 0)):
        _refuses(index.search, queries, k)


def check_save_and_load_give_equal_answers(make: Make) -> None:
    index, _, vectors = _built(make)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        index.save(folder)
        again = make()
        again.load(folder)
        _equal(index.search(vectors[:50], 10), again.search(vectors[:50], 10))
        assert (again.ids == index.ids).all()


def check_saving_what_was_loaded(make: Make) -> None:
    index, _, vectors = _built(make)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as first,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as second,
    ):
        index.save(first)
        copy, again = make(), make()
        copy.load(first)
        copy.save(second)
        again.load(second)
        _equal(index.search(vectors[:50], 10), again.search(vectors[:50], 10))


def check_a_batch_answers_as_its_queries_one_by_one(make: Make) -> None:
    index, _, vectors = _built(make)
    together = index.search(vectors[:40], 5)
    singly = [index.search(vectors[at : at + 1], 5) for at in range(40)]
    np.testing.assert_allclose(together[1], np.concatenate([one[1] for one in singly]), atol=1e-5)
    assert recall(np.concatenate([one[0] for one in singly]), together[0]) > 0.99


def check_two_threads_answer_as_one(make: Make) -> None:
    index, _, vectors = _built(make)
    parts = [vectors[at : at + 20] for at in range(0, 400, 20)]
    alone = [index.search(part, 5) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        beside = list(pool.map(lambda part: index.search(part, 5), parts))
    for one, other in zip(alone, beside, strict=True):
        _equal(one, other)


def check_filters_give_k_whenever_k_match(make: Make) -> None:
    index, ids, vectors = _built(make)
    for share in (2, 10, 100, 1_000):
        _check_filter(index, ids, vectors, ids[::share])


def check_filters_with_the_index_own_selector(make: Make) -> None:
    index, ids, vectors = _build_anew(make)
    if hasattr(index, "few"):
        index.few = 1  # else so few vectors are always gone through exactly
    for share in (2, 10, 100):
        _check_filter(index, ids, vectors, ids[::share])
    far = ids[np.argsort(vectors @ vectors[0])[:50]]
    found = index.search(vectors[:1], 10, np.sort(far))[0]
    assert np.isin(found, far).all()


def check_filters_that_leave_out_one(make: Make) -> None:
    index, ids, vectors = _built(make)
    allow = np.delete(ids, 7)
    allow.flags.writeable = False
    for _ in range(2):  # a read-only filter is worked out once
        found = index.search(vectors[:30], 10, allow)[0]
        assert (found >= 0).all() and ids[7] not in found
    other = np.delete(ids, 8)
    other.flags.writeable = False
    found = index.search(vectors[:30], 10, other)[0]
    assert ids[8] not in found and ids[7] in found


def check_filters_that_leave_none_or_few(make: Make) -> None:
    index, ids, vectors = _built(make)
    assert (index.search(vectors[:2], 5, np.empty(0, np.int64))[0] == -1).all()
    strangers = np.array([ids.max() + 1, ids.max() + 2])
    assert (index.search(vectors[:2], 5, strangers)[0] == -1).all()
    found = index.search(vectors[:2], 5, ids[4:6])[0]
    assert (np.sort(found[:, :2], axis=1) == ids[4:6]).all() and (found[:, 2:] == -1).all()


INDEX_CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)


@functools.lru_cache(maxsize=2)
def _built(make: Make) -> tuple[Index, Ids, FloatMatrix]:
    """Build once for all checks that only search."""
    return _build_anew(make)


def _build_anew(make: Make) -> tuple[Index, Ids, FloatMatrix]:
    ids = np.arange(_N) * 3 + 5
    vectors = clustered(_N + 100, _DIM)[:_N]
    index = make()
    index.build(ids, vectors)
    return index, ids, vectors


def _check_filter(index: Index, ids: Ids, vectors: FloatMatrix, allow: Ids) -> None:
    found, scores = index.search(vectors[:30], 10, allow)
    there = min(10, len(allow))
    assert np.isin(found[:, :there], allow).all() and (found[:, there:] == -1).all()
    assert (np.diff(scores[:, :there], axis=1) <= 1e-6).all()
    rows = np.searchsorted(ids, allow)
    truth = allow[top_k(vectors[rows], vectors[:30], there)[0]]
    assert recall(found[:, :there], truth) >= _LEAST_RECALL


def _refuses(call: Callable[..., object], *values: object) -> None:
    try:
        call(*values)
    except ValueError:
        return
    raise AssertionError(f"not refused: {values}")


def _equal(one: tuple[Ids, FloatMatrix], other: tuple[Ids, FloatMatrix]) -> None:
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
