"""What a server must survive or refuse; each guard is also taken out, to see that it is what protects."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import sosie
from sosie.errors import DamagedError, UsageError
from sosie.library import Library
from sosie.query.encode import Decoding
from sosie.server.config import Guard, ServerSettings
from sosie.server.keys import KeyStore, Scope, keys_of
from sosie.server.run import check_exposure
from tests.pictures import folder_of
from tests.serving import running

MIB = 1 << 20
ALL = frozenset(Guard)
Serve = Callable[..., str]
get = partial(httpx.get, timeout=60)  # a busy machine is no fault of the server's


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("guarded")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 6), workers=1)
        yield made


@pytest.fixture
def serve(library: Library) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(library, **settings))


@contextmanager
def connection(address: str) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as made:
        yield made


def exchange(address: str, request: bytes, *, patience: float = 5.0) -> bytes:
    """Send raw bytes, return what comes back until the server closes or patience ends."""
    with connection(address) as made:
        made.settimeout(patience)
        answer = b""
        try:
            made.sendall(request)
            while part := made.recv(65536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
        return answer


# ------------------------------------------------------------------------------------------- foreign hosts and pages


@pytest.mark.parametrize(("guards", "status"), [(ALL, 421), (ALL - {Guard.HOST}, 401)])  # then a key is asked for
def test_a_foreign_host_name_is_refused(serve: Serve, guards: frozenset[Guard], status: int) -> None:
    answer = get(f"{serve(guards=guards)}/api/v1/pictures", headers={"Host": "evil.example:6868"})
    assert answer.status_code == status


def test_a_named_host_is_let_in(serve: Serve) -> None:
    address = serve(hosts=("pictures.example",))
    assert get(f"{address}/readyz", headers={"Host": "Pictures.Example:80"}).status_code == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
]


@pytest.mark.parametrize(("guards", "status"), [(ALL, 403), (ALL - {Guard.ORIGIN}, 200)])
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_elsewhere_cannot_call(
    serve: Serve, headers: dict[str, str], guards: frozenset[Guard], status: int
) -> None:
    assert get(f"{serve(guards=guards)}/api/v1/labels", headers=headers).status_code == status


def test_a_page_elsewhere_cannot_change_anything(serve: Serve, library: Library) -> None:
    before = library.stats()["pictures"]
    answer = httpx.delete(f"{serve()}/api/v1/pictures/1", timeout=60, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, library.stats()["pictures"]) == (403, before)


def test_our_own_page_a_link_and_a_named_page_are_let_in(serve: Serve) -> None:
    address = serve(origins=("https://shop.example",))
    own = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    named = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
    assert get(f"{address}/api/v1/labels", headers=own).status_code == 200
    assert get(f"{address}/", headers=link).status_code == 200
    answer = get(f"{address}/api/v1/labels", headers=named)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")


def test_no_origin_is_shared_with_unless_it_is_named(serve: Serve) -> None:
    answer = get(f"{serve(guards=ALL - {Guard.ORIGIN})}/api/v1/labels", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_tells_browsers_to_be_careful(serve: Serve) -> None:
    address = serve()
    for path in ("/", "/api/v1/labels", "/api/v1/pictures/1/thumbnail", "/static/app.js", "/nothing"):
        headers = get(address + path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


# ------------------------------------------------------------------------------------------- large and lying bodies


def post(address: str, headers: str, body: bytes = b"") -> bytes:
    host = urlsplit(address).netloc
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n\r\n"
    return exchange(address, head.encode() + body)


FORM = "Content-Type: multipart/form-data; boundary=x\r\n"
PART = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a.jpg"\r\n\r\n'


def test_600_megabytes_are_refused_before_they_are_read(serve: Serve) -> None:
    answer = post(serve(), f"{FORM}Content-Length: {600 * MIB}")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer


@pytest.mark.parametrize(("guards", "status"), [(ALL, b"413"), (ALL - {Guard.BODY}, b"422")])
def test_a_chunked_body_is_counted_as_it_comes(serve: Serve, guards: frozenset[Guard], status: bytes) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    data = b"%x\r\n%s\r\n" % (len(PART), PART) + chunk * 40 + b"9\r\n\r\n--x--\r\n\r\n0\r\n\r\n"
    answer = post(serve(guards=guards, max_body=MIB), f"{FORM}Transfer-Encoding: chunked", data)
    assert answer[9:12] == status


@pytest.mark.parametrize("lengths", ["-1", "5\r\nContent-Length: 6", "1e3", "0x10", "5, 6"])
def test_a_length_that_is_none_is_refused(serve: Serve, lengths: str) -> None:
    assert post(serve(), f"{FORM}Content-Length: {lengths}").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("guards", "answered"), [(ALL, True), (ALL - {Guard.DEADLINE}, False)])
def test_a_body_that_does_not_come_is_given_up(serve: Serve, guards: frozenset[Guard], answered: bool) -> None:
    address = serve(guards=guards, idle_timeout=0.3)
    host = urlsplit(address).netloc
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\n{FORM}Content-Length: 9999\r\n\r\n".encode()
    answer = exchange(address, head + PART, patience=1.5)
    assert answer.startswith(b"HTTP/1.1 408") is answered


def test_a_body_that_drips_is_given_up_all_the_same(serve: Serve) -> None:
    address = serve(idle_timeout=5.0, body_timeout=0.5)
    host = urlsplit(address).netloc
    with connection(address) as made:
        head = f"POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\n{FORM}Content-Length: 9999\r\n\r\n"
        made.sendall(head.encode() + PART)
        began = time.monotonic()
        made.settimeout(0.1)
        answer = b""
        while time.monotonic() - began < 4 and not answer:
            try:
                made.sendall(b"-")
                answer = made.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_ten_thousand_parts_are_refused(serve: Serve) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\n1\r\n'
    body = part * 10_000 + b"--x--\r\n"
    assert post(serve(), f"{FORM}Content-Length: {len(body)}", body).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("guards", "status"), [(ALL, 431), (ALL - {Guard.HEADERS}, 200)])
def test_too_many_headers_are_refused(serve: Serve, guards: frozenset[Guard], status: int) -> None:
    headers = {f"X-{i}": "1" for i in range(200)}
    assert get(f"{serve(guards=guards)}/readyz", headers=headers).status_code == status


def test_a_header_without_end_is_refused(serve: Serve) -> None:
    answer = exchange(serve(), b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


# ------------------------------------------------------------------------------------------- slow and many


def is_open(made: socket.socket) -> bool:
    made.setblocking(False)
    try:
        return made.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize(("guards", "left"), [(ALL, 0), (ALL - {Guard.DEADLINE}, 100)])
def test_connections_that_never_ask_are_closed(serve: Serve, guards: frozenset[Guard], left: int) -> None:
    address = serve(guards=guards, head_timeout=0.4)
    with ExitStack() as stack:
        idle = [stack.enter_context(connection(address)) for _ in range(100)]
        for made in idle:
            made.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        time.sleep(1.0)
        assert sum(map(is_open, idle)) == left


@pytest.mark.parametrize(("guards", "most"), [(ALL, 50), (ALL - {Guard.CONNECTIONS}, 1000)])
def test_a_thousand_slow_connections_do_not_keep_others_out(serve: Serve, guards: frozenset[Guard], most: int) -> None:
    address = serve(guards=guards, max_connections=50, head_timeout=30.0)
    with ExitStack() as stack:
        slow = [stack.enter_context(connection(address)) for _ in range(1000)]
        for made in slow:
            try:
                made.sendall(b"GET /")
            except ConnectionError:
                continue
        assert httpx.get(f"{address}/readyz", timeout=10).status_code == 200
        left = sum(map(is_open, slow))
    assert left <= most
    assert (left > 50) is (Guard.CONNECTIONS not in guards)


@pytest.mark.parametrize("guards", [ALL, ALL - {Guard.QUEUE}])
def test_a_full_queue_answers_at_once(
    serve: Serve, guards: frozenset[Guard], library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(guards=guards, workers=1, waiting=1)
    data, begun, begin = library.read(1), list[bytes](), library.decode_ahead

    def counted(data: bytes, *, whole: bool = True) -> Decoding:
        begun.append(data)
        return begin(data, whole=whole)

    monkeypatch.setattr(library, "decode_ahead", counted)

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{address}/api/v1/search", files={"picture": ("a", data)}, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(32)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert bool(refused) is (Guard.QUEUE in guards)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert len(begun) == len(answers) - len(refused)  # what is refused is not decoded either


def test_a_caller_who_asks_too_often_is_told_to_wait(serve: Serve) -> None:
    address = serve(rate=1.0, burst=5)
    with httpx.Client(base_url=address, timeout=60) as client:
        answers = [client.get("/readyz") for _ in range(8)]
    assert [answer.status_code for answer in answers][:5] == [200] * 5
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


# ------------------------------------------------------------------------------------------- keys


def test_keys_say_who_may_do_what(serve: Serve, tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(folder_of(tmp_path / "pictures", 2), workers=1)
        store = KeyStore(library.path / "keys.json")
        tokens = {scope: store.create(scope, scope)[1] for scope in Scope}
        with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:

            def status(method: str, path: str, scope: Scope | None, **more: Any) -> int:
                headers = {"Authorization": f"Bearer {tokens[scope]}"} if scope else {}
                return client.request(method, path, headers=headers, **more).status_code

            labels = {"json": {"labels": {"a": "b"}}}
            assert status("GET", "/api/v1/labels", None) == 401
            assert status("GET", "/healthz", None) == 200
            assert status("GET", "/api/v1/labels", Scope.READ) == 200
            assert status("PUT", "/api/v1/pictures/1/labels", Scope.READ, **labels) == 403
            assert status("PUT", "/api/v1/pictures/1/labels", Scope.WRITE, **labels) == 200
            assert status("DELETE", "/api/v1/pictures/1", Scope.WRITE) == 403
            store.revoke(store.list()[0].id)
            assert status("GET", "/api/v1/labels", Scope.READ) == 401
            assert status("DELETE", "/api/v1/pictures/1", Scope.ADMIN) == 204


@contextmanager
def _once_keyed(folder: Path) -> Iterator[tuple[Library, KeyStore, httpx.Client]]:
    """Give a served library of one picture with one key, and a client that shows none."""
    with sosie.open(folder / "library", model="histogram") as library:
        library.add(folder_of(folder / "pictures", 1), workers=1)
        keys = keys_of(library)
        keys.create("me", Scope.READ)
        with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/api/v1/pictures").status_code == 401
            yield library, keys, client


def _strangers(client: httpx.Client) -> set[int]:
    """Return what a stranger is answered who lists, starts a job, deletes, and who shows a wrong key."""
    wrong = {"Authorization": "Bearer sosie_00000000_x"}
    return {
        client.get("/api/v1/pictures").status_code,
        client.post("/api/v1/jobs", json={"kind": "build", "index": "exact"}).status_code,
        client.delete("/api/v1/pictures/1").status_code,
        client.get("/api/v1/pictures", headers=wrong).status_code,
    }


def test_a_server_stays_closed_when_its_last_key_is_revoked(tmp_path: Path) -> None:
    with _once_keyed(tmp_path) as (_, keys, client):
        keys.revoke(keys.list()[0].id)
        assert _strangers(client) == {401}


def test_a_server_stays_closed_when_its_keys_are_lost(tmp_path: Path) -> None:
    with _once_keyed(tmp_path) as (library, _, client):
        (library.path / "keys.json").unlink()
        assert _strangers(client) == {401}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"keys": {}}', b'{"keys": [{"id": 1}]}'])
def test_nobody_is_let_in_while_the_keys_are_damaged(damage: bytes, tmp_path: Path) -> None:
    with _once_keyed(tmp_path) as (library, _, client):
        (library.path / "keys.json").write_bytes(damage)
        assert _strangers(client) <= {401, 503}
        wrong = client.get("/api/v1/pictures", headers={"Authorization": "Bearer sosie_00000000_x"})
        assert wrong.json()["code"] == "keys_damaged" and str(tmp_path) not in wrong.text


def test_a_server_made_anew_without_its_keys_is_closed_and_does_not_start(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        keys_of(library).create("me", Scope.READ)
        (library.path / "keys.json").unlink()
    with sosie.open(tmp_path / "library") as library:
        with running(library) as address:
            assert httpx.get(f"{address}/api/v1/pictures").status_code == 401
        with pytest.raises(UsageError, match="--no-keys"):
            check_exposure(library, ServerSettings())
        with pytest.raises(UsageError, match="other machines"):
            check_exposure(library, ServerSettings(host="10.0.0.1", no_keys=True))
        check_exposure(library, ServerSettings(no_keys=True))
        with running(library, no_keys=True) as address:
            assert httpx.get(f"{address}/api/v1/pictures").status_code == 200
            keys_of(library).create("you", Scope.READ)
            assert httpx.get(f"{address}/api/v1/pictures").status_code == 401


def test_keys_of_an_older_version_are_remembered_once_a_server_starts(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        KeyStore(library.path / "keys.json").create("me", Scope.READ)  # as one that tells the catalogue nothing
        check_exposure(library, ServerSettings())
        (library.path / "keys.json").unlink()
        assert keys_of(library).closed


def test_damaged_keys_keep_a_server_from_starting(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        keys_of(library).create("me", Scope.READ)
        (library.path / "keys.json").write_bytes(b"")
        for settings in (ServerSettings(), ServerSettings(no_keys=True)):
            with pytest.raises(DamagedError, match="sosie keys create"):
                check_exposure(library, settings)


def test_no_keys_is_refused_beside_keys(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        keys_of(library).create("me", Scope.READ)
        with pytest.raises(UsageError, match="leave out --no-keys"):
            check_exposure(library, ServerSettings(no_keys=True))


def test_keys_made_and_revoked_at_once_are_all_kept(tmp_path: Path) -> None:
    place = tmp_path / "keys.json"
    old = [KeyStore(place).create("old", Scope.ADMIN)[0].id for _ in range(12)]
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(KeyStore(place).create, f"new {n}", Scope.READ) for n in range(12)]
        gone = [threads.submit(KeyStore(place).revoke, each) for each in old]
        tokens = [each.result()[1] for each in made]
        assert [each.result().id for each in gone] == old
    assert all(KeyStore(place).find(token) for token in tokens)
    assert len(KeyStore(place).list()) == 12


def test_a_key_opens_a_session_for_the_page(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        token = KeyStore(library.path / "keys.json").create("me", Scope.READ)[1]
        with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
            asked = client.get("/map", headers={"Accept": "text/html"})
            assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fmap")
            assert client.post("/login", data={"key": "sosie_wrong", "next": "/map"}).status_code == 401
            opened = client.post("/login", data={"key": token, "next": "//evil.example/"})
            assert opened.headers["location"] == "/"
            assert "HttpOnly" in opened.headers["set-cookie"]
            assert "SameSite=strict" in opened.headers["set-cookie"]
            assert client.get("/map").status_code == 200
            assert client.get("/api/v1/labels").status_code == 200
            client.post("/logout")
            assert client.get("/api/v1/labels").status_code == 401


def test_keys_are_kept_as_hashes_only(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    token = store.create("me", Scope.READ)[1]
    assert token not in (tmp_path / "keys.json").read_text()
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    assert store.find(token) is not None
    assert store.find(token + "x") is None


def test_another_address_needs_a_key(library: Library) -> None:
    with pytest.raises(UsageError, match="sosie keys create"):
        check_exposure(library, ServerSettings(host="0.0.0.0"))
    check_exposure(library, ServerSettings(host="::1"))


# ------------------------------------------------------------------------------------------- stopping


def test_a_server_that_is_stopped_in_the_middle_of_a_job_keeps_what_was_done(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys

    library = tmp_path / "library"
    sosie.open(library, model="histogram").close()
    pictures = folder_of(tmp_path / "pictures", 400)
    port = 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sosie", "serve", "--library", str(library), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: _status(f"{address}/readyz") == 200)
        adding = {"kind": "add", "source": str(pictures)}
        job = httpx.post(f"{address}/api/v1/jobs", json=adding, timeout=60).json()["id"]
        own = f"{address}/api/v1/jobs/{job}"
        _until(lambda: get(own).json()["progress"].get("indexed", 0) > 0 or get(own).json()["ended_at"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with sosie.open(library, create=False) as opened:
        kept = opened.stats()["pictures"]
        assert kept > 0
        report = opened.add(pictures, workers=1)
        assert (report.indexed, opened.stats()["pictures"]) == (400 - kept, 400)


def _status(address: str) -> int:
    try:
        return get(address).status_code
    except httpx.TransportError:
        return 0


def _until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------- hostile texts


def test_hostile_names_and_labels_stay_text_on_every_page(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    pictures = folder_of(tmp_path / "pictures", 1)
    next(pictures.iterdir()).rename(pictures / f"{evil}\u202egpj.jpg".replace("/", ""))
    (pictures / "<b>.jpg").write_bytes(b"text")
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(pictures, workers=1)
        library.set_labels(1, {evil: evil})
        with running(library) as address:
            for path in ("/", "/?id=1", "/picture/1", "/quarantine", "/map", "/?where=<script>", "/add"):
                page = get(address + path, headers={"Accept": "text/html"}, follow_redirects=True).text
                assert "<img src=x" not in page
                assert "<script>" not in page
                assert "<b>" not in page
                assert "\u202e" not in page
