"""What the server takes of its machine, as Prometheus' own clients name it; from ``/proc``, so on Linux alone."""

from __future__ import annotations

import os
from pathlib import Path

from sosie.server.metrics import Sample

__all__ = ["process_samples"]

_SELF = Path("/proc/self")
_UTIME, _STIME, _START, _VSIZE, _RSS = 11, 12, 19, 20, 21  # fields of stat(5) after the name of the command


def process_samples() -> list[Sample]:
    """Return the CPU time, memory and open files of this process; nothing where the system does not tell."""
    try:
        fields = (_SELF / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        lines = Path("/proc/stat").read_text("ascii").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        open_files = len(os.listdir(_SELF / "fd"))  # noqa: PTH208 - names alone
    except (OSError, StopIteration, ValueError):
        return []
    import resource

    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return [
        Sample("process_cpu_seconds_total", (int(fields[_UTIME]) + int(fields[_STIME])) / ticks),
        Sample("process_max_fds", float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
        Sample("process_open_fds", float(open_files)),
        Sample("process_resident_memory_bytes", float(int(fields[_RSS]) * page)),
        Sample("process_start_time_seconds", boot + int(fields[_START]) / ticks),
        Sample("process_virtual_memory_bytes", float(fields[_VSIZE])),
    ]
