"""Servers that misbehave: each costs one picture, within bounds, and says why."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from sosie.errors import BadPicture
from sosie.sources.web.addresses import Internet
from sosie.sources.web.client import Limits
from sosie.sources.web.download import Download, Outcome, Politeness
from sosie.sources.web.headers import opted_out, retry_after
from sosie.sources.web.validators import Validators
from sosie.testing.servers import Answer, PictureServer, Seen
from sosie.types import ImageRef

PICTURE = b"\xff\xd8 a picture"
SHORT = Limits(connect=1.0, read=0.5, total=1.5, max_bytes=100_000)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        running.pages["/ok.jpg"] = PICTURE
        yield running


def download(**politeness: float) -> Download:
    settings = {"backoff": 0.05, **politeness}
    return Download(
        limits=SHORT,
        politeness=Politeness(**settings),  # type: ignore[arg-type]
        internet=Internet(allow_private=True),
    )


def get(server: PictureServer, path: str, **politeness: float) -> Outcome | None:
    ((_, found),) = download(**politeness).stream([ImageRef(server.url + path)])
    return found


def reason(server: PictureServer, page: object, **politeness: float) -> str:
    server.pages["/x"] = page  # type: ignore[assignment]
    found = get(server, "/x", **politeness)
    assert isinstance(found, BadPicture), found
    return found.reason


def raw(*parts: bytes, pause: float = 0.0, forever: bool = False) -> Answer:
    """Write to the socket, part by part."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        while True:
            for part in parts:
                handler.wfile.write(part)
                handler.wfile.flush()
                time.sleep(pause)
            if not forever:
                return

    return Answer(raw=write)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"4000\r\n" + bytes(0x4000) + b"\r\n")


def endless_header(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Long: " + b"x" * 4000 + b"\r\n")


def silence(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Answer(raw=drip), "too_slow"),
        (Answer(raw=endless), "too_large"),
        (Answer(raw=endless_header), "broken_connection"),
        (Answer(raw=silence), "timeout"),
        (raw(HEAD + b"Content-Length: 500\r\n\r\nshort"), "broken_connection"),
        (raw(HEAD + b"Content-Length: 99999999999\r\n\r\nx"), "too_large"),
        (raw(HEAD + b"Content-Length: -5\r\n\r\nx"), "broken_connection"),
        (raw(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx"), "broken_connection"),
        (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "broken_connection"),
        (raw(b"not http at all\r\n\r\n"), "broken_connection"),
        (raw(b""), "broken_connection"),
        (Answer(BOMB, headers={"Content-Encoding": "gzip"}), "too_large"),
        (Answer(zlib.compress(bytes(50_000_000)), headers={"Content-Encoding": "deflate"}), "too_large"),
        (Answer(gzip.compress(BOMB), headers={"Content-Encoding": "gzip, gzip"}), "bad_encoding"),
        (Answer(b"x", headers={"Content-Encoding": "br"}), "bad_encoding"),
        (Answer(b"no gzip", headers={"Content-Encoding": "gzip"}), "bad_encoding"),
        (Answer(gzip.compress(PICTURE)[:-6], headers={"Content-Encoding": "gzip"}), "truncated"),
        (Answer(b"<!DOCTYPE html><p>gone, but 200", headers={"Content-Type": "image/jpeg"}), "not_a_picture"),
        (Answer(b""), "empty"),
        (Answer(status=404), "gone"),
        (Answer(status=410), "gone"),
        (Answer(status=403), "forbidden"),
        (Answer(status=418), "http_418"),
        (Answer(status=204), "http_204"),
        (Answer(status=206, body=PICTURE), "http_206"),
        (Answer(status=302), "http_302"),
        (Answer(status=302, headers={"Location": "/x"}), "too_many_redirects"),
        (Answer(status=302, headers={"Location": "http://[::1"}), "bad_url"),
        (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "bad_url"),
        (Answer(PICTURE, headers={"X-Robots-Tag": "noindex"}), "opted_out"),
        (Answer(PICTURE, headers={"X-Robots-Tag": "otherbot: noindex, sosie: noimageai"}), "opted_out"),
    ],
)
def test_each_fault_has_its_reason(server: PictureServer, page: Answer, why: str) -> None:
    assert reason(server, page, tries=1) == why


@pytest.mark.parametrize(
    "page",
    [
        Answer(gzip.compress(PICTURE), headers={"Content-Encoding": "gzip"}),
        Answer(PICTURE, headers={"X-Robots-Tag": "otherbot: noindex"}),
        Answer(PICTURE, headers={"Content-Type": "text/plain"}),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + PICTURE + b"\r\n0\r\n\r\n"),
        raw(HEAD + b"\r\n" + PICTURE),
    ],
)
def test_what_is_odd_but_sound_is_taken(server: PictureServer, page: Answer) -> None:
    server.pages["/x"] = page
    assert get(server, "/x") == PICTURE


