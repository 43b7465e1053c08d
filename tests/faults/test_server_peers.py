"""Callers that never read, follow too much, send without a key; sources that never answer. Others are served on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.cli import main
from sosie.library import Library
from sosie.server.config import Guard
from sosie.server.keys import KeyStore, Scope
from tests.pictures import folder_of
from tests.serving import running

ALL = frozenset(Guard)
FORM = "HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999999"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("peers")
    pictures = folder_of(folder / "pictures", 3)
    noise = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
    Image.fromarray(noise).save(pictures / "large.tif")  # 18 MB
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(pictures, workers=1)
        yield made


def connect(address: str, request: str, *, buffer: int | None = None) -> socket.socket:
    """Connect, send a request, and leave the answer unread."""
    parts = urlsplit(address)
    made = socket.socket()
    if buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.settimeout(10)
    made.connect((parts.hostname, parts.port))
    made.sendall(f"{request}\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return made


def read_late(made: socket.socket, seconds: float) -> int:
    """Read nothing for a while, then all that comes; return how many bytes that is."""
    time.sleep(seconds)
    total = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := made.recv(1 << 20):
            total += len(part)
    return total


def large(library: Library) -> int:
    return next(row.id for row in library.pictures() if row.width == 3000)


@pytest.mark.parametrize("guards", [ALL, ALL - {Guard.DEADLINE}])
def test_who_never_reads_is_cut_off(library: Library, guards: frozenset[Guard]) -> None:
    with running(library, guards=guards, send_timeout=0.5) as address:
        request = f"GET /api/v1/pictures/{large(library)}/original HTTP/1.1\r\nConnection: close"
        with connect(address, request, buffer=2048) as made:
            complete = read_late(made, 3.0) > len(library.read(large(library)))
    assert complete is (Guard.DEADLINE not in guards)


def test_who_reads_slowly_gets_all(library: Library) -> None:
    with running(library, send_timeout=0.5) as address:
        expected = library.read(large(library))
        with httpx.stream("GET", f"{address}/api/v1/pictures/{large(library)}/original", timeout=60) as answer:
            got = b""
            for part in answer.iter_raw(1 << 20):
                got += part
                time.sleep(0.1)
    assert got == expected and int(answer.headers["content-length"]) == len(expected)


def test_one_caller_leaves_connections_to_others(library: Library) -> None:
    with running(library, connections_each=8, max_connections=32) as address, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(address, "GET /api/v1/openapi.json HTTP/1.1", buffer=2048))
        other = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=other, timeout=10) as client:
            assert client.get(f"{address}/healthz").status_code == 200


def test_event_streams_of_one_caller_are_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(library.quarantine, "retry", lambda _reason: gate.wait(60) and None)
    with running(library, streams_each=3) as address, ExitStack() as stack:
        stack.callback(gate.set)
        job = httpx.post(f"{address}/api/v1/jobs", json={"kind": "retry"}, timeout=60).json()["id"]
        request = f"GET /api/v1/jobs/{job}/events HTTP/1.1"

        def status() -> bytes:
            made.append(stack.enter_context(connect(address, request)))
            return made[-1].recv(4096)[9:12]

        made: list[socket.socket] = []
        assert [status() for _ in range(5)] == [b"200"] * 3 + [b"429"] * 2
        made[0].close()
        time.sleep(1.0)
        assert status() == b"200"


def test_a_body_is_not_taken_in_without_a_key(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as made:
        made.add(folder_of(tmp_path / "pictures", 1), workers=1)
        token = KeyStore(made.path / "keys.json").create("shop", Scope.WRITE)[1]
        with running(made) as address:
            for path, code in (("/api/v1/pictures", b"401"), ("/api/v1/search", b"401"), ("/login", b"413")):
                with connect(address, f"POST {path} {FORM}") as stranger:
                    assert stranger.recv(4096)[9:12] == code  # although nothing of the body was sent
            with connect(address, f"POST /api/v1/search {FORM}\r\nAuthorization: Bearer {token}") as known:
                known.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    known.recv(4096)
            assert httpx.post(f"{address}/login", data={"key": token}, timeout=30).status_code == 303


def test_a_source_that_never_answers_holds_up_nothing_else(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def read(_: int) -> bytes:
        never.wait(30)
        return b""

    monkeypatch.setattr(library.pictures, "read", read)
    monkeypatch.setattr(library.engine, "_read", read)
    with running(library) as address, ExitStack() as stack:
        stack.callback(never.set)
        for content in [row.id for row in library.pictures()] * 4:
            stack.enter_context(connect(address, f"GET /api/v1/pictures/{content}/thumbnail HTTP/1.1"))
            stack.enter_context(connect(address, f"GET /api/v1/compare?a={content}&b=1 HTTP/1.1"))
        time.sleep(0.5)
        for path in ("/readyz", "/api/v1/labels", "/api/v1/pictures", "/api/v1/search?id=1", "/login"):
            assert httpx.get(address + path, timeout=10).status_code == 200


@pytest.mark.parametrize("there", [False, True], ids=["mistyped", "unmounted"])
def test_a_library_that_is_not_there_is_not_served(
    tmp_path: Path, there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "nothing here"
    if there:
        library.mkdir()
    assert main(["serve", "--library", str(library), "--port", "0"]) == 3
    assert str(library) in capsys.readouterr().err
    assert not (library / "catalogue.sqlite").exists() and library.exists() is there
