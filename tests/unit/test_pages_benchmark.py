"""Pages of the API hold while pictures are added: the short form of benchmarks/pages.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_PAGES = Path(__file__).parents[2] / "benchmarks" / "pages.py"


def _run(*before: str) -> subprocess.CompletedProcess[str]:
    code = ";".join(("import runpy, sys", *before, f"runpy.run_path({str(_PAGES)!r}, run_name='__main__')"))
    few = ["--lists", "4", "--pages", "4", "--add", "24", "--pictures", "400"]
    return subprocess.run([sys.executable, "-c", code, *few], capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_lists_repeat_and_leave_out_nothing_while_the_library_grows() -> None:
    found = _run()
    assert found.returncode == 0, found.stdout + found.stderr
    assert "repeated 0, left out 0, lists out of order 0" in found.stdout
    assert re.search(r"4 lists of 4 pages, 160 hits, 24 pictures added", found.stdout)
    assert "grew during 4 of the lists" in found.stdout


@pytest.mark.timeout(600)
def test_pages_that_are_asked_for_one_by_one_are_noticed() -> None:
    """The guard: where each page is a search of its own from the first hit, hits come twice."""
    forget = "import sosie.server.lists as m; m.HitList.page = lambda self, at, k: tuple(self.hits[:k])"
    found = _run(forget)
    assert found.returncode == 1, found.stdout + found.stderr
