"""Every index kind of the table, and of installed packages, keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sosie.contracts import Index
from sosie.registry import INDEXES, plugged_in, resolve
from sosie.testing.indexes import INDEX_CHECKS, Make
from tests.indexes import maker


@pytest.fixture(params=[*INDEXES, *plugged_in("indexes")])
def make(request: pytest.FixtureRequest) -> Make:
    return maker(request.param, request)


@pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(make: Make, check: Callable[[Make], None]) -> None:
    check(make)


def test_kind_and_params_rebuild_the_index(make: Make) -> None:
    index = make()
    again: Index = resolve("indexes", index.kind)(**index.params)
    assert again.params == index.params
