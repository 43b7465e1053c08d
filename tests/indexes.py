"""Index kinds as tests make them: each from the table, one of a cluster on the node that the tests start."""

from __future__ import annotations

import functools
import importlib.util

import pytest

from sosie.registry import INDEXES, resolve
from sosie.testing.indexes import Make


def maker(kind: str, request: pytest.FixtureRequest) -> Make:
    """Return what makes an index of a kind; a kind that is not installed leaves the test out."""
    if kind not in INDEXES:  # of an installed package
        plugged: Make = resolve("indexes", kind)
        return plugged
    extra = INDEXES[kind].extra
    if extra and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs the extra {extra}")
    if INDEXES[kind].service:
        return _at(kind, request.getfixturevalue("elasticsearch").address("contract"))
    made: Make = resolve("indexes", kind)
    return _filling() if kind == "lsh" else made


@functools.cache
def _filling() -> Make:
    """Return what makes the hash tables that keep the whole contract: alone, they may find fewer than k."""
    return functools.partial(resolve("indexes", "lsh"), probes=8, centre=True, fill="exact")


@functools.cache  # one object a kind: what is built is shared by the checks that only search
def _at(kind: str, address: str) -> Make:
    return functools.partial(resolve("indexes", kind), address=address)