def test_five_redirects_are_followed(server: PictureServer) -> None:
    for n in range(5):
        server.pages[f"/{n}"] = Answer(status=301 + n % 2, headers={"Location": f"/{n + 1}"})
    server.pages["/5"] = PICTURE
    assert get(server, "/0") == PICTURE


def test_a_bomb_costs_no_memory(server: PictureServer) -> None:
    server.pages["/x"] = Answer(BOMB, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    found = get(server, "/x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, BadPicture)
    assert peak < 5_000_000


# ------------------------------------------------------------------------------------------------ tries


def failing(times: int, answer: Answer) -> Callable[[Seen], bytes | Answer]:
    left = [times]

    def page(_: Seen) -> bytes | Answer:
        left[0] -= 1
        return answer if left[0] >= 0 else PICTURE

    return page


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(status=429), raw(b"")])
def test_what_fails_for_now_is_tried_again(server: PictureServer, answer: Answer) -> None:
    server.pages["/x"] = failing(2, answer)
    assert get(server, "/x") == PICTURE
    assert len(server.seen) == 3


def test_waits_grow(server: PictureServer) -> None:
    assert reason(server, Answer(status=500), backoff=0.2) == "http_500"
    first, second, third = (seen.at for seen in server.seen)
    assert second - first >= 0.2
    assert third - second >= 0.4


def test_retry_after_is_kept(server: PictureServer) -> None:
    server.pages["/x"] = failing(1, Answer(status=503, headers={"Retry-After": "1"}))
    assert get(server, "/x") == PICTURE
    first, second = (seen.at for seen in server.seen)
    assert second - first >= 1.0


def test_a_wait_too_long_is_a_refusal(server: PictureServer) -> None:
    assert reason(server, Answer(status=429, headers={"Retry-After": "86400"})) == "http_429"
    assert len(server.seen) == 1


def test_what_is_final_is_not_tried_again(server: PictureServer) -> None:
    assert reason(server, Answer(status=404)) == "gone"
    assert len(server.seen) == 1


def test_ten_thousand_dead_urls_end_soon() -> None:
    with PictureServer() as gone:
        url = gone.url
    started = time.monotonic()
    refs = (ImageRef(f"{url}/{n}.jpg") for n in range(10_000))
    reasons = {found.reason for _, found in download().stream(refs) if isinstance(found, BadPicture)}
    assert reasons == {"unreachable", "host_down"}
    assert time.monotonic() - started < 20


# ------------------------------------------------------------------------------------------------ many at once


def test_every_reference_comes_once_and_bounds_hold(server: PictureServer) -> None:
    def slow(_: Seen) -> bytes:
        time.sleep(0.01)
        return PICTURE

    server.pages.update({f"/{n}": slow for n in range(0, 200, 2)})
    refs = [ImageRef(f"{server.url}/{n}") for n in range(200)]
    found = {ref.uri: outcome for ref, outcome in download(concurrency=8, per_host=4).stream(refs)}
    assert len(found) == 200
    assert sum(outcome == PICTURE for outcome in found.values()) == 100
    assert server.most_at_once <= 4


def test_a_slow_server_does_not_hold_up_the_others(server: PictureServer) -> None:
    with PictureServer() as slow:
        slow.pages.update({f"/{n}": Answer(raw=silence) for n in range(5)})
        refs = [ImageRef(f"{slow.url}/{n}") for n in range(5)]
        refs += [ImageRef(f"{server.url}/ok.jpg?{n}") for n in range(20)]
        server.pages.update({f"/ok.jpg?{n}": PICTURE for n in range(20)})
        order = [outcome for _, outcome in download(concurrency=16, per_host=2, tries=1).stream(refs)]
    assert order[:20] == [PICTURE] * 20
    assert len(order) == 25


