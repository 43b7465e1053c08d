"""Places that were looked at before: those of the quarantine, and pictures that another model is to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sosie.errors import BadPicture, NotFound, SosieError
from sosie.sources.reading import read_uri
from sosie.sources.stamps import stamped
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.web.download import Download, Outcome

__all__ = ["KnownPlaces", "OwnPictures"]


class KnownPlaces:
    """Iterates given URIs, all found below one ``root``; files with the stamp that they have now."""

    def __init__(self, root: str, uris: Sequence[str], *, download: Download | None = None) -> None:
        from sosie.sources.web.download import Download  # brings asyncio

        self._root = root
        self._download = download or Download()
        self._uris = sorted(uris)

    @property
    def root(self) -> str:
        return self._root

    def __iter__(self) -> Iterator[ImageRef]:
        return map(stamped, self._uris)

    def read(self, ref: ImageRef) -> bytes:
        return read_uri(ref.uri)

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield every place once, as it comes; those of the web are fetched many at a time."""
        yield from self._download.stream(iter(self), wanted=wanted, known=known, read_file=_read)


class OwnPictures:
    """Iterates pictures of a library, each at one place below ``root`` with the stamp that is stored.

    ``read`` gives the bytes of an id from wherever they lie, unchanged; a picture that is away is *missing*, which
    changes nothing.
    """

    def __init__(self, root: str, pictures: Sequence[tuple[int, ImageRef]], *, read: Callable[[int], bytes]) -> None:
        self._root, self._pictures, self._read = root, pictures, read
        self._ids = {ref.uri: content_id for content_id, ref in pictures}

    @property
    def root(self) -> str:
        return self._root

    def __iter__(self) -> Iterator[ImageRef]:
        return (ref for _, ref in self._pictures)

    def read(self, ref: ImageRef) -> bytes:
        try:
            return self._read(self._ids[ref.uri])
        except NotFound as error:
            raise BadPicture("missing", str(error)) from error


def _read(ref: ImageRef) -> Outcome:
    try:
        return read_uri(ref.uri)
    except BadPicture as error:
        return error
    except SosieError as error:  # an archive that is away, a scheme that nothing reads
        return BadPicture("unreadable", str(error))
