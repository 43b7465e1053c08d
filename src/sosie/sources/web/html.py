"""What a web page says: its pictures with what is written about them, and where it links to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urljoin

from sosie.sources.columns import clean

__all__ = ["Page", "PagePicture", "parse_page"]

MAX_PAGE = 16 << 20  # bytes
MAX_PICTURES = 2_000  # of one page
MAX_LINKS = 5_000
_MAX_TEXT = 500  # characters of a caption
_SOURCES = ("src", "data-src", "data-original", "data-lazy-src")
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PagePicture:
    """One picture of a page and the words that go with it."""

    url: str
    alt: str = ""
    caption: str = ""


@dataclass(slots=True)
class Page:
    """``follow`` and ``index`` are what the page's robots meta tag allows."""

    title: str = ""
    pictures: list[PagePicture] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    follow: bool = True
    index: bool = True


def parse_page(data: bytes, url: str, *, charset: str | None = None) -> Page:
    """Parse a page, however broken; ``charset`` is what the server said of it. What is beyond MAX_PAGE is left.

    The parser, libxml2's by the rules of HTML5, tells of tags as it meets them, in time proportional to the page.
    """
    from lxml import etree

    collector = _Collector(url)
    parser: Any = etree.HTMLParser(target=collector, encoding="utf-8")
    with suppress(etree.LxmlError):  # nothing that is a page; what came before it counts
        parser.feed(_decode(data[:MAX_PAGE], charset).encode("utf-8", "replace"))
        parser.close()
    collector.finish()
    return collector.page


def _decode(data: bytes, charset: str | None) -> str:
    found = _CHARSET.search(data[:2048])
    for name in (charset, found[1].decode("ascii") if found else None):
        try:
            return data.decode(name, "replace") if name else data.decode("utf-8-sig")
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return data.decode("latin-1")


class _Collector:
    """Collects while the page goes by; a figure's caption is given to the pictures in it when it ends.

    ``start``, ``end``, ``data`` and ``close`` are what lxml calls.
    """

    def __init__(self, url: str) -> None:
        self.page = Page()
        self._base = url
        self._text: list[str] | None = None  # what is being read: a title or a caption
        self._figure: list[int] = []  # positions of the pictures of the open figure
        self._in_figure = False
        self._caption = ""
        self._seen: dict[str, int] = {}

    def start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        found = {name: value or "" for name, value in attributes.items()}
        match tag:
            case "base" if found.get("href"):
                self._base = self._absolute(found["href"]) or self._base
            case "a" | "area" if "nofollow" not in found.get("rel", "").lower():
                self._link(found.get("href", ""))
            case "img":
                self._picture(_best(found), found.get("alt", "") or found.get("title", ""))
            case "source" if found.get("srcset") and not found.get("type", "image/").startswith(("audio", "video")):
                self._picture(_largest(found["srcset"]), "")
            case "meta":
                self._meta(found)
            case "title" | "figcaption":
                self._text = []
            case "figure":
                self._in_figure, self._figure, self._caption = True, [], ""

    def end(self, tag: str) -> None:
        if tag in ("title", "figcaption") and self._text is not None:
            text = clean(" ".join("".join(self._text).split()))[:_MAX_TEXT]
            self._text = None
            if tag == "figcaption":
                self._caption = text
            elif not self.page.title:
                self.page.title = text
        elif tag == "figure":
            self._close_figure()

    def data(self, data: str) -> None:
        if self._text is not None and len(self._text) < 1000:
            self._text.append(data)

    def close(self) -> None:
        """End the document, as lxml wants to."""

    def finish(self) -> None:
        """Do what a page that breaks off has not done."""
        self.end("title")
        self._close_figure()

    def _close_figure(self) -> None:
        for at in self._figure:
            picture = self.page.pictures[at]
            self.page.pictures[at] = PagePicture(picture.url, picture.alt, self._caption)
        self._in_figure, self._figure = False, []

    def _meta(self, found: Mapping[str, str]) -> None:
        name = (found.get("name") or found.get("property") or "").lower()
        content = found.get("content", "")
        if name in ("robots", "sosie"):
            asked = {part.strip() for part in content.lower().split(",")}
            self.page.follow &= not asked & {"nofollow", "none"}
            self.page.index &= not asked & {"noindex", "none", "noimageindex", "noai", "noimageai"}
        elif name in ("og:image", "og:image:url", "twitter:image"):
            self._picture(content, "")

    def _picture(self, link: str, alt: str) -> None:
        url = self._absolute(link)
        if url is None or len(self.page.pictures) >= MAX_PICTURES:
            return
        at = self._seen.get(url)
        words = clean(" ".join(alt.split()))[:_MAX_TEXT]
        if at is None:
            at = self._seen[url] = len(self.page.pictures)
            self.page.pictures.append(PagePicture(url, words))
        elif words and not self.page.pictures[at].alt:
            self.page.pictures[at] = PagePicture(url, words)
        if self._in_figure:
            self._figure.append(at)

    def _link(self, link: str) -> None:
        url = self._absolute(link)
        if url is not None and len(self.page.links) < MAX_LINKS:
            self.page.links.append(url)

    def _absolute(self, link: str) -> str | None:
        link = link.strip()
        if not link or len(link) > 2_000:
            return None
        try:
            url = urldefrag(urljoin(self._base, link)).url
        except ValueError:
            return None
        return url if url[:8].lower().startswith(("http://", "https://")) else None


def _best(found: Mapping[str, str]) -> str:
    if found.get("srcset"):
        return _largest(found["srcset"])
    # Pages that load pictures late put a blank one into src.
    return next((found[name] for name in reversed(_SOURCES) if found.get(name)), "")


def _largest(srcset: str) -> str:
    """Return the candidate with the largest width or density."""
    best, most = "", -1.0
    for candidate in srcset.split(", ") if ", " in srcset else srcset.split(","):
        parts = candidate.split()
        if not parts:
            continue
        try:
            size = float(parts[1][:-1]) if len(parts) > 1 else 1.0
        except ValueError:
            size = 1.0
        if size > most:
            best, most = parts[0].rstrip(","), size
    return best
