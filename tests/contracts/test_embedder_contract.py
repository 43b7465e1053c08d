"""Every embedder of the table, and of installed packages, keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sosie.registry import EMBEDDERS, plugged_in, resolve_embedder
from sosie.testing.embedders import EMBEDDER_CHECKS, Make
from sosie.testing.fakes import ToyEmbedder

KINDS = [*(name for name in EMBEDDERS if name != "onnx"), *plugged_in("embedders")]  # onnx is made of a description


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", KINDS)
def test_contract(name: str, check: Callable[[Make], None]) -> None:
    check(resolve_embedder(name))


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_toy_keeps_it_too(check: Callable[[Make], None]) -> None:
    check(ToyEmbedder)
