"""Places that were looked at before and are to be looked at again, such as those of the quarantine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sosie.errors import BadPicture, SosieError
from sosie.sources.reading import read_uri
from sosie.sources.uris import MEMBER, path_of_uri
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.download import Download, Outcome

__all__ = ["KnownPlaces"]


class KnownPlaces:
    """Iterates given URIs, all found below one ``root``; files with the stamp that they have now."""

    def __init__(self, root: str, uris: Sequence[str], *, download: Download | None = None) -> None:
        from sosie.sources.download import Download  # brings asyncio

        self._root = root
        self._download = download or Download()
        self._uris = sorted(uris)

    @property
    def root(self) -> str:
        return self._root

    def __iter__(self) -> Iterator[ImageRef]:
        return map(_stamped, self._uris)

    def read(self, ref: ImageRef) -> bytes:
        return read_uri(ref.uri)

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield every place once, as it comes; those of the web are fetched many at a time."""
        yield from self._download.stream(iter(self), wanted=wanted, known=known, read_file=_read)


def _read(ref: ImageRef) -> Outcome:
    try:
        return read_uri(ref.uri)
    except BadPicture as error:
        return error
    except SosieError as error:  # an archive that is away, a scheme that nothing reads
        return BadPicture("unreadable", str(error))


def _stamped(uri: str) -> ImageRef:
    if uri.startswith("file://") and MEMBER not in uri:
        try:
            found = os.stat(path_of_uri(uri))  # noqa: PTH116 - a path of bytes
        except OSError:
            return ImageRef(uri)
        return ImageRef(uri, {}, found.st_size, found.st_mtime_ns, found.st_ino)
    return ImageRef(uri)
