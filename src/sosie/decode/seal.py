"""The sandbox of a decode worker: no system call that reaches a file, a socket or another process.

Linux only; `missing` says what a system lacks. Seccomp (kernel 4.14) lets through what computing, the pipes and the
limits need, and refuses everything else with EPERM; Landlock (5.13) denies files, and TCP by kernel, once more. Both
hold for good, for root as well.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

__all__ = ["close_others", "deny_files", "filter_calls", "missing", "preload", "seal", "warning"]

# The number of each call on x86_64 and aarch64 (asm/unistd_64.h, asm-generic/unistd.h).
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
_PRCTL, _KILL, _TGKILL = (157, 167), (62, 129), (234, 131)
_CLONE, _CLONE3, _PRLIMIT, _SECCOMP = (56, 220), (435, 435), (302, 261), (317, 277)
_THREADS = (0x3D0F00, 0x7D0F00)  # the flags of pthread_create, of glibc and of musl
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; its arguments have 8 bytes each
_ALLOW, _REFUSE, _LACKING, _KILL_PROCESS = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # EPERM, ENOSYS

_SET_DUMPABLE, _SET_NO_NEW_PRIVS, _GET_SECCOMP, _GET_NO_NEW_PRIVS = 4, 38, 21, 39
_MODE_FILTER, _ALL_THREADS, _AT_FULL_SPEED, _ACTION_AVAILABLE = 1, 1, 4, 2
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
# Rights that each version of Landlock adds: files, then TCP (bind and connect), then abstract sockets and signals.
_FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_MODULES = (  # what decoders and arrays import when they first need it
    "mmap",
    "PIL.ImageCms",
    "PIL.ImagePalette",
    "PIL.IptcImagePlugin",
    "PIL.ImageSequence",
    "PIL.MpoImagePlugin",
    "defusedxml.ElementTree",
    "encodings.ascii",
    "encodings.cp1252",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.utf_16_be",
    "encodings.utf_16_le",
)


def preload(modules: Iterable[str]) -> None:
    """Import what a sealed process cannot import any more; decoders that are not installed are left out."""
    from importlib import import_module

    from PIL import Image

    Image.preinit()
    for name in (*modules, *_MODULES):
        with suppress(ImportError):
            import_module(name)


def close_others(kept: Iterable[int]) -> None:
    """Close every descriptor but stdin, stdout, stderr and those to be kept."""
    known = {0, 1, 2, *kept}
    with suppress(OSError):
        for handle in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208  pathlib: 7 ms a start
            if handle not in known:
                with suppress(OSError):
                    os.close(handle)


def seal() -> list[str]:
    """Give up files, sockets, processes and privileges for good; return the measures that the system has taken.

    Raise OSError where the kernel has a measure, but refuses it: no picture is decoded in half a sandbox unnoticed.
    """
    os.environ.clear()
    libc = _libc()
    if libc is None:
        return []
    measures: dict[str, Callable[[], bool]] = {
        "no_new_privs": lambda: libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "not_dumpable": lambda: libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0,
        "landlock": deny_files,
        "seccomp": filter_calls,
    }
    lacking = missing()
    taken = [name for name, take in measures.items() if take()]
    if refused := measures.keys() - set(taken) - set(lacking):
        raise OSError(f"the sandbox of a decoder could not be set up: {', '.join(sorted(refused))}")
    return taken


def missing() -> list[str]:
    """Return what this system's kernel lacks of the sandbox: ``seccomp``, ``landlock``. Nothing is given up."""
    libc = _libc()
    if libc is None:
        return ["seccomp", "landlock"]
    column = _column()
    refuse = struct.pack("<I", _REFUSE & 0xFFFF0000)
    filters = column is not None and libc.syscall(_SECCOMP[column], _ACTION_AVAILABLE, 0, refuse) == 0
    found = {"seccomp": filters, "landlock": _landlock_version(libc) >= 1}
    return [name for name, there in found.items() if not there]


def warning() -> str:
    """Return one line for people on what `missing` leaves open, empty where nothing is missing."""
    names = {"seccomp": "seccomp", "landlock": "Landlock"}
    lacking = " and ".join(names[name] for name in missing())
    if not lacking:
        return ""
    risk = "files are refused by seccomp alone" if lacking == "Landlock" else "one that is taken over has your rights"
    return f"this system has no {lacking} for the processes that decode pictures: {risk} (see SECURITY.md)"


def deny_files() -> bool:
    """Deny all files by Landlock, and TCP, abstract sockets and signals to others where its version knows them."""
    libc = _libc()
    version = _landlock_version(libc) if libc else 0
    if libc is None or version < 1:
        return False
    rights = struct.pack("<QQQ", _FILE_RIGHTS[min(version, 5)], 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, rights, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def filter_calls() -> bool:
    """Refuse all system calls but those of computing, by seccomp, in all threads of the process."""
    libc, column = _libc(), _column()
    if libc is None or column is None:
        return False
    rows = list(_program(column, list(_ARCHITECTURES.values())[column], os.getpid()))
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))
    program = struct.pack("<HxxxxxxQ", len(rows), ctypes.addressof(code))
    # Kernels before 5.16 also slow such a process down against Spectre, unless told not to: it holds no secrets.
    flags = (_ALL_THREADS | _AT_FULL_SPEED, _ALL_THREADS)
    return any(libc.syscall(_SECCOMP[column], _MODE_FILTER, flag, program) == 0 for flag in flags)


def _libc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _column() -> int | None:
    """Return which of the two numbers of each call is this machine's, None where neither is."""
    machine = os.uname().machine if hasattr(os, "uname") else ""
    known = machine in _ARCHITECTURES and sys.maxsize > 1 << 32
    return list(_ARCHITECTURES).index(machine) if known else None


def _landlock_version(libc: ctypes.CDLL) -> int:
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _program(column: int, architecture: int, pid: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the instructions of the filter (linux/filter.h): code, jump if true, jump if false, constant."""
    yield (_LOAD, 0, 0, _ARCHITECTURE)
    yield (_JUMP_EQUAL, 1, 0, architecture)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    yield (_LOAD, 0, 0, _NUMBER)
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            yield from _on(number, [(_RETURN, 0, 0, _ALLOW)])
    yield from _on(_CLONE3[column], [(_RETURN, 0, 0, _LACKING)])  # its flags cannot be seen: libc takes clone instead
    yield from _on(_CLONE[column], _if_argument(0, _THREADS))
    yield from _on(_PRCTL[column], _if_argument(0, (_GET_SECCOMP, _GET_NO_NEW_PRIVS)))
    yield from _on(_KILL[column], _if_argument(0, (pid,)))
    yield from _on(_TGKILL[column], _if_argument(0, (pid,)))
    yield from _on(_PRLIMIT[column], _own_cpu_limit())
    yield (_RETURN, 0, 0, _REFUSE)


def _on(number: int, then: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    yield (_JUMP_EQUAL, 0, len(then), number)
    yield from then


def _if_argument(index: int, values: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return what allows a call whose argument is one of these, by its lower 32 bits, and refuses it otherwise."""
    tests = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * index), *tests, (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]


def _own_cpu_limit() -> list[tuple[int, int, int, int]]:
    """Return what allows a process to set the processor time of its own alone: root could raise the others."""
    return [
        (_LOAD, 0, 0, _ARGUMENTS),
        (_JUMP_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _REFUSE),
        *_if_argument(1, (0,)),  # RLIMIT_CPU
    ]
