"""Exact search among the rows that a filter leaves is the same by every way that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.indexes import flat
from sosie.testing.indexes import clustered

_N = 6_000


@pytest.mark.parametrize("share", [0.2, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("queries", [1, 9])
def test_it_is_brute_force(share: float, queries: int) -> None:
    rng = np.random.default_rng(3)
    vectors = clustered(_N, 24)
    vectors[_N // 2 :] = vectors[: _N // 2]  # every score ties with another
    rows = np.sort(rng.choice(_N, int(share * _N), replace=False))
    asked = vectors[rng.choice(_N, queries)]
    found, scores = flat.top_k_of(vectors, asked, 10, rows)
    for query, mine, theirs in zip(asked, found, scores, strict=True):
        exact = vectors[rows].astype(np.float64) @ query.astype(np.float64)
        order = np.argsort(-exact)[:10]
        assert np.isin(mine, rows).all()
        assert len(set(mine.tolist())) == 10
        assert np.allclose(theirs, exact[order], atol=1e-5)
        assert bool((theirs[:-1] >= theirs[1:]).all())


def test_wide_filters_copy_no_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("gathered")

    monkeypatch.setattr(flat, "top_k", refuse)
    vectors = clustered(_N, 24)
    flat.top_k_of(vectors, vectors[:1], 10, np.arange(0, _N, 2))
