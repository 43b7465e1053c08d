"""kill -9 in the middle of an ingest: what was acknowledged is there, and the same command finishes the rest.

Three kills here; `benchmarks/kill.py` does fifty.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import sosie
from tests.pictures import folder_of


def start_adding(folder: Path, library: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sosie", "add", str(folder), "-L", str(library), "--model", "histogram"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def indexed(library: Path) -> int:
    try:
        with sosie.open(library, create=False) as lib:
            return int(lib.stats()["pictures"])
    except sosie.SosieError:
        return 0  # killed before there was a library


def test_a_killed_ingest_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    folder, library = folder_of(tmp_path / "pictures", 600), tmp_path / "lib"
    acknowledged = 0
    for _ in range(3):
        process = start_adding(folder, library)
        deadline = time.monotonic() + 60
        while indexed(library) <= acknowledged and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        after = indexed(library)
        assert after >= acknowledged
        acknowledged = after
    assert acknowledged > 0
    with sosie.open(library, model="histogram") as lib:
        report = lib.add(folder)
        assert report.unchanged == acknowledged
        assert report.unchanged + report.indexed == 600
        assert lib.stats()["pictures"] == 600
        assert len(lib.vectors()[0]) == 600


def test_a_killed_ingest_leaves_no_process_behind(tmp_path: Path) -> None:
    process = start_adding(folder_of(tmp_path / "pictures", 300), tmp_path / "lib")
    deadline = time.monotonic() + 60
    while indexed(tmp_path / "lib") == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()  # only the parent; its decode workers must notice
    process.wait(30)
    deadline = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _alive(process.pid) == []


def _alive(group: int) -> list[int]:
    """Return the processes of a process group that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found
