"""What the names of files say: whether one is a picture, is wanted, and what its label is."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sosie.types import LabelValue

__all__ = ["PICTURE_SUFFIXES", "Patterns", "folder_label", "has_picture_suffix", "is_system_name", "readable"]

PICTURE_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .apng .gif .webp .bmp .dib .tif .tiff .avif .avifs .heic .heif .hif "
    b".jp2 .j2k .jpx .mpo .ppm .pgm .pbm .pnm .tga .ico".split()
)
# Folders of recycle bins, snapshots and thumbnails that NAS and operating systems make beside people's pictures.
_SYSTEM_FOLDERS = frozenset(
    [b"@eadir", b"@recycle", b"@recycly", b"#recycle", b"#snapshot", b"@tmp", b"$recycle.bin", b"recycler",
     b"system volume information", b"lost+found", b"__macosx"]
)  # fmt: skip
_LABELLED_NAME = re.compile(r"(?P<label>.+)__[0-9a-fA-F]{6,64}")  # tabby__3d2dd61d86.jpg


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which paths below a root are wanted.

    A pattern without ``/`` is compared with every name on the way down, one with ``/`` with the whole path
    below the root; ``*`` matches ``/`` too. An excluded folder takes everything below it along.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def excludes(self, path: str) -> bool:
        return any(_matches(path, pattern) for pattern in self.exclude)

    def wants(self, path: str) -> bool:
        """Say whether a file is wanted; ``path`` is relative, with ``/``."""
        if self.excludes(path):
            return False
        return not self.include or any(_matches(path, pattern) for pattern in self.include)


def _matches(path: str, pattern: str) -> bool:
    if "/" in pattern.rstrip("/"):
        return fnmatchcase(path, pattern.strip("/"))
    return any(fnmatchcase(part, pattern.rstrip("/")) for part in path.split("/"))


def has_picture_suffix(name: bytes) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122 - bytes


def is_system_name(name: bytes) -> bool:
    """Tell whether a file or folder is hidden, or kept by a system for its own ends: what is in it is no picture."""
    return name.startswith(b".") or name.lower() in _SYSTEM_FOLDERS


def readable(name: bytes) -> str:
    r"""Return a name as text that any database takes: bytes that are not UTF-8 become ``\xNN``."""
    return name.decode("utf-8", "backslashreplace")


def folder_label(path: bytes) -> dict[str, LabelValue]:
    """Return the label of a path below the root: the part of its name before ``__<hex digits>``, else its folder."""
    folder, name = posixpath.split(path)
    stem = readable(posixpath.splitext(name)[0])
    if match := _LABELLED_NAME.fullmatch(stem):
        return {"label": match["label"]}
    return {"label": readable(posixpath.basename(folder))} if folder else {}
