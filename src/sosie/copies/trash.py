"""Where a file lies in the system's trash: freedesktop.org's trash folders, and the one of macOS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from sosie.copies.deeds import digest_of_file

__all__ = ["Trashed", "in_trash"]


@dataclass(frozen=True, slots=True)
class Trashed:
    """A file in the trash, and the note beside it that says where it came from (None: there is none)."""

    file: bytes
    info: bytes | None


def in_trash(path: bytes, sha256: str) -> Trashed | None:
    """Return what the trash holds of a file that lay at ``path``: the newest with this digest, or None."""
    found = [one for folder in _folders(path) for one in _named(folder, path)]
    for one in sorted(found, key=lambda one: _changed(one.file), reverse=True):
        if digest_of_file(one.file) == sha256:
            return one
    return None


def _folders(path: bytes) -> Iterator[bytes]:
    """Yield the trash folders where a file may lie, that of its own disk last."""
    home = os.path.expanduser(b"~")
    data = os.environ.get("XDG_DATA_HOME")
    yield os.path.join(os.fsencode(data) if data else home + b"/.local/share", b"Trash")
    yield home + b"/.Trash"
    if hasattr(os, "getuid"):
        top = os.path.dirname(path)
        while not os.path.ismount(top) and top != os.path.dirname(top):
            top = os.path.dirname(top)
        yield os.path.join(top, b".Trash", b"%d" % os.getuid())
        yield os.path.join(top, b".Trash-%d" % os.getuid())


def _named(folder: bytes, path: bytes) -> Iterator[Trashed]:
    """Yield the files whose note names the path, and those without a note that have its name."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    files, notes = folder + b"/files", folder + b"/info"
    for place in (files, folder):
        for name in _listed(place):
            info = notes + b"/" + name + b".trashinfo"
            origin = _origin(info)
            if origin is None:
                if name.startswith(stem) and name.endswith(suffix):
                    yield Trashed(place + b"/" + name, None)
            elif path == origin or path.endswith(b"/" + origin):
                yield Trashed(place + b"/" + name, info)


def _origin(info: bytes) -> bytes | None:
    """Return the path in a note: absolute, or relative to the top of its disk; None where there is no note."""
    try:
        with open(info, "rb") as file:
            lines = file.read(1 << 16).splitlines()
    except OSError:
        return None
    return next((unquote_to_bytes(line[5:]) for line in lines if line.startswith(b"Path=")), None)


def _listed(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _changed(path: bytes) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0.0
