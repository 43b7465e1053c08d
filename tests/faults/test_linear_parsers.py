"""Every parser of bytes from outside needs time in proportion to them, whatever they are.

Each case makes an input of a given size that would cost the square of it with a careless expression or loop. It is
parsed at two sizes, eight apart: a linear parser needs eight times as long, a quadratic one sixty-four times.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sosie.decode import decode
from sosie.decode.headers import count_scans, looks_truncated, sniff
from sosie.errors import SosieError
from sosie.query.encode import terms_of
from sosie.sources.columns import guess_kinds, guess_place
from sosie.sources.url_list import read_rows
from sosie.sources.web.headers import opted_out, retry_after
from sosie.sources.web.html import parse_page
from sosie.sources.web.robots import parse_robots
from sosie.sources.web.sitemap import is_sitemap, parse_sitemap

SMALL, TIMES = 40_000, 8
MOST_MICROSECONDS = 8.0  # a byte; the slowest of these parsers needs a tenth of that on two slow cores

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
GIF, TIFF = b"GIF89a\x10\0\x10\0\x80\0\0" + b"\0" * 6, b"II*\0\x08\0\0\0"


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + b"\0\0\0\0"


def webp(body: bytes) -> bytes:
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def repeated(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def headers(data: bytes) -> None:
    """Run all that is read of a file before a decoder is, and the whole of `decode`."""
    sniff(data)
    count_scans(data, 64)
    for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF"):
        looks_truncated(data, name)
    decode(data)


PICTURES: dict[str, Callable[[int], bytes]] = {
    "jpeg, a run of fill bytes": lambda n: JPEG[:2] + b"\xff" * n + b"\0",
    "jpeg, runs of fill bytes": lambda n: JPEG[:2] + repeated(b"\xff" * 999 + b"\0", n),
    "jpeg, empty segments": lambda n: JPEG[:2] + repeated(b"\xff\xe0\0\2", n),
    "jpeg, scans": lambda n: JPEG[:2] + repeated(b"\xff\xda\0\2", n),
    "png, empty chunks": lambda n: PNG + repeated(chunk(b"teSt"), n),
    "png, one run": lambda n: PNG + b"\0" * n,
    "gif, empty extensions": lambda n: GIF + repeated(b"!\xfe\0", n),
    "gif, one run": lambda n: GIF + b"!" * n,
    "tiff, entries": lambda n: TIFF + b"\xff\xff" + repeated(b"\0\1\4\0\1\0\0\0\1\0\0\0", n),
    "tiff, zeros": lambda n: TIFF + b"\0" * n,
    "webp, empty chunks": lambda n: webp(repeated(b"EXIF\0\0\0\0", n)),
    "heif, empty boxes": lambda n: b"\0\0\0\x14ftypheic\0\0\0\0heic" + repeated(b"\0\0\0\x08free", n),
    "heif, brands": lambda n: (16 + n).to_bytes(4, "big") + b"ftypmif1" + repeated(b"abcd", n),
    "svg, spaces": lambda n: b" " * n + b"<svg",
}


def text(unit: str, size: int) -> str:
    return unit * (size // len(unit))


def agents_and_rules(size: int) -> str:
    half = size // 40
    return "".join(f"User-agent: a{n}\n" for n in range(half)) + "".join(f"Disallow: /{n}/*x*y\n" for n in range(half))


TEXTS: dict[str, Callable[[int], None]] = {
    "robots, agents and rules": lambda n: ignore(parse_robots(agents_and_rules(n)).allows("http://x.example/a")),
    "robots, wildcards": lambda n: ignore(
        parse_robots("User-agent: *\nDisallow: /" + text("*a", n // 2) + "b").allows(
            "http://x.example/" + "a" * (n // 2)
        )
    ),
    "robots, one line": lambda n: ignore(parse_robots("User-agent" + " " * n)),
    "sitemap, entries": lambda n: ignore(
        parse_sitemap(b"<urlset>" + repeated(b"<url><loc>a</loc></url>", n) + b"</urlset>")
    ),
    "sitemap, references": lambda n: ignore(
        parse_sitemap(b"<urlset><url><loc>" + repeated(b"&amp;", n) + b"</loc></url></urlset>")
    ),
    "sitemap, attributes": lambda n: ignore(
        parse_sitemap(b"<urlset " + b" ".join(b"a%d='x'" % at for at in range(n // 10)) + b"/>")
    ),
    "sitemap, name spaces": lambda n: ignore(
        parse_sitemap(b"<urlset " + b" ".join(b"xmlns:a%d='x'" % at for at in range(n // 14)) + b"/>")
    ),
    "sitemap, unclosed": lambda n: ignore(is_sitemap(b"<" * n), parse_sitemap(b"<" * n)),
    "columns, names of pictures": lambda n: ignore(guess_place(["a"], [{"a": text("b.jpg?", n) + "\nx"}])),
    "columns, numbers": lambda n: ignore(guess_kinds(["a"], [{"a": "1" * n + "x"}])),
    "words with signs": lambda n: ignore(terms_of("text:" + " " * n + "x")),
    "headers, X-Robots-Tag": lambda n: ignore(opted_out([text("a:,", n)])),
    "headers, Retry-After": lambda n: ignore(retry_after(" " * n)),
    "page, srcset": lambda n: ignore(parse_page(b"<img srcset='" + repeated(b"a 1w,", n) + b"'>", "http://x.example/")),
}


PAGES: dict[str, Callable[[int], str]] = {
    "marked sections": lambda n: text("<![x", n),
    "unclosed tags": lambda n: text("<a", n),
    "unclosed tags with spaces": lambda n: text("<a ", n),
    "unclosed quotes": lambda n: text("<a b='", n),
    "nested": lambda n: text("<div>", n),
    "formatting": lambda n: text("<b><p>", n),
    "tables": lambda n: text("<font><table>", n),
    "attributes": lambda n: "<a " + " ".join(f"a{at}=1" for at in range(n // 8)) + ">",
    "references": lambda n: text("&a", n),
    "comments": lambda n: text("<!--", n),
    "scripts": lambda n: "<script>" + text("</scrip", n),
    "ends": lambda n: text("<p>", n // 2) + text("</b>", n // 2),
    "figures": lambda n: text("<figure><figcaption>a", n),
    "pictures": lambda n: text("<img src=a>", n),
}


def ignore(*_: object) -> None:
    """Take what a parser returns."""


def seconds(parse: Callable[[int], None], size: int) -> float:
    """Return the processor time of parsing an input of ``size``, the least of three."""
    took = []
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(SosieError):
            parse(size)
        took.append(time.process_time() - began)
    return min(took)


def check(parse: Callable[[int], None]) -> None:
    small, large = seconds(parse, SMALL), seconds(parse, SMALL * TIMES)
    assert large * 1e6 / (SMALL * TIMES) < MOST_MICROSECONDS
    assert large < 0.02 or large < 3 * TIMES * small


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_read_in_linear_time(name: str) -> None:
    make = PICTURES[name]
    check(lambda size: headers(make(size)))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_in_linear_time(name: str) -> None:
    check(TEXTS[name])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_linear_time(name: str) -> None:
    make = PAGES[name]
    check(lambda size: ignore(parse_page(make(size).encode(), "http://x.example/")))


def test_a_page_that_is_marked_up_wrongly_breaks_nothing_off() -> None:
    found = parse_page(b"<img src=/a.jpg>" + b"<![x" * 10 + b"><img src=/b.jpg>", "http://x.example/")
    assert [each.url for each in found.pictures] == ["http://x.example/a.jpg", "http://x.example/b.jpg"]


@pytest.mark.parametrize(
    "unit", ["a,", ";", "\t", '"a""', "\n", " "], ids=["commas", "semicolons", "tabs", "quotes", "lines", "spaces"]
)
def test_a_list_is_read_in_linear_time(unit: str, tmp_path: Path) -> None:
    def parse(size: int) -> None:
        path = tmp_path / f"{size}.csv"
        if not path.exists():
            path.write_text(text(unit, size))
        ignore(list(read_rows(path)))

    check(parse)
