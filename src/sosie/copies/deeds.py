"""The three things that are done to a superfluous file, each so that a kill at any moment loses nothing.

A file is given up only once the bytes lie elsewhere: a link replaces it by one rename, a move lays the file at its new
place before it leaves the old one, and the trash is the system's own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys

from sosie.errors import BadPicture

__all__ = ["clone", "copy_new", "digest_of_file", "hard_link", "move", "replace_by_copy", "trash"]

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
_FICLONE = 0x40049409  # of Linux: the new file shares the blocks of the other until either is written to


def digest_of_file(path: bytes) -> str | None:
    """Return the SHA-256 of a regular file, never through a link; None where there is none or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def hard_link(path: bytes, keep: bytes, draft: bytes) -> None:
    """Make a file a hard link of another one with the same bytes; raise BadPicture where the file system has none."""
    try:
        os.link(keep, draft, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise BadPicture("no_link", "on another disk, or one without hard links: move it instead") from error
        raise
    _take_place(draft, path)


def clone(path: bytes, keep: bytes, draft: bytes) -> None:
    """Make a file share the blocks of another one with the same bytes, keeping its own dates; raise BadPicture."""
    if sys.platform != "linux":
        raise BadPicture("no_reflink", "reflinks are made on Linux alone: use hard links")
    import fcntl

    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(keep, "rb") as source:
            fcntl.ioctl(descriptor, _FICLONE, source.fileno())
        os.fsync(descriptor)
    except OSError as error:
        os.unlink(draft)
        raise BadPicture("no_reflink", f"this file system shares no blocks ({error.strerror})") from error
    finally:
        os.close(descriptor)
    shutil.copystat(path, draft)
    _take_place(draft, path)


def move(path: bytes, target: bytes) -> None:
    """Move a file to a place where nothing lies yet, on this disk or another; raise BadPicture, OSError."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy_new(path, target)
        shutil.copystat(path, target)
    _sync_folder_of(target)
    try:
        os.unlink(path)
    except OSError:  # it stays where it is, and nowhere else
        os.unlink(target)
        raise
    _sync_folder_of(path)


def copy_new(path: bytes, target: bytes) -> None:
    """Copy a file's bytes to a free place, and read them again; raise BadPicture where they differ."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(path, "rb") as source, open(descriptor, "wb") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())
    if digest_of_file(target) != digest_of_file(path):
        os.unlink(target)
        raise BadPicture("not_copied", "the copy has other bytes: the disk may be full or damaged")


def replace_by_copy(path: bytes, source: bytes, draft: bytes, *, mode: int, mtime_ns: int) -> None:
    """Put a file of its own with the bytes of ``source`` at ``path``, with its mode and date."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    copy_new(source, draft)
    os.chmod(draft, mode & 0o7777)
    os.utime(draft, ns=(mtime_ns, mtime_ns))
    _take_place(draft, path)


def trash(path: bytes) -> None:
    """Put a file in the system's trash; raise OSError."""
    from send2trash import send2trash

    send2trash(os.fsdecode(path))
    _sync_folder_of(path)


def _take_place(draft: bytes, path: bytes) -> None:
    os.replace(draft, path)
    _sync_folder_of(path)


def _sync_folder_of(path: bytes) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(os.path.dirname(path) or b".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
