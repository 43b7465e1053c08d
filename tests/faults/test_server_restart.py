"""A server that is killed, or ends, with jobs: the next one takes them up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import sosie
from tests.pictures import folder_of
from tests.serving import running

PICTURES = 200


def until(holds: Callable[[], object], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_that_were_accepted_are_ended_by_the_next_server(tmp_path: Path, how: signal.Signals) -> None:
    library, pictures = tmp_path / "library", folder_of(tmp_path / "pictures", PICTURES)
    sosie.open(library, model="histogram").close()
    command = [sys.executable, "-m", "sosie", "serve", "--library", str(library), "--port", "0"]
    log = tmp_path / "log"
    with log.open("w") as file, subprocess.Popen(command, stderr=file) as process:
        until(lambda: "Sosie is at " in log.read_text())
        address = log.read_text().partition("Sosie is at ")[2].split()[0]
        bodies = [{"kind": "add", "source": str(pictures)}, {"kind": "build", "index": "exact"}]
        jobs = [httpx.post(f"{address}/api/v1/jobs", json=body, timeout=60).json()["id"] for body in bodies]
        process.send_signal(how)
        process.wait(60)
    with sosie.open(library) as opened, running(opened) as address:

        def states() -> list[str]:
            return [httpx.get(f"{address}/api/v1/jobs/{job}", timeout=60).json()["state"] for job in jobs]

        until(lambda: states() == ["done", "done"])
        assert opened.stats()["pictures"] == PICTURES
    with sosie.open(library) as opened, running(opened) as address:  # what is over is known, and not done again
        assert [job["id"] for job in httpx.get(f"{address}/api/v1/jobs", timeout=60).json()["jobs"]] == jobs[::-1]


def test_duplicates_that_were_never_looked_for_are_not_there(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as made, running(made) as address:
        assert httpx.get(f"{address}/api/v1/duplicates", timeout=60).status_code == 404
