"""What this package adds keeps the contracts of Sosie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sosie_plugin_example.embedder import StripesEmbedder
from sosie_plugin_example.index import HalvesIndex
from sosie_plugin_example.planting import plant

from sosie.testing.embedders import EMBEDDER_CHECKS
from sosie.testing.indexes import INDEX_CHECKS
from sosie.testing.sources import SOURCE_CHECKS


@pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__)
def test_index(check: Callable[[Any], None]) -> None:
    check(HalvesIndex)


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__)
def test_embedder(check: Callable[[Any], None]) -> None:
    check(StripesEmbedder)


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_source(check: Callable[[Any], None], tmp_path: Path) -> None:
    check(lambda pictures: plant(tmp_path, pictures))
