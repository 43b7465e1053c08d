"""Durable files: what these functions have written is there after a power cut, whole, under its name.

A file appears by write, fsync, rename, fsync of the folder (Pillai et al., "All File Systems Are Not Created Equal",
OSDI 2014): a rename alone may reach the disk before the bytes do, and leave an empty file in place of the old one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from sosie.errors import DiskFull, LibraryReadOnly

__all__ = [
    "DRAFT",
    "append",
    "make_folder",
    "publish",
    "remove",
    "remove_tree",
    "sync_file",
    "sync_folder",
    "sync_tree",
    "write",
    "write_json",
    "writing",
    "writing_text",
]

DRAFT = ".sosie-"  # how the name of a file that is being written begins; one that lies around was never acknowledged
_BINARY = getattr(os, "O_BINARY", 0)  # Windows
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def write(path: Path, data: bytes | str, *, mode: int = 0o666) -> None:
    """Put ``data`` (text as UTF-8) at ``path``, in place of what was there; raise DiskFull, LibraryReadOnly.

    ``mode`` is for a new file, less the umask; one that is replaced keeps its own.
    """
    with writing(path, mode=mode) as file:
        file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)


def write_json(path: Path, value: Any, *, indent: int | None = 2, mode: int = 0o666) -> None:
    """Put a JSON document at ``path``."""
    write(path, json.dumps(value, indent=indent) + "\n", mode=mode)


@contextlib.contextmanager
def writing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes its name once the block ends; where it raises, nothing has changed.

    A link is followed; a pipe or a device is written to as it is. Raises DiskFull, LibraryReadOnly.
    """
    path = path.resolve()
    with _translated(path):
        found = path.stat() if path.exists() else None
        if found is not None and not stat.S_ISREG(found.st_mode):
            with path.open("wb") as stream:
                yield stream
            return
        draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
        try:
            # a name that nobody has: two writers at once never share a draft
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode), "wb") as file:
                if found is not None:
                    draft.chmod(stat.S_IMODE(found.st_mode))
                yield file
                file.flush()
                _flush(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def writing_text(path: Path) -> Iterator[TextIO]:
    """Give a UTF-8 text file to write to, as ``writing`` does; line ends and broken names are kept as they are."""
    with writing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        yield text
        text.flush()
        text.detach()


def append(path: Path, data: bytes) -> None:
    """Add ``data`` at the end of a file and wait until it is on the disk; raise DiskFull, LibraryReadOnly."""
    with _translated(path):
        new = not path.exists()
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            _flush(file.fileno())
        if new:
            sync_folder(path.parent)


def publish(draft: Path, path: Path) -> None:
    """Give a finished file or folder its name, once all that it holds is on the disk.

    A file takes the place of another; a folder needs ``path`` to be free, or an empty folder.
    """
    with _translated(path):
        sync_tree(draft)
        draft.replace(path)
        sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, durably; one that is there already costs nothing."""
    if path.is_dir():
        return
    with _translated(path):
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def remove(path: Path) -> bool:
    """Remove a file so that it stays removed; tell whether there was one."""
    with _translated(path):
        if not path.exists() and not path.is_symlink():
            return False
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
        return True


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that it holds; raise what stands in the way."""
    with _translated(folder):
        shutil.rmtree(folder)
        sync_folder(folder.parent)


def sync_tree(path: Path) -> None:
    """Wait until a file, or a folder with all below it, is on the disk."""
    if not path.is_dir():
        sync_file(path)
        return
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


def sync_file(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    descriptor = os.open(path, (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | _BINARY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _flush(descriptor: int) -> None:
    """Flush a file; macOS leaves it in the drive's cache unless it is asked for more."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # some file systems do not know it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn a full disk and a refused file into ours."""
    try:
        yield
    except (DiskFull, LibraryReadOnly):
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(f"no room to write {path}: free some and run the same command again") from error
        if error.errno in _REFUSED:
            raise LibraryReadOnly(f"{path} cannot be written to: check its owner and permissions") from error
        raise
