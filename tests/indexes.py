"""Index kinds as tests make them: each from the table, one of a cluster on the node that the tests start."""

from __future__ import annotations

import functools
import importlib.util

import pytest

from sosie.registry import INDEXES, resolve
from sosie.testing.indexes import Make


def maker(kind: str, request: pytest.FixtureRequest) -> Make:
    """Return what makes an index of a kind; a kind that is not installed leaves the test out."""
    extra = INDEXES[kind].extra
    if extra and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs the extra {extra}")
    if INDEXES[kind].service:
        return _at(kind, request.getfixturevalue("elasticsearch").address("contract"))
    made: Make = resolve("indexes", kind)
    return made


@functools.cache  # one object a kind: what is built is shared by the checks that only search
def _at(kind: str, address: str) -> Make:
    return functools.partial(resolve("indexes", kind), address=address)
