"""``sosie add --ray`` as a command: what it says and with which code it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sosie
from tests.pictures import folder_of, jpeg
from tests.services.held import HeldServer
from tests.services.ray import Machines, wait_until

pytestmark = pytest.mark.timeout(900)  # processes by the dozen, on a machine that may be busy


def start(head: Machines, source: Path, library: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sosie", "add", str(source), "-L", str(library), "--ray", head.address]
    return subprocess.Popen(
        [*command, *options],
        env=head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_network_travels_and_the_report_comes_alone(head: Machines, tmp_path: Path) -> None:
    process = start(head, folder_of(tmp_path / "pictures", 8), tmp_path / "lib", "--json")
    told, noted = process.communicate(timeout=240)
    assert process.returncode == 0, noted
    assert json.loads(told)["indexed"] == 8
    with sosie.open(tmp_path / "lib") as lib:
        assert lib.search(jpeg(3), k=1)[0].score > 0.99


def test_ctrl_c_ends_it_and_keeps_what_was_done(head: Machines, web: HeldServer, tmp_path: Path) -> None:
    process = start(head, web.write_list(tmp_path), tmp_path / "lib", "--allow-private", "--model", "histogram")
    wait_until(lambda: web.holds(4))
    process.send_signal(signal.SIGINT)
    told, noted = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the same command to go on" in told
    assert noted.startswith("stopping after what is in flight; once more to stop at once\n")
    assert "Traceback" not in noted


def test_a_head_that_goes_away_is_exit_code_4(head: Machines, web: HeldServer, tmp_path: Path) -> None:
    process = start(head, web.write_list(tmp_path), tmp_path / "lib", "--allow-private", "--model", "histogram")
    wait_until(lambda: web.holds(4))
    head.kill_head()  # the last test here: nothing is left of the cluster
    _, noted = process.communicate(timeout=120)
    assert process.returncode == 4
    assert f"the Ray cluster at {head.address} went away" in noted
