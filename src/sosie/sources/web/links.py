"""What every source shares whose pictures lie elsewhere: in the web, or in files that a table names."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from sosie.errors import BadPicture
from sosie.sources.files import read_regular_file
from sosie.sources.left_out import Tally
from sosie.sources.uris import path_of_uri, uri_of_path
from sosie.types import ImageRef, LeftOut

if TYPE_CHECKING:
    from sosie.sources.web.download import Download, Outcome

__all__ = ["LinkSource", "Wanted", "is_web", "uri_of_link"]

Wanted: TypeAlias = Callable[[ImageRef], bool]

MAX_LINK = 8_192  # characters of a URL; browsers and servers stop earlier
# What RFC 3986 allows in a URL, and the percent sign of what is encoded already.
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"


class LinkSource(ABC):
    """Iterates references that a table or a page names; reads them from the web or from below one folder.

    ``stream`` downloads many at a time and gives them out of order; ``read`` gets one.
    """

    def __init__(self, *, base: bytes | None, download: Download | None = None) -> None:
        from sosie.sources.web.download import Download  # brings asyncio

        self._base = base
        self._download = download or Download()
        self._tally = Tally()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The rows of the last iteration that named no picture, by reason."""
        return self._tally.result()

    @property
    def download(self) -> Download:
        """How it downloads: other machines have to keep to the same rules."""
        return self._download

    @property
    @abstractmethod
    def root(self) -> str: ...

    @abstractmethod
    def __iter__(self) -> Iterator[ImageRef]: ...

    def read(self, ref: ImageRef) -> bytes:
        """Return the bytes of one picture, wherever it is; raise BadPicture."""
        ((_, outcome),) = self._download.stream([ref], read_file=self._read_file)
        if isinstance(outcome, BadPicture):
            raise outcome
        return outcome or b""

    def stream(self, wanted: Wanted, known: Wanted = lambda _: False) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield every reference once, as it comes: with its bytes, with why there are none, or None if unwanted.

        ``known`` says which of the wanted ones are held already: of those, None means that nothing has
        changed.
        """
        yield from self._download.stream(iter(self), wanted=wanted, known=known, read_file=self._read_file)

    def refuses(self, ref: ImageRef) -> BadPicture | None:
        """Say why a reference may not be read: a list is somebody else's, and may not name any file of this machine."""
        if is_web(ref.uri):  # its address is checked where it is fetched
            return None
        if not ref.uri.startswith("file:///"):
            return BadPicture("bad_url", "only http, https and paths below the list are read")
        anywhere = self._download.internet.allow_private
        if not anywhere and (self._base is None or not _below(path_of_uri(ref.uri), self._base)):
            return BadPicture("outside", "a list may name files below its own folder only, or --allow-private")
        return None

    def _read_file(self, ref: ImageRef) -> Outcome:
        try:
            return self.refuses(ref) or read_regular_file(path_of_uri(ref.uri))
        except BadPicture as error:
            return error


def is_web(uri: str) -> bool:
    """Say whether a URI has to be downloaded."""
    return uri[:8].lower().startswith(("http://", "https://"))


def uri_of_link(link: object, base: bytes | None) -> str | None:
    """Return the URI that a cell of a table stands for, or None where it holds none."""
    if not isinstance(link, str):
        return None
    text = link.strip()
    if not text or len(text) > MAX_LINK or "\0" in text:
        return None
    if "://" in text[:12]:
        return quote(text, safe=_URL_CHARACTERS, errors="replace")
    if text.startswith("//"):
        return "https:" + quote(text, safe=_URL_CHARACTERS, errors="replace")
    if base is None or text.lower().startswith(("data:", "javascript:", "mailto:")):
        return None
    path = os.fsencode(text)
    there = os.path.join(base, path)  # noqa: PTH118 - bytes
    if b"\\" in path and not os.path.lexists(there):  # a list that was written on Windows
        there = os.path.join(base, path.replace(b"\\", b"/"))  # noqa: PTH118
    return uri_of_path(os.path.normpath(there))


def _below(path: bytes, base: bytes) -> bool:
    return os.path.normpath(path).startswith(base.rstrip(b"/\\") + os.fsencode(os.sep))
