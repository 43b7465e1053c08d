"""No URL that somebody else wrote leads into a private network, whichever way it comes in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from html import escape
from ipaddress import ip_address
from pathlib import Path

import pytest

from sosie.errors import BadPicture
from sosie.server.remote import Remote
from sosie.sources.url_list import UrlListSource
from sosie.sources.web import addresses
from sosie.sources.web.addresses import Internet, check_peer, checked_addresses, why_not_public
from sosie.sources.web.crawl import CrawlSource, Policy
from sosie.sources.web.download import Download, Outcome, Politeness
from sosie.sources.web.frontier import Budget
from sosie.testing.internet import SmallInternet
from sosie.testing.servers import Answer, PictureServer
from sosie.types import ImageRef

from .spellings import HOSTS, NAMES, PRIVATE_V4, urls

PICTURE = b"\xff\xd8 a picture"


class Listener:
    """Listens on a port of every loopback address and counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self._sockets = [socket.create_server(("0.0.0.0", 0))]
        self.port: int = self._sockets[0].getsockname()[1]
        if socket.has_ipv6:
            self._sockets.append(socket.create_server(("::", self.port), family=socket.AF_INET6))
        for each in self._sockets:
            threading.Thread(target=self._accept, args=(each,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        running.pages["/x.jpg"] = PICTURE
        yield running


@pytest.fixture
def internet(server: PictureServer) -> SmallInternet:
    return SmallInternet(names=NAMES, servers={"93.184.216.34": server.port})


def downloader(internet: SmallInternet) -> Download:
    return Download(
        internet=Internet(resolver=internet.resolve, network=internet), politeness=Politeness(tries=1, per_host=50)
    )


def outcome(internet: SmallInternet, url: str) -> Outcome | None:
    ((_, found),) = downloader(internet).stream([ImageRef(url)])
    return found


def test_there_are_at_least_150_spellings() -> None:
    assert len(HOSTS) >= 150


def test_the_public_internet_is_reached(internet: SmallInternet) -> None:
    assert outcome(internet, "http://public.example/x.jpg") == PICTURE
    assert internet.connections == ["93.184.216.34"]


# ------------------------------------------------------------------------------------------------ every entry


def by_download(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    return [found for _, found in downloader(internet).stream(map(ImageRef, wanted))]


def by_list(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    (tmp_path / "list.txt").write_text("\n".join(wanted), encoding="utf-8")
    source = UrlListSource(tmp_path / "list.txt", download=downloader(internet))
    return [found for _, found in source.stream(lambda _: True)]


def by_redirect(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    for at, url in enumerate(wanted):
        location = url.encode("utf-8").decode("latin-1").replace("\t", "%09")
        server.pages[f"/{at}"] = Answer(status=302, headers={"Location": location})
    refs = [ImageRef(f"http://public.example/{at}") for at in range(len(wanted))]
    return [found for _, found in downloader(internet).stream(refs)]


def by_page(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    """A public page links to, shows, and is moved to what lies inside."""
    links = "".join(f'<a href="{escape(url)}">x</a><img src="{escape(url)}">' for url in wanted)
    server.pages["/"] = Answer(links.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
    return crawled(internet, "/")


def by_sitemap(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    urls = "".join(f"<url><loc>{escape(url)}</loc></url>" for url in wanted)
    maps = "".join(f"<sitemap><loc>{escape(url)}</loc></sitemap>" for url in wanted)
    pictures = "".join(f"<url><loc>x</loc><image><loc>{escape(url)}</loc></image></url>" for url in wanted)
    server.pages["/"] = f"<urlset>{urls}{pictures}{maps}</urlset>".encode()
    return crawled(internet, "/")


def crawled(internet: SmallInternet, start: str) -> list[object]:
    source = CrawlSource(
        f"http://public.example{start}",
        policy=Policy(Budget(pages=2000, hosts=2000), delay=0.0, per_host=8, same_site=False),
        internet=Internet(resolver=internet.resolve, network=internet),
    )
    found: list[object] = [outcome for _, outcome in source.stream(lambda _: True)]
    return [*found, *(BadPicture(reason) for reason in source.refused)]


def by_server(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    """What the REST API fetches when somebody searches by an address."""
    remote = Remote(max_bytes=1_000_000, internet=Internet(resolver=internet.resolve, network=internet))

    async def fetched(url: str) -> object:
        try:
            return await remote.fetch(url)
        except BadPicture as error:
            return error

    async def everything() -> list[object]:
        return [await fetched(url) for url in wanted]

    return asyncio.run(everything())


def by_read(internet: SmallInternet, wanted: list[str], server: PictureServer, tmp_path: Path) -> list[object]:
    """One picture at a time, as a source reads it again."""
    (tmp_path / "list.txt").write_text("x", encoding="utf-8")
    source = UrlListSource(tmp_path / "list.txt", download=downloader(internet))
    found: list[object] = []
    for url in wanted:
        try:
            found.append(source.read(ImageRef(url)))
        except BadPicture as error:
            found.append(error)
    return found


ENTRIES = [by_download, by_list, by_read, by_redirect, by_page, by_sitemap, by_server]


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_spelling_leads_inside(
    entry: object, internet: SmallInternet, listener: Listener, server: PictureServer, tmp_path: Path
) -> None:
    found = entry(internet, urls(listener.port), server, tmp_path)  # type: ignore[operator]
    assert listener.connections == 0
    assert set(internet.connections) <= {"93.184.216.34"}
    assert {type(each) for each in found} == {BadPicture}
    reasons = {each.reason for each in found}  # type: ignore[attr-defined]
    harmless = {
        "unreachable",
        "http_404",
        "not_a_picture",
        "robots_unreachable",
        "bad_url",
        "no_such_host",
        "outside",
        "gone",
        "missing",
        "too_many_redirects",
    }
    assert reasons <= {"private_address", *harmless}


@pytest.mark.parametrize("entry", ENTRIES)
def test_without_the_guard_they_do(
    entry: object,
    internet: SmallInternet,
    listener: Listener,
    server: PictureServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "why_not_public", lambda _: None)
    monkeypatch.setattr(addresses, "_why_own", lambda _: None)
    begins = ("http://127", "http://0x7f", "http://0177", "http://2130706433", "http://localhost", "http://[::1]")
    loopback = [url for url in urls(listener.port) if url.startswith(begins)]
    entry(internet, loopback, server, tmp_path)  # type: ignore[operator]
    assert listener.connections > 20


# ------------------------------------------------------------------------------------------------ more than one look


def test_a_name_that_changes_between_lookups_gains_nothing(server: PictureServer) -> None:
    class Rebinding(SmallInternet):
        def resolve(self, host: str, port: int) -> list[str]:
            self.lookups.append(host)
            return ["93.184.216.34"] if len(self.lookups) == 1 else ["127.0.0.1"]

    internet = Rebinding(names={}, servers={"93.184.216.34": server.port})
    server.pages["/1"] = Answer(status=302, headers={"Location": "http://rebind.example:81/x.jpg"})
    found = outcome(internet, "http://rebind.example/1")
    assert isinstance(found, BadPicture)
    assert found.reason == "private_address"
    assert internet.connections == ["93.184.216.34"]


def test_the_peer_is_checked_again(server: PictureServer) -> None:
    for end in ("127.0.0.1", "93.184.216.35"):
        internet = SmallInternet(names=NAMES, servers={"93.184.216.34": server.port}, peers={"93.184.216.34": end})
        found = outcome(internet, "http://public.example/x.jpg")
        assert isinstance(found, BadPicture)
        assert found.reason == "private_address"
    assert server.seen == []


def test_the_server_is_asked_by_its_name_without_credentials(internet: SmallInternet, server: PictureServer) -> None:
    assert outcome(internet, "http://user:secret@public.example/x.jpg#part") == PICTURE
    (seen,) = server.seen
    assert seen.headers["Host"] == "public.example"
    assert not {"Authorization", "Cookie", "Referer"} & seen.headers.keys()


def test_proxies_of_the_environment_are_not_used(
    internet: SmallInternet, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    assert outcome(internet, "http://public.example/x.jpg") == PICTURE
    assert listener.connections == 0


def test_cookies_are_not_kept(internet: SmallInternet, server: PictureServer) -> None:
    server.pages["/set"] = Answer(PICTURE, headers={"Set-Cookie": "spy=1; Path=/"})
    refs = [ImageRef("http://public.example/set"), ImageRef("http://public.example/x.jpg")]
    one_by_one = Download(
        internet=Internet(resolver=internet.resolve, network=internet), politeness=Politeness(concurrency=1)
    )
    assert [found for _, found in one_by_one.stream(refs)] == [PICTURE, PICTURE]
    assert all("Cookie" not in seen.headers for seen in server.seen)


def test_one_s_own_intranet_may_be_allowed(server: PictureServer) -> None:
    allowed = Download(internet=Internet(allow_private=True))
    ((_, found),) = allowed.stream([ImageRef(f"{server.url}/x.jpg")])
    assert found == PICTURE


# ------------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("text", PRIVATE_V4)
def test_special_ipv4_is_not_public(text: str) -> None:
    assert why_not_public(ip_address(text))
    for form in ("::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}", "2001:4860::5efe:{}"):
        assert why_not_public(ip_address(form.format(text)))


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "198.20.0.1",
     "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "64:ff9b::8.8.8.8",
     "2001:4860::5efe:8.8.8.8"],
)  # fmt: skip
def test_public_addresses_are_public(text: str) -> None:
    assert why_not_public(ip_address(text)) is None


def test_python_s_own_table_finds_nothing_that_ours_misses() -> None:
    steps = [*range(0, 1 << 32, 65_521 * 17)]
    missed = [ip for ip in map(ip_address, steps) if why_not_public(ip) is None and not ip.is_global]
    assert missed == []


def test_even_an_intranet_has_no_broadcast() -> None:
    for text in ("224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"):
        with pytest.raises(BadPicture, match="private_address"):
            checked_addresses("x", [text], allow_private=True)


@pytest.mark.parametrize("peer", [None, (), ("",), "127.0.0.1", ("127.0.0.1", 80)])
def test_a_peer_that_nobody_knows_is_refused(peer: object) -> None:
    with pytest.raises(BadPicture, match="private_address"):
        check_peer(ip_address("93.184.216.34"), peer, host="x", allow_private=False)


def test_addresses_of_this_machine_are_out_of_bounds_though_they_were_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stands for an interface with a public address, as servers have."""
    monkeypatch.setattr(addresses, "why_not_public", lambda address: None)
    with pytest.raises(BadPicture, match="this machine"):
        checked_addresses("own.example", ["127.0.0.1"])
    assert checked_addresses("own.example", ["127.0.0.1"], allow_private=True)
    assert checked_addresses("another.example", ["192.0.2.1"])
