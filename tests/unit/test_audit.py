"""The audit of printed numbers passes on a small library, and fails where a number is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_AUDIT = Path(__file__).parents[2] / "benchmarks" / "audit.py"


def _run(*before: str) -> subprocess.CompletedProcess[str]:
    code = ";".join(("import runpy, sys", *before, f"runpy.run_path({str(_AUDIT)!r}, run_name='__main__')"))
    return subprocess.run(
        [sys.executable, "-c", code, "--pictures", "200"], capture_output=True, text=True, check=False
    )


def test_what_is_said_is_what_is_recomputed() -> None:
    pytest.importorskip("sklearn")
    found = _run()
    assert found.returncode == 0, found.stdout + found.stderr
    assert "evaluate labels: mAP" in found.stdout


def test_a_wrong_number_is_noticed() -> None:
    pytest.importorskip("sklearn")
    wrong = "import sosie.types as t; t.number_text = lambda value: f'{value:g}'"
    found = _run(wrong)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "DIFFERS" in found.stdout
