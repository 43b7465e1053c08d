"""A Ray cluster for the tests of a module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sosie.testing.servers import PictureServer
from tests.services.held import HeldServer
from tests.services.ray import Machines


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Two machines of one core; the driver, a test, is on the first."""
    with started(second=True) as made:
        yield made


@pytest.fixture(scope="module")
def head() -> Iterator[Machines]:
    """One machine of one core."""
    with started(second=False) as made:
        yield made


@contextmanager
def started(*, second: bool) -> Iterator[Machines]:
    pytest.importorskip("ray")
    # sockets' paths may have 107 bytes, so the folder lies high up
    with tempfile.TemporaryDirectory(prefix="sr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        made = Machines(Path(folder))
        try:
            made.start(second=second)
            yield made
        finally:
            made.stop()


@pytest.fixture
def web() -> Iterator[HeldServer]:
    """200 pictures; those behind the first 80 are held."""
    with PictureServer() as server:
        held = HeldServer(server, 200, 80)
        yield held
        held.let_go()
