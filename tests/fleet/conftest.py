"""A Ray cluster for the tests of a module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.ray import Machines


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Two machines of one core; the driver, a test, is on the first."""
    pytest.importorskip("ray")
    # sockets' paths may have 107 bytes, so the folder lies high up
    with tempfile.TemporaryDirectory(prefix="sr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        made = Machines(Path(folder))
        try:
            made.start()
            yield made
        finally:
            made.stop()
