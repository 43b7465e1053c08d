"""A few generated requests for each operation; benchmarks/fuzz_api.py makes thousands."""

from __future__ import annotations

from benchmarks.fuzz_api import fuzz


def test_the_api_does_what_its_document_says() -> None:
    assert fuzz(3, more=("--phases=examples,fuzzing",)) == 0
