"""Servers that flap between two runs of a list: no picture is lost, and the report says what happened to each."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import sosie
from sosie.library import Library
from sosie.sources.keeping import KeepingOriginals
from sosie.sources.url_list import UrlListSource
from sosie.sources.web.addresses import Internet
from sosie.sources.web.client import Limits
from sosie.sources.web.download import Download, Politeness
from sosie.testing.servers import Answer, PictureServer
from tests.pictures import jpeg

PICTURES = [jpeg(n) for n in range(100)]
PLACEHOLDER = jpeg(999)
OUTAGES = int(os.environ.get("SOSIE_OUTAGES", "12"))


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n\xff\xd8")


FAULTS = {
    "unavailable": Answer(status=503),
    "gone": Answer(status=404),
    "forbidden": Answer(status=403),
    "reset": Answer(raw=reset),
    "breaks off": Answer(raw=break_off),
    "a page": Answer(b"<html>back soon</html>", headers={"Content-Type": "text/html"}),
    "half a picture": Answer(PICTURES[0][:300]),
    "nothing": Answer(b""),
    "a placeholder": Answer(PLACEHOLDER),
}


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        running.pages.update({f"/{n}.jpg": data for n, data in enumerate(PICTURES)})
        yield running


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


def source(server: PictureServer, folder: Path, *, count: int = 100, seconds: float = 60) -> UrlListSource:
    path = folder / "list.txt"
    path.write_text("".join(f"{server.url}/{n}.jpg\n" for n in range(count)))
    download = Download(
        limits=Limits(connect=seconds, read=seconds, total=seconds),
        politeness=Politeness(tries=2, backoff=0.001, give_up_after=1000),
        internet=Internet(allow_private=True),
    )
    return UrlListSource(path, download=download)


def digests(lib: Library) -> set[str]:
    return {record.sha256 for record in lib.pictures()}


@pytest.mark.parametrize("keeping", [True, False])
def test_no_outage_loses_a_picture(server: PictureServer, lib: Library, tmp_path: Path, keeping: bool) -> None:
    listed = source(server, tmp_path)
    opened = KeepingOriginals(listed, lib.path / "originals") if keeping else listed
    lib.add(opened)
    before = digests(lib)
    assert len(before) == 100
    for seed in range(OUTAGES):
        rng = random.Random(seed)
        faults = {n: rng.choice(list(FAULTS)) for n in range(100) if rng.random() < 0.5}
        server.pages.update({f"/{n}.jpg": FAULTS[faults[n]] if n in faults else PICTURES[n] for n in range(100)})
        report = lib.add(opened, again=True)
        assert before <= digests(lib), seed
        assert report.seen == report.settled == 100, seed
        failed = Counter(faults.values())
        assert report.kept.total() == len(faults) - failed["a placeholder"], seed
        assert not report.quarantined, seed
    if keeping:
        assert all(lib.read(record.id) for record in lib.pictures())


def test_a_server_that_is_down_costs_nothing_and_is_reported(
    server: PictureServer, lib: Library, tmp_path: Path
) -> None:
    listed = source(server, tmp_path, count=20)
    lib.add(listed)
    server.pages.clear()
    report = lib.add(listed, again=True)
    assert dict(report.kept) == {"gone": 20}
    assert report.to_json()["kept"] == {"gone": 20}
    assert lib.stats()["pictures"] == 20


def test_a_server_that_is_slow_costs_nothing(server: PictureServer, lib: Library, tmp_path: Path) -> None:
    lib.add(source(server, tmp_path, count=3))
    ended = threading.Event()
    server.pages["/1.jpg"] = lambda _: Answer(status=503 if ended.wait(20) else 500)
    report = lib.add(source(server, tmp_path, count=3, seconds=1), again=True)
    ended.set()
    assert report.kept.total() >= 1
    assert not report.quarantined
    assert lib.stats()["pictures"] == 3


def test_a_new_picture_that_could_not_be_reached_is_tried_by_the_next_plain_run(
    server: PictureServer, lib: Library, tmp_path: Path
) -> None:
    listed = source(server, tmp_path, count=4)
    server.pages["/2.jpg"] = Answer(status=503)
    assert dict(lib.add(listed).quarantined) == {"http_503": 1}
    server.pages["/2.jpg"] = PICTURES[2]
    assert lib.add(listed).indexed == 1
    assert lib.quarantine() == []


def test_a_picture_that_comes_back_to_its_address_has_one_place(
    server: PictureServer, lib: Library, tmp_path: Path
) -> None:
    listed = source(server, tmp_path, count=2)
    lib.add(listed)
    server.pages["/1.jpg"] = PLACEHOLDER
    assert lib.add(listed, again=True).replaced == 1
    server.pages["/1.jpg"] = PICTURES[1]
    lib.add(listed, again=True)
    places = {record.sha256: record.uris for record in lib.pictures()}
    assert [len(uris) for uris in places.values()] == [1, 1, 1]


def test_a_file_that_cannot_be_read_now_is_kept(lib: Library, tmp_path: Path) -> None:
    from sosie.errors import BadPicture
    from sosie.testing.fakes import MemorySource
    from sosie.types import ImageRef

    class Refusing(MemorySource):
        def read(self, ref: ImageRef) -> bytes:
            raise BadPicture("unreadable", "Permission denied")

    lib.add(MemorySource({"a.jpg": PICTURES[0]}))
    assert dict(lib.add(Refusing({"a.jpg": PICTURES[0]}), again=True).kept) == {"unreadable": 1}
    assert lib.stats()["pictures"] == 1
