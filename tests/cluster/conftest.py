"""Libraries on the cluster that the tests start."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import sosie
from sosie.library import Library
from tests.services.elastic import Cluster

Open = Callable[..., Library]


@pytest.fixture
def address(elasticsearch: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a library that is not there yet, and is deleted afterwards; its folder here lies in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = elasticsearch.address(f"t-{uuid.uuid4().hex[:12]}")
    yield made
    with sosie.open(made, model="histogram") as lib:
        lib.catalogue.destroy()


@pytest.fixture
def opened(address: str) -> Iterator[Open]:
    """Open the library at ``address``, as often as one likes; all are closed in the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(sosie.open(address, **{"model": "histogram", **options}))
