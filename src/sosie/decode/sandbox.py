"""What the operating system holds a worker to.

Linux and macOS only: elsewhere the pool's deadline is what remains.
"""

from __future__ import annotations

import math
import os
import signal
import sys

from sosie.decode.limits import Limits

if sys.platform != "win32":
    import resource

__all__ = ["Leash", "limit_process"]

_GRACE = 2.0  # the pool kills at the deadline; a worker whose pool is gone kills itself this much later


def limit_process(limits: Limits) -> None:
    """Allow no core dump, no file to grow, and ``limits.memory`` beyond what is mapped by now. Final."""
    if sys.platform != "win32":
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_AS, _mapped() + limits.memory)


class Leash:
    """The limits that are renewed for every picture; overstepping one kills the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def tighten(self) -> None:
        """Give a picture its processor time, and its time on the clock even if the decoder hangs."""
        if sys.platform != "win32":
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            soft = math.ceil(_cpu_used()) + self._limits.cpu_seconds
            if hard == resource.RLIM_INFINITY or soft <= hard:
                resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
            signal.setitimer(signal.ITIMER_REAL, self._limits.deadline + _GRACE)

    def loosen(self) -> None:
        """Stop the clock: waiting for the next picture may take for ever."""
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0)


if sys.platform != "win32":

    def _lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):  # macOS refuses some: the pool's deadline remains
            return

    def _cpu_used() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def _mapped() -> int:
        """Return how much address space the interpreter and its libraries have taken so far."""
        try:
            with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  pathlib costs a start 7 ms
                return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 1 << 30
