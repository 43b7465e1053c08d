"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared_or_none() -> Path | None:
    """Return the folder of real pictures and small networks, beside the checkout or at $SOSIE_SHARED."""
    folder = Path(os.environ.get("SOSIE_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="session")
def sosie_shared() -> Path:
    """The shared folder; its absence fails in CI and leaves the test out elsewhere."""
    folder = shared_or_none()
    if folder is None:
        message = "the real pictures are not here: set SOSIE_SHARED to the folder that holds data/ and weights/"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
