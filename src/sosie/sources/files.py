"""Read a file that may be anything: a FIFO, a device, a directory, or still being written."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from sosie.errors import BadPicture
from sosie.sources.uris import MEMBER, path_of_uri

__all__ = ["MAX_FILE_BYTES", "file_is_gone", "open_regular_file", "read_regular_file", "reason_of"]

MAX_FILE_BYTES = 256 * 1024 * 1024

# O_NONBLOCK: opening a FIFO that nobody writes to would hang otherwise. Windows has neither flag.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_REASONS = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.ELOOP: "symlink_loop",
    errno.EISDIR: "not_a_file",
    errno.ENXIO: "not_a_file",  # a socket
}


def reason_of(error: OSError) -> str:
    """Return the quarantine code of an error that the file system gave."""
    return _REASONS.get(error.errno or 0, "unreadable")


def file_is_gone(uri: str) -> bool:
    """Tell whether a place is a file of this machine, or a member of an archive here, that is not there."""
    if not uri.startswith("file:///"):
        return False
    try:
        os.lstat(path_of_uri(uri.partition(MEMBER)[0]))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read_regular_file(path: str | bytes | os.PathLike[str], *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes.

    Raises BadPicture: ``missing``, ``unreadable``, ``symlink_loop``, ``not_a_file``, ``too_large``,
    ``empty``, or ``changed`` where the file was written to while it was read.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise BadPicture(reason_of(error), error.strerror or "") from error
    try:
        return _read_steady(descriptor, limit)
    except OSError as error:
        raise BadPicture(reason_of(error), error.strerror or "") from error
    finally:
        os.close(descriptor)


def open_regular_file(path: str | bytes | os.PathLike[str]) -> BinaryIO:
    """Open a regular file; raise BadPicture as `read_regular_file` does."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise BadPicture(reason_of(error), error.strerror or "") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadPicture("not_a_file", "a directory, pipe, socket or device")
    return os.fdopen(descriptor, "rb", buffering=0)


def _read_steady(descriptor: int, limit: int) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise BadPicture("not_a_file", "a directory, pipe, socket or device")
    if before.st_size == 0:
        raise BadPicture("empty", "0 bytes")
    if before.st_size > limit:
        raise BadPicture("too_large", f"{before.st_size} bytes; the limit is {limit}")
    data = _read_up_to(descriptor, before.st_size + 1)
    after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise BadPicture("changed", "written to while it was read; it is tried again next time")
    return data


def _read_up_to(descriptor: int, size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := os.read(descriptor, min(size, 1 << 24))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
