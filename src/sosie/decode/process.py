"""One worker as its pool sees it: a process, two pipes, and the pictures that it holds."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sosie.decode.limits import Limits
from sosie.decode.wire import JOB
from sosie.errors import BadPicture
from sosie.extras import install_command

__all__ = ["Job", "Worker", "start_worker"]

_DEATHS = 2  # of workers, before a picture is blamed
_PIPE_SIZE = 1 << 20  # a whole picture fits, so that one can wait in the pipe
_JOINED = 1 << 20  # up to this size copying is cheaper than a second system call
# A worker parses hostile bytes: it is given what an interpreter needs to start, and no credentials.
_ENVIRONMENT = {"PATH", "HOME", "USERPROFILE", "LANG", "LANGUAGE", "TZ", "VIRTUAL_ENV", "TMPDIR", "TEMP", "TMP"} | {
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
}
_ENVIRONMENT_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_", "CONDA_PREFIX")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# glibc: keep what one picture freed for the next, instead of 30,000 page faults for each of 12 megapixels
_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(96 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


def _advised(error: BadPicture) -> BadPicture:
    """Say how a missing decoder is installed, which a worker, locked in as it is, cannot find out."""
    if error.reason != "missing_decoder":
        return error
    return BadPicture(error.reason, f"{error.detail}: {install_command('heif')}")


class Job:
    """One picture on its way."""

    def __init__(self, data: bytes, params: Mapping[str, Any] | None = None, *, caller: str = "") -> None:
        self.data, self.caller = data, caller
        self.params = json.dumps(params).encode() if params else b""
        self.future: Future[Mapping[str, Any]] = Future()
        self.deaths = 0  # of workers that worked on it

    def start(self) -> bool:
        """Say whether the picture is still wanted."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def settle(self, answer: Mapping[str, Any]) -> None:
        if "ok" in answer:
            self.future.set_result(answer["ok"])
        else:
            self.future.set_exception(_advised(BadPicture(*(answer.get("bad") or answer["fatal"]))))

    def fail(self, error: BaseException) -> None:
        """Give up, whatever state the picture is in."""
        if isinstance(error, CancelledError) and self.future.cancel():
            return
        with suppress(InvalidStateError):  # its owner has cancelled it
            self.future.set_exception(error)


class Worker:
    """A running worker process."""

    def __init__(self, process: subprocess.Popen[bytes], config: bytes) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self.jobs: deque[Job] = deque()  # the first is in work
        self.ready = False
        self.sealed: tuple[str, ...] = ()  # the measures of its sandbox, told by itself: to be shown, not relied upon
        self.dead = False
        self.deadline: float | None = None
        self.protocol_error = ""
        self.answers = io.BufferedReader(process.stdout, 1 << 16)  # type: ignore[type-var]
        self._stdin = process.stdin
        self._config = config
        self._overdue: Job | None = None
        _enlarge(self._stdin.fileno())
        _enlarge(process.stdout.fileno())

    def configure(self) -> None:
        self._write(len(self._config).to_bytes(4, "little") + self._config)

    def send(self, job: Job) -> None:
        head = JOB.pack(len(job.data), len(job.params)) + job.params
        if len(job.data) < _JOINED:
            self._write(head + job.data)
        else:
            self._write(head)
            self._write(job.data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._stdin.write(view) :]

    def kill(self) -> None:
        self.process.kill()

    def kill_for_time(self) -> None:
        self._overdue = self.jobs[0] if self.jobs else None
        self.deadline = None
        self.kill()

    def forgive(self, seconds: float) -> None:
        if self.deadline:
            self.deadline += seconds

    def dispose(self) -> None:
        """Reap the process and close the pipes; nobody else may still use them."""
        self.process.wait()
        self._stdin.close()
        self.answers.close()

    def fate(self) -> tuple[Job, BadPicture] | None:
        """Blame the picture in work for the worker's death, or nobody.

        A picture is called a killer when it has killed a second, fresh worker: the first may have been killed by an
        administrator, or by what an earlier picture did to its heap.
        """
        job = self.jobs[0]
        if self._overdue is not None:
            return (job, BadPicture("timeout", "stopped at the deadline")) if job is self._overdue else None
        job.deaths += 1
        verdict = self._verdict()
        return (job, verdict) if job.deaths >= _DEATHS or verdict.reason == "timeout" else None

    def _verdict(self) -> BadPicture:
        if self.protocol_error:
            return BadPicture("crashed", f"the decoder sent {self.protocol_error}")
        code = self.process.returncode
        if -code == getattr(signal, "SIGXCPU", None):
            return BadPicture("timeout", "the decoder used up its processor time")
        if -code == getattr(signal, "SIGKILL", None):
            return BadPicture("out_of_memory", "the system killed the decoder, as it does when memory runs out")
        return BadPicture("crashed", _name_of(code))


def _name_of(code: int) -> str:
    try:
        return f"the decoder died of {signal.Signals(-code).name}"
    except ValueError:
        return f"the decoder ended with exit code {code}"


def start_worker(analyse: str, params: Mapping[str, Any], limits: Limits) -> Callable[[], Worker]:
    """Return what starts one worker without waiting for it."""
    config = json.dumps({"analyse": analyse, "params": params, "limits": asdict(limits)}).encode()
    command = [sys.executable, "-P", "-c", "from sosie.decode.worker import main; main()"]
    environment = _environment()

    def start() -> Worker:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment, **_apart()
        )
        return Worker(process, config)

    return start


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    # The worker finds Sosie and the analysis where this process finds them.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**kept, **_ONE_THREAD, **_ALLOCATOR, "PYTHONPATH": path}


def _apart() -> dict[str, Any]:
    """Keep the terminal's Ctrl-C from the workers, even while they start."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"process_group": 0}


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the system's allowance for pipes is used up: slower, no worse
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
