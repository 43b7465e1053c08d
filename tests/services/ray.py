"""A Ray cluster of two machines, which are processes on loopback addresses of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

HEAD, SECOND = "127.0.0.2", "127.0.0.3"  # Ray puts the machine's outside address in the place of 127.0.0.1
_MARK = "SOSIE_TEST_CLUSTER"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # else the tests would depend on a token that lies in the home folder, or does not
    # a dead machine is noticed within seconds
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


class Machines:
    """A head and a second machine, started as their administrators would, and what a test may do to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {**os.environ, **_SETTINGS, _MARK: str(folder)}
        self.address = f"{HEAD}:{_free_port()}"
        self._head: set[int] = set()

    def start(self, *, second: bool = True) -> None:
        """Start the head, and the second machine."""
        port = self.address.partition(":")[2]
        self._start("--head", f"--port={port}", f"--node-ip-address={HEAD}", "--include-dashboard=false")
        self._head = self._raylets()
        if second:
            self.add()

    def _start(self, *how: str) -> None:
        ray = Path(sys.executable).with_name("ray")
        command = [ray, "start", "--disable-usage-stats", "--num-cpus=1", "--object-store-memory=80000000", *how]
        if "--head" in how:
            command.append(f"--temp-dir={self._folder}")
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr

    def add(self) -> None:
        """Start a second machine with one core."""
        self._start(f"--address={self.address}", f"--node-ip-address={SECOND}")

    def kill_second(self) -> None:
        """Take the second machine away without a word."""
        for pid in self._raylets() - self._head:
            os.kill(pid, signal.SIGKILL)

    def kill_head(self) -> None:
        """Take the head away, and with it what the cluster knows of itself."""
        for pid, command in self._processes():
            if b"gcs_server" in command or pid in self._head:
                os.kill(pid, signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill one actor that embeds; Ray names its processes after what they do."""
        workers = [pid for pid, command in self._processes() if b"MapWorker" in command]
        os.kill(workers[0], signal.SIGKILL)

    def stop(self) -> None:
        """End everything that was started."""
        deadline = time.monotonic() + 30
        while (left := list(self._processes())) and time.monotonic() < deadline:
            for pid, _ in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _raylets(self) -> set[int]:
        return {pid for pid, command in self._processes() if command.split(b"\0")[0].endswith(b"raylet/raylet")}

    def _processes(self) -> Iterator[tuple[int, bytes]]:
        mark = f"{_MARK}={self._folder}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name), (entry / "cmdline").read_bytes()
                except OSError:
                    continue


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HEAD, 0))
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], object], *, seconds: float = 120) -> None:
    """Wait for something to become true; fail where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
