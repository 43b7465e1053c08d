"""Every index kind of the table keeps the contract."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from sosie.registry import INDEXES, resolve
from sosie.testing.indexes import INDEX_CHECKS, Make
from sosie.types import Index


@pytest.fixture(params=INDEXES)
def make(request: pytest.FixtureRequest) -> Make:
    extra = INDEXES[request.param].extra
    if extra and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs the extra {extra}")
    found: Make = resolve("indexes", request.param)
    return found


@pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(make: Make, check: Callable[[Make], None]) -> None:
    check(make)


def test_kind_and_params_rebuild_the_index(make: Make) -> None:
    index = make()
    again: Index = resolve("indexes", index.kind)(**index.params)
    assert again.params == index.params
