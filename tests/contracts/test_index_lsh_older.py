"""An LSH index that an earlier version built, before there was ``fill``, answers as it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sosie.indexes.flat import top_k
from sosie.indexes.lsh import LshIndex
from sosie.indexes.store import open_current, write_generation
from sosie.testing.indexes import clustered

_META: Mapping[str, Any] = {"spec_hash": "x", "dim": 32, "count": 500, "covers": 500}


class _Older(LshIndex):
    """Writes the manifest of that version."""

    @property
    def params(self) -> Mapping[str, Any]:
        return {name: value for name, value in super().params.items() if name not in ("fill", "centre")}


def test_short_answers_are_filled_up_as_before(tmp_path: Path) -> None:
    vectors = clustered(500, 32)
    ids = np.arange(1, 501)
    for folder, made in (("older", _Older), ("newer", LshIndex)):
        index = made(bits=16, tables=1, probes=1)
        index.build(ids, vectors)
        write_generation(tmp_path / folder, index, meta=_META)
    queries = vectors[:20]
    older, newer = (open_current(tmp_path / folder, expect={})[0] for folder in ("older", "newer"))  # type: ignore[index]
    found, scores = older.search(queries, 10)
    assert (found >= 0).all()
    assert (newer.search(queries, 10)[0] < 0).any()
    short = (newer.search(queries, 10)[0] < 0).any(axis=1)
    assert np.allclose(scores[short], top_k(vectors, queries[short], 10, "dot")[1], atol=1e-5)
