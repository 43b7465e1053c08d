"""What a finder of copies takes over from another process's commits is what it would read anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.arrays import Bits
from sosie.catalogue import Catalogue
from sosie.query.copy_state import CopyState, StateReader
from sosie.testing.catalogues import add, digest
from sosie.types import Ids
from sosie.verify.calibration import shipped_calibration
from tests.properties.test_selection_follows import PICTURES, do

DEEDS = ["add", "lose", "move", "remove", "red", "features", "forget"]
STEPS = st.lists(st.tuples(st.sampled_from(DEEDS), PICTURES), min_size=1, max_size=12)


def reader(store: Catalogue, indexed: Callable[[Ids], object]) -> StateReader:
    return StateReader(store, "v1", shipped_calibration, indexed)


def told(state: CopyState) -> tuple[Any, ...]:
    assert isinstance(state.live, Bits)
    return (
        state.epoch,
        state.hashes.ids.tolist(),
        state.hashes.codes.tolist(),
        state.hashes.qualities.tolist(),
        state.live.ids.tolist(),
        [i for i in range(20) if i in state.live],
    )


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_a_state_that_follows_is_one_that_is_read_anew(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("follows") / "catalogue.sqlite"
    with closing(Catalogue(path)) as other, closing(Catalogue(path)) as store:
        add(other, *range(1, 9))
        words: set[int] = set()
        following = reader(store, lambda ids: words.update(ids.tolist()))
        state = following.read(None)
        for deed, numbers in steps:
            if deed == "features":
                known = [i for n in numbers if (i := other.content_id(digest(n))) is not None]
                other.put_features([(i, b"of it") for i in known], version="v1")
            else:
                do(other, deed, numbers)
            state = following.read(state)
            assert told(state) == told(reader(other, lambda _: None).read(None)), (deed, numbers)
            assert set(other.feature_ids(version="v1").tolist()) <= words, (deed, numbers)


def test_a_commit_costs_no_look_at_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as store:
        add(store, *range(1, 9))
        following = reader(store, lambda ids: asked.append(len(ids)))
        state = following.read(None)
        monkeypatch.setattr(Catalogue, "live_ids", None)
        monkeypatch.setattr(Catalogue, "feature_ids", None)
        add(store, 9, 10)
        after = following.read(state)
    assert len(after.hashes.ids) == 10 and 10 in after.live and np.int64(10) not in state.hashes.ids
