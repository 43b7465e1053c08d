"""Crawling: what pages say, what robots.txt allows, budgets, delays, and going on after a stop."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.errors import BadPicture, SourceUnreachable, UsageError
from sosie.sources import open_source
from sosie.sources.bridge import iterate
from sosie.sources.web.addresses import Internet
from sosie.sources.web.crawl import CrawlSource, Policy
from sosie.sources.web.download import Outcome
from sosie.sources.web.frontier import Budget
from sosie.sources.web.html import PagePicture, parse_page
from sosie.sources.web.sitemap import is_sitemap, parse_sitemap
from sosie.testing.internet import SmallInternet
from sosie.testing.servers import Answer, PictureServer, Seen

PICTURE = b"\xff\xd8\xff a picture"
SITE = "http://site.example"


def page(*links: str, pictures: tuple[str, ...] = (), head: str = "", body: str = "") -> Answer:
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    images = "".join(f'<img src="{picture}" alt="about {picture}">' for picture in pictures)
    text = f"<html><head><title>A page</title>{head}</head><body>{anchors}{images}{body}</body></html>"
    return Answer(text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


def crawl(server: PictureServer, start: str = SITE + "/", **options: object) -> CrawlSource:
    addresses = {
        "site.example": ["93.184.216.34"],
        "cdn.example": ["93.184.216.35"],
        "www.site.example": ["93.184.216.34"],
    }
    internet = SmallInternet(names=addresses, servers={"93.184.216.34": server.port, "93.184.216.35": server.port})
    budget = Budget(**{k: options.pop(k) for k in list(options) if k in ("pages", "depth", "hosts", "pictures")})  # type: ignore[arg-type]
    policy = Policy(budget=budget, **{"delay": 0.0, **{k: options.pop(k) for k in list(options) if k != "journal"}})  # type: ignore[arg-type]
    return CrawlSource(
        start,
        policy=policy,
        internet=Internet(resolver=internet.resolve, network=internet),
        **options,  # type: ignore[arg-type]
    )


def outcomes(source: CrawlSource) -> dict[str, Outcome | None]:
    return {ref.uri: outcome for ref, outcome in source.stream(lambda _: True)}


def test_pages_are_followed_and_pictures_come_with_their_words(server: PictureServer) -> None:
    server.pages["/"] = page("/b", pictures=("/a.jpg",))
    server.pages["/b"] = page("/", pictures=("/a.jpg", "/c.jpg"))
    server.pages["/a.jpg"] = server.pages["/c.jpg"] = PICTURE
    source = crawl(server)
    found = {ref.uri: ref.labels for ref, outcome in source.stream(lambda _: True) if outcome == PICTURE}
    assert found == {
        f"{SITE}/a.jpg": {"page": f"{SITE}/", "site": "site.example", "title": "A page", "alt": "about /a.jpg"},
        f"{SITE}/c.jpg": {"page": f"{SITE}/b", "site": "site.example", "title": "A page", "alt": "about /c.jpg"},
    }
    assert source.pages == 2
    assert server.paths.count("/a.jpg") == 1


def test_iterating_reads_pages_and_no_pictures(server: PictureServer) -> None:
    server.pages["/"] = page(pictures=("/a.jpg",))
    server.pages["/a.jpg"] = PICTURE
    source = crawl(server)
    (ref,) = source
    assert "/a.jpg" not in server.paths
    assert source.read(ref) == PICTURE


def test_a_web_address_alone_is_that_page(server: PictureServer) -> None:
    server.pages["/"] = page("/b", pictures=("/a.jpg",))
    server.pages["/a.jpg"] = PICTURE
    assert list(outcomes(crawl(server, depth=0))) == [f"{SITE}/a.jpg"]
    assert "/b" not in server.paths
    assert isinstance(open_source("https://site.example/"), CrawlSource)


def test_a_web_address_may_be_a_picture(server: PictureServer) -> None:
    server.pages["/a.jpg"] = PICTURE
    assert outcomes(crawl(server, SITE + "/a.jpg")) == {SITE + "/a.jpg": PICTURE}


def test_a_start_that_cannot_be_read_is_unreachable(server: PictureServer) -> None:
    with pytest.raises(SourceUnreachable, match="nothing to start from"):
        outcomes(crawl(server))


# ------------------------------------------------------------------------------------------------ staying in bounds


def test_pages_stay_on_the_site_and_pictures_may_lie_elsewhere(server: PictureServer) -> None:
    server.pages["/"] = page(
        "http://cdn.example/away", "http://www.site.example/in", pictures=("http://cdn.example/a.jpg",)
    )
    server.pages["/in"] = page()
    server.pages["/a.jpg"] = PICTURE
    assert outcomes(crawl(server)) == {"http://cdn.example/a.jpg": PICTURE}
    assert "/in" in server.paths
    assert "/away" not in server.paths
    server.pages["/away"] = page()
    outcomes(crawl(server, same_site=False))
    assert "/away" in server.paths


def endless(seen: Seen) -> Answer:
    n = int(seen.path.rpartition("=")[2] if "=" in seen.path else 0)
    return page(f"/?day={n + 1}", f"/?day={n + 2}")


class Endless(dict[str, object]):
    """A site with a page for every path."""

    def get(self, path: str, default: object = None) -> object:  # type: ignore[override]
        return Answer(status=404) if path == "/robots.txt" else endless


def test_an_endless_calendar_ends(server: PictureServer) -> None:
    server.pages = Endless()  # type: ignore[assignment]
    source = crawl(server, pages=30, depth=100)
    outcomes(source)
    assert source.pages == 30
    source = crawl(server, pages=1000, depth=1000)
    outcomes(source)
    assert source.pages == 100  # pages that differ only in their query


def test_links_that_grow_by_mistake_end(server: PictureServer) -> None:
    class Growing(dict[str, object]):
        def get(self, path: str, default: object = None) -> object:  # type: ignore[override]
            return Answer(status=404) if path == "/robots.txt" else page(path.rstrip("/") + "/a/")

    server.pages = Growing()  # type: ignore[assignment]
    source = crawl(server, depth=100)
    outcomes(source)
    assert source.pages == 4


def test_budgets_of_depth_pictures_and_hosts(server: PictureServer) -> None:
    server.pages["/"] = page("/1", "http://cdn.example/", pictures=("/a.jpg", "/b.jpg", "/c.jpg"))
    server.pages["/1"] = page("/2")
    server.pages["/2"] = page("/3")
    assert len(outcomes(crawl(server, depth=1, pictures=2, hosts=1, same_site=False))) == 2
    assert "/2" not in server.paths
    assert not [seen for seen in server.seen if seen.headers["Host"] == "cdn.example"]


# ------------------------------------------------------------------------------------------------ politeness


def test_the_delay_is_kept_for_every_request_to_a_host(server: PictureServer) -> None:
    server.pages["/"] = page("/1", "/2", pictures=("/a.jpg",))
    server.pages["/1"] = server.pages["/2"] = page()
    server.pages["/a.jpg"] = PICTURE
    outcomes(crawl(server, delay=0.15))
    times = [seen.at for seen in server.seen if seen.path != "/robots.txt"]
    assert len(times) == 4
    assert times[-1] - times[0] >= 0.4
    assert server.most_at_once == 1


def test_a_crawl_delay_of_robots_txt_is_kept(server: PictureServer) -> None:
    server.pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.3\n"
    server.pages["/"] = page("/1")
    server.pages["/1"] = page()
    outcomes(crawl(server))
    _, first, second = (seen.at for seen in server.seen)
    assert second - first >= 0.1


def test_the_user_agent_says_who_we_are(server: PictureServer) -> None:
    server.pages["/"] = page()
    outcomes(crawl(server))
    assert all(seen.headers["User-Agent"].startswith("sosie/") for seen in server.seen)


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (Answer(status=404), True),
        (Answer(status=403), True),
        (Answer(status=500), False),
        (Answer(status=503), False),
        (Answer(status=429), False),
        (b"", True),
        (b"User-agent: *\nDisallow: /\n", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n", False),
        (b"User-agent: sosie\nDisallow: /\n\nUser-agent: *\nAllow: /\n", False),
        (b"User-agent: Sosie\nAllow: /\n\nUser-agent: *\nDisallow: /\n", True),
        (b"User-agent: other\nDisallow: /\n", True),
        (b"User-agent: *\r\nDisallow: /*.html$\r\n", True),
        (b"User-agent: *\nDisallow: /\nAllow: /$\n", True),
        (b"no colon\n:::\nUser-agent\nDisallow /\n\xff\xfe\n", True),
        (b"User-agent: *\nDisallow: /\n" + b"# long\n" * 100_000, False),
        (b"User-agent: *\nCrawl-delay: 86400\n", False),
        (Answer(b"<html>not found, but 200</html>"), True),
        (Answer(status=302, headers={"Location": "/elsewhere.txt"}), True),
        (Answer(status=302, headers={"Location": "http://127.0.0.1/"}), False),
    ],
)
def test_robots_txt(server: PictureServer, robots: Answer | bytes, allowed: bool) -> None:
    server.pages["/robots.txt"] = robots
    server.pages["/"] = page()
    source = crawl(server)
    if allowed:
        assert outcomes(source) == {}
        assert source.pages == 1
    else:
        with pytest.raises(SourceUnreachable, match=r"robots|private_address"):
            outcomes(source)
        assert "/" not in server.paths


def test_robots_txt_holds_for_pages_pictures_and_redirects(server: PictureServer) -> None:
    server.pages["/robots.txt"] = b"User-agent: *\nDisallow: /private\n"
    server.pages["/"] = page("/private/page", "/moved", pictures=("/private/a.jpg", "/ok.jpg"))
    server.pages["/moved"] = Answer(status=302, headers={"Location": "/private/b"})
    server.pages["/ok.jpg"] = PICTURE
    source = crawl(server)
    found = outcomes(source)
    assert found.pop(f"{SITE}/ok.jpg") == PICTURE
    ((_, refused),) = found.items()
    assert isinstance(refused, BadPicture)
    assert refused.reason == "robots"
    assert source.refused == {"robots": 2}
    assert not [path for path in server.paths if path.startswith("/private")]


def test_meta_robots_and_nofollow(server: PictureServer) -> None:
    server.pages["/"] = page("/1", "/2", body='<a rel="nofollow" href="/3">x</a>')
    server.pages["/1"] = page("/4", pictures=("/a.jpg",), head='<meta name="robots" content="NOFOLLOW">')
    server.pages["/2"] = page("/5", pictures=("/b.jpg",), head='<meta name="robots" content="noimageindex">')
    server.pages["/5"] = page()
    server.pages["/a.jpg"] = server.pages["/b.jpg"] = PICTURE
    assert list(outcomes(crawl(server))) == [f"{SITE}/a.jpg"]
    assert {"/3", "/4"} & set(server.paths) == set()
    assert "/5" in server.paths


# ------------------------------------------------------------------------------------------------ going on


def site_of(server: PictureServer, n: int) -> None:
    for at in range(n):
        server.pages[f"/{at}"] = page(f"/{at + 1}", f"/{at + 2}", pictures=(f"/{at}.jpg",))
        server.pages[f"/{at}.jpg"] = PICTURE
    server.pages["/"] = page("/0")


def test_a_crawl_that_was_stopped_goes_on_and_reads_no_page_twice(server: PictureServer, tmp_path: Path) -> None:
    site_of(server, 40)
    journal = tmp_path / "crawl.jsonl"
    stored: set[str] = set()
    for take in (5, 12, 100):
        stream = crawl(server, journal=journal, depth=100, concurrency=2).stream(lambda ref: ref.uri not in stored)
        for ref, outcome in islice(stream, take):
            assert outcome == (None if ref.uri in stored else PICTURE)
            stored.add(ref.uri)
        stream.close()  # type: ignore[attr-defined]
        with journal.open("a") as file:
            file.write("" if take == 100 else '{"page": "torn')
            file.write("" if take == 100 else "\n")
    assert len(stored) == 40
    pages = [path for path in server.paths if not path.endswith((".jpg", ".txt"))]
    assert len(pages) - len(set(pages)) <= 8  # twice, those under way or not yet handed over when it was stopped
    assert len(set(pages)) >= 41


def test_a_finished_crawl_begins_anew(server: PictureServer, tmp_path: Path) -> None:
    server.pages["/"] = page(pictures=("/a.jpg",))
    server.pages["/a.jpg"] = PICTURE
    for _ in range(2):
        assert outcomes(crawl(server, journal=tmp_path / "j")) == {f"{SITE}/a.jpg": PICTURE}
    assert server.paths.count("/") == 2


def test_a_journal_of_another_crawl_is_refused(server: PictureServer, tmp_path: Path) -> None:
    server.pages["/"] = page()
    outcomes(crawl(server, journal=tmp_path / "j"))
    with pytest.raises(UsageError, match="belongs to a crawl of"):
        outcomes(crawl(server, SITE + "/other", journal=tmp_path / "j"))


# ------------------------------------------------------------------------------------------------ sitemaps


URLSET = (
    '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    ' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">'
    "<url><loc>http://site.example/1</loc><image:image><image:loc>http://site.example/a.jpg</image:loc>"
    "<image:caption>A &amp; B</image:caption></image:image></url><url><loc>http://cdn.example/x</loc></url></urlset>"
)


@pytest.mark.parametrize("packed", [False, True])
def test_a_sitemap_leads_to_pages_and_pictures(server: PictureServer, packed: bool) -> None:
    index = f"<sitemapindex><sitemap><loc>{SITE}/s.xml</loc></sitemap></sitemapindex>"
    text = URLSET.encode()
    server.pages["/sitemap.xml"] = Answer(index.encode(), headers={"Content-Type": "text/xml"})
    server.pages["/s.xml"] = Answer(gzip.compress(text) if packed else text, headers={"Content-Type": "text/plain"})
    server.pages["/1"] = page(pictures=("/b.jpg",))
    server.pages["/a.jpg"] = server.pages["/b.jpg"] = PICTURE
    stream = crawl(server, SITE + "/sitemap.xml").stream(lambda _: True)
    found = {ref.uri: ref.labels for ref, outcome in stream if outcome == PICTURE}
    assert found[f"{SITE}/a.jpg"] == {"page": f"{SITE}/1", "caption": "A & B"}
    assert set(found) == {f"{SITE}/a.jpg", f"{SITE}/b.jpg"}


BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><urlset><url><loc>&b;</loc></url></urlset>"
FILE = "<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><urlset><url><loc>&f;</loc></url></urlset>"


@pytest.mark.parametrize(
    "text",
    [BOMB, FILE, "<urlset><url>", "<urlset>" + "<a>" * 100, gzip.compress(bytes(60_000_000)), b"\x1f\x8b\x08 torn"],
)
def test_a_sitemap_that_means_harm_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadPicture, match="bad_sitemap"):
        parse_sitemap(text.encode() if isinstance(text, str) else text)


def test_what_a_sitemap_looks_like() -> None:
    assert is_sitemap(URLSET.encode())
    assert is_sitemap(gzip.compress(URLSET.encode()))
    assert not is_sitemap(b"<html><body>urlset</body></html>")
    assert not is_sitemap(b"\x1f\x8b\x08 torn")


# ------------------------------------------------------------------------------------------------ pages


def test_pictures_in_all_their_places() -> None:
    text = b"""
    <base href="http://b.example/dir/">
    <meta property="og:image" content="/og.jpg">
    <img src="plain.jpg" alt=" two
      words "><img src="blank.gif" data-src="late.jpg"><img srcset="s.jpg 100w, l.jpg 900w, m.jpg 400w" src="x.jpg">
    <picture><source srcset="wide.avif 2x, thin.avif" type="image/avif"><img src="data:image/gif;base64,R0"></picture>
    <figure><img src="f1.jpg"><img src="f2.jpg"><figcaption>Both <b>of</b> them</figcaption></figure>
    <img src="javascript:x"><img><img src="http://[bad"><video><source src="v.mp4" type="video/mp4"></video>
    """
    found = parse_page(text, "http://a.example/").pictures
    assert found == [
        PagePicture("http://b.example/og.jpg"),
        PagePicture("http://b.example/dir/plain.jpg", "two words"),
        PagePicture("http://b.example/dir/late.jpg"),
        PagePicture("http://b.example/dir/l.jpg"),
        PagePicture("http://b.example/dir/wide.avif"),
        PagePicture("http://b.example/dir/f1.jpg", "", "Both of them"),
        PagePicture("http://b.example/dir/f2.jpg", "", "Both of them"),
    ]


def test_links_lose_their_fragments_and_other_schemes() -> None:
    text = b'<a href="/a#x"><a href="mailto:x"><a href="ftp://x/"><a href=""><area href="b?c=1">'
    assert parse_page(text, "http://a.example/d/").links == ["http://a.example/a", "http://a.example/d/b?c=1"]


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("Blüte".encode(), None),
        ("Blüte".encode(), "utf-8"),
        ("Blüte".encode("latin-1"), None),
        ("Blüte".encode("latin-1"), "iso-8859-1"),
        (b'<meta charset="windows-1252">' + "Blüte".encode("cp1252"), None),
        ("Blüte".encode(), "no-such-charset"),
    ],
)
def test_charsets(data: bytes, charset: str | None) -> None:
    assert parse_page(b"<title>" + data + b"</title>", "http://a.example/", charset=charset).title.endswith("Blüte")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text("<>/=\"' aimgsrchfut&;#x![]-?", max_size=120).map(str.encode))
def test_any_bytes_are_a_page(data: bytes) -> None:
    found = parse_page(data, "http://a.example/")
    assert all(picture.url.startswith("http") for picture in found.pictures)


def test_nothing_more_is_made_once_nobody_listens() -> None:
    made = 0

    async def numbers() -> AsyncGenerator[int, None]:
        nonlocal made
        while True:
            made += 1
            yield made
            await asyncio.sleep(0)

    stream = iterate(numbers, room=2)
    assert next(stream) == 1
    stream.close()  # type: ignore[attr-defined]
    assert made <= 5  # one taken, two that wait, one that finds no room, one that finds nobody
