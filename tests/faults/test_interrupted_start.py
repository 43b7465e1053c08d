"""Ctrl-C while a command is still importing: it ends, and no traceback is shown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# `sosie.cli.app` in a place of its own tells when its import is under way, and then takes long
_SLOW = """
import sys, time, types, importlib.abc, importlib.machinery
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "sosie.cli.app":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from sosie.cli import run
run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT is sent to another process there")
def test_an_interrupted_import_is_no_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGINT, "")
