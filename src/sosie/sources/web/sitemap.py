"""Sitemaps (sitemaps.org, with Google's image extension): pages, pictures and further sitemaps."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from sosie.errors import BadPicture

__all__ = ["MAX_SITEMAP", "Sitemap", "is_sitemap", "parse_sitemap"]

MAX_SITEMAP = 50 * 1024 * 1024  # bytes, as sitemaps.org has it
_MAX_ENTRIES = 50_000


@dataclass(slots=True)
class Sitemap:
    """Pictures come with the page that shows them and what is written about them."""

    pages: list[str] = field(default_factory=list)
    pictures: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)


def is_sitemap(data: bytes) -> bool:
    """Say whether a document looks like a sitemap, plain or packed."""
    start = (_unpacked(data[:4096], whole=False) if data[:2] == b"\x1f\x8b" else data)[:4096]
    return b"<urlset" in start or b"<sitemapindex" in start


def parse_sitemap(data: bytes) -> Sitemap:
    """Parse a sitemap; raise BadPicture ``bad_sitemap``. What came before damage is lost with it."""
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(data)
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # A document type is what entities come from: bombs, and files of this machine.
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadPicture("bad_sitemap", str(error)) from error
    return reader.sitemap


def _refuse(*_: object) -> NoReturn:
    raise BadPicture("bad_sitemap", "a sitemap has no document type")


def _unpacked(data: bytes, *, whole: bool = True) -> bytes:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = inflater.decompress(data, MAX_SITEMAP + 1)
    except zlib.error as error:
        if not whole:
            return b""
        raise BadPicture("bad_sitemap", f"damaged gzip: {error}") from error
    if len(text) > MAX_SITEMAP:
        raise BadPicture("bad_sitemap", f"more than {MAX_SITEMAP} bytes")
    return text


class _Reader:
    def __init__(self) -> None:
        self.sitemap = Sitemap()
        self._path: list[str] = []
        self._parts: list[str] = []
        self._page = ""
        self._picture: dict[str, str] = {}

    def start(self, name: str, _: object) -> None:
        if len(self._path) > 20:
            raise BadPicture("bad_sitemap", "nested too deep")
        self._path.append(name.rpartition(" ")[2])
        self._parts = []

    def text(self, part: str) -> None:
        if len(self._parts) < 100:
            self._parts.append(part)

    def end(self, _: str) -> None:
        name = self._path.pop()
        inside = self._path[-1] if self._path else ""
        text = "".join(self._parts).strip()[:2_000]
        self._parts = []
        if inside == "image":
            self._picture[name] = text
        elif name == "image":
            self._add_picture()
        elif name == "loc" and inside == "sitemap":
            self._add(self.sitemap.sitemaps, text)
        elif name == "loc" and inside == "url":
            self._page = text
            self._add(self.sitemap.pages, text)

    def _add_picture(self) -> None:
        found, self._picture = self._picture, {}
        if found.get("loc") and len(self.sitemap.pictures) < _MAX_ENTRIES:
            words = {name: found[name] for name in ("caption", "title") if found.get(name)}
            self.sitemap.pictures.append((found["loc"], {"page": self._page, **words}))

    @staticmethod
    def _add(to: list[str], url: str) -> None:
        if url and len(to) < _MAX_ENTRIES:
            to.append(url)
