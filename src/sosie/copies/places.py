"""The files behind the places of a picture, as they are on disk at this moment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sosie.catalogue import PictureRecord
from sosie.sources.uris import MEMBER, path_of_uri

__all__ = ["Place", "distinct_files", "local_path", "places_of"]

State = Literal["there", "gone", "changed", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a picture.

    ``state`` is ``there`` for a regular file of the known size, ``gone``, ``changed`` (another size, or no regular
    file), or ``elsewhere`` for what is no file of this machine: a member of an archive, an object, a web address.
    ``inode`` is (device, number) of a file that is there: equal for hard links of one file.
    """

    uri: str
    state: State
    inode: tuple[int, int] | None = None

    @property
    def missing(self) -> bool:
        """Whether the picture is known not to be there any more."""
        return self.state in ("gone", "changed")


def local_path(uri: str) -> bytes | None:
    """Return the path of a file of this machine; None for members of archives and for addresses."""
    return path_of_uri(uri) if uri.startswith("file:///") and MEMBER not in uri else None


def places_of(record: PictureRecord) -> tuple[Place, ...]:
    """Return the places of a picture, living ones first, each in the order of the catalogue."""
    found = [_place(uri, record.bytes) for uri in record.uris]
    return tuple(sorted(found, key=lambda place: place.missing))


def distinct_files(places: Iterable[Place]) -> list[Place]:
    """Return the living places that are files of their own: of hard links, and of one file under two names, the first.

    A place that is no file of this machine counts as one.
    """
    files: dict[object, Place] = {}
    for place in places:
        if not place.missing:
            files.setdefault(place.inode or place.uri, place)
    return list(files.values())


def _place(uri: str, size: int) -> Place:
    path = local_path(uri)
    if path is None:
        return Place(uri, "elsewhere")
    try:
        found = os.stat(path)  # noqa: PTH116 - a path of bytes
    except (OSError, ValueError):
        return Place(uri, "gone")
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return Place(uri, "changed")
    return Place(uri, "there", (found.st_dev, found.st_ino))