def test_a_consumer_that_stops_reading_stops_the_downloads(server: PictureServer) -> None:
    server.pages.update({f"/{n}": PICTURE for n in range(500)})
    taken = 0

    def refs() -> Iterator[ImageRef]:
        nonlocal taken
        for n in range(500):
            taken += 1
            yield ImageRef(f"{server.url}/{n}")

    stream = download(concurrency=4).stream(refs())
    next(stream)
    time.sleep(0.3)
    assert taken < 30
    before = threading.active_count()
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() < before


def test_unwanted_references_cost_no_request(server: PictureServer) -> None:
    refs = [ImageRef(f"{server.url}/ok.jpg"), ImageRef(f"{server.url}/other")]
    found = download().stream(refs, wanted=lambda ref: ref.uri.endswith("ok.jpg"))
    assert [outcome for _, outcome in found] == [None, PICTURE]
    assert server.paths == ["/ok.jpg"]


def test_an_error_in_the_list_ends_the_downloads(server: PictureServer) -> None:
    def refs() -> Iterator[ImageRef]:
        yield ImageRef(f"{server.url}/ok.jpg")
        raise RuntimeError("the list broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        list(download().stream(refs()))


def test_memory_is_flat_over_many_urls(server: PictureServer) -> None:
    server.pages["/big"] = bytes(50_000)
    refs = (ImageRef(f"{server.url}/big#{n}") for n in range(200))
    tracemalloc.start()
    assert sum(len(found) for _, found in download(concurrency=4).stream(refs) if isinstance(found, bytes)) > 9_000_000
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()


# ------------------------------------------------------------------------------------------------ unchanged pictures


def test_an_unchanged_picture_is_not_sent_again(server: PictureServer, tmp_path: Path) -> None:
    def page(seen: Seen) -> bytes | Answer:
        if seen.headers.get("If-None-Match") == '"v1"':
            return Answer(status=304)
        return Answer(PICTURE, headers={"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT"})

    server.pages["/x"] = page
    ref = ImageRef(f"{server.url}/x")

    def again(*, known: bool) -> Outcome | None:
        fetch = Download(
            limits=SHORT, internet=Internet(allow_private=True), validators=Validators(tmp_path / "v.jsonl")
        )
        ((_, found),) = fetch.stream([ref], known=lambda _: known)
        return found

    assert again(known=False) == PICTURE
    assert again(known=True) is None
    assert server.seen[-1].headers["If-Modified-Since"] == "Sat, 21 Nov 2026 08:00:00 GMT"
    # Fetched but never stored, as after a kill: it must come again.
    assert again(known=False) == PICTURE


def test_a_torn_file_of_validators_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    Validators(path).remember("http://a.example/", {"ETag": '"1"'})
    with path.open("a") as file:
        file.write('["http://b.example/", "\\"2')
    assert Validators(path).headers("http://a.example/") == {"If-None-Match": '"1"'}
    assert Validators(path).headers("http://b.example/") == {}


# ------------------------------------------------------------------------------------------------ headers


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5.0), ("-5", 0.0), ("nan", 0.0), ("soon", 0.0), (None, 0.0), ("inf", 0.0)]
)
def test_retry_after_values(value: str | None, seconds: float) -> None:
    assert retry_after(value) == seconds


def test_retry_after_dates() -> None:
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0
    assert retry_after("Fri, 01 Jan 2100 00:00:00 GMT") > 1e8


@pytest.mark.parametrize(
    ("values", "asks"),
    [
        (["noindex"], True),
        (["NoImageIndex, nofollow"], True),
        (["none"], True),
        (["nofollow"], False),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
        (["max-image-preview: none"], False),
        (["googlebot: noindex"], False),
        (["googlebot: nofollow, noindex"], False),
        (["googlebot: noindex", "noai"], True),
        (["*: noindex"], True),
        ([], False),
    ],
)
def test_robots_tags(values: list[str], asks: bool) -> None:
    assert opted_out(values) is asks
