"""Reading arrays from several threads."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sosie.arrays import load_array, load_arrays


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    values = np.arange(12).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", one=values, two=values[0])
    np.testing.assert_array_equal(load_array(tmp_path / "a.npy"), values)
    assert isinstance(load_array(tmp_path / "a.npy", mapped=True), np.memmap)
    np.testing.assert_array_equal(load_arrays(tmp_path / "b.npz")["two"], values[0])


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", one=np.array([{}], object), allow_pickle=True)
    for mapped in (False, True):
        with pytest.raises(ValueError, match=r"allow_pickle|Python objects"):
            load_array(tmp_path / "a.npy", mapped=mapped)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "b.npz")


def test_threads_that_read_at_once_do_not_meet_in_the_parser(tmp_path: Path) -> None:
    """Without the lock some of these fail on CPython 3.11, where collecting garbage lets another thread in."""
    np.save(tmp_path / "a.npy", np.arange(8))
    failures: list[Exception] = []

    def read(depth: int) -> None:  # the parser compares how deep each thread stands
        if depth:
            read(depth - 1)
            return
        for _ in range(300):
            try:
                load_array(tmp_path / "a.npy")
            except Exception as error:
                failures.append(error)

    def yielding(_phase: str, _info: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(yielding)
    gc.set_threshold(10)
    try:
        threads = [threading.Thread(target=read, args=(depth,)) for depth in (0, 4, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(yielding)
    assert failures == []
