"""Writing in bulk to a cluster that refuses some of it; and TLS and keys, checked by a stub that insists on them."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sosie.elastic import Cluster, Connection
from sosie.errors import DamagedError, DiskFull, ServiceAway, UsageError

Answer = tuple[int, Mapping[str, Any]]


@contextmanager
def stub(
    answer: Callable[[str, list[Any], Mapping[str, str]], Answer], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve what ``answer(path, lines, headers)`` says, as Elasticsearch would."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            lines = [json.loads(line) for line in body.splitlines() if line]
            status, document = answer(self.path, lines, {k.lower(): v for k, v in self.headers.items()})
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def operations(count: int) -> tuple[list[Any], list[Any]]:
    return [{"index": {"_index": "x", "_id": str(n)}} for n in range(count)], [{"n": n} for n in range(count)]


def test_items_that_were_refused_are_sent_again_and_no_others() -> None:
    requests: list[list[str]] = []

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        ids = [line["index"]["_id"] for line in lines[::2]]
        requests.append(ids)
        busy = {"1", "3"} if len(requests) == 1 else {"3"} if len(requests) == 2 else set()
        items = [{"index": {"_id": i, "status": 429 if i in busy else 201, "error": "busy"}} for i in ids]
        return 200, {"items": items, "errors": bool(busy)}

    with stub(answer) as url:
        results = Connection(Cluster((url,), patience=20)).bulk(*operations(5))
    assert [result["status"] for result in results] == [201] * 5
    assert [result["_id"] for result in results] == list("01234")
    assert requests == [list("01234"), ["1", "3"], ["3"]]


@pytest.mark.parametrize("status", [429, 503])
def test_a_whole_request_that_was_refused_is_sent_again(status: int) -> None:
    seen = []

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        seen.append(len(lines))
        if len(seen) < 3:
            return status, {"error": {"type": "es_rejected_execution_exception"}, "status": status}
        return 200, {"items": [{"index": {"status": 201}} for _ in lines[::2]]}

    with stub(answer) as url:
        assert len(Connection(Cluster((url,), patience=20)).bulk(*operations(4))) == 4
    assert seen == [8, 8, 8]


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (400, "mapper_parsing_exception", DamagedError),
        (403, "index has read-only-allow-delete block", DiskFull),
        (429, "disk usage exceeded flood-stage watermark, index has read-only-allow-delete block", DiskFull),
        (429, "es_rejected_execution_exception", ServiceAway),
    ],
)
def test_an_item_that_is_never_taken_is_an_error(status: int, reason: str, error: type[Exception]) -> None:
    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        return 200, {"items": [{"index": {"status": status, "error": {"reason": reason}}} for _ in lines[::2]]}

    with stub(answer) as url, pytest.raises(error):
        Connection(Cluster((url,), patience=0.3)).bulk(*operations(2))


def of_bytes(size: int, count: int) -> tuple[list[Any], list[Any]]:
    """Return operations whose sources are so large."""
    where, _ = operations(count)
    return where, [{"text": "x" * size} for _ in range(count)]


def numbers(lines: list[Any]) -> list[int]:
    return [int(line["index"]["_id"]) for line in lines[::2]]


def done(lines: list[Any]) -> Answer:
    return 200, {"items": [{"index": {"_id": str(n), "status": 201}} for n in numbers(lines)]}


def test_requests_are_bounded_in_bytes_and_answers_keep_their_order() -> None:
    seen = []

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        seen.append((int(headers["content-length"]), numbers(lines)))
        return done(lines)

    with stub(answer) as url:
        results = Connection(Cluster((url,))).bulk(*of_bytes(200_000, 12))
    assert [result["_id"] for result in results] == [str(n) for n in range(12)]
    assert sorted(n for _, some in seen for n in some) == list(range(12))
    assert len(seen) == 3 and max(size for size, _ in seen) <= 1 << 20


def test_two_requests_are_under_way_at_once_and_no_more() -> None:
    both, lock = threading.Barrier(2), threading.Lock()
    now, most = [0], [0]

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(60)  # one alone would wait for ever
        with lock:
            now[0] -= 1
        return done(lines)

    with stub(answer) as url:
        assert len(Connection(Cluster((url,), patience=120)).bulk(*of_bytes(600_000, 8))) == 8
    assert most[0] == 2


def test_nothing_is_under_way_any_more_when_an_error_is_told() -> None:
    let_go, other, finished = threading.Event(), threading.Event(), []

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        if 0 in numbers(lines):
            other.wait(60)
            threading.Timer(0.5, let_go.set).start()
            return 400, {"error": "no", "status": 400}
        other.set()
        let_go.wait(60)
        finished.append(numbers(lines))
        return done(lines)

    with stub(answer) as url, pytest.raises(DamagedError):
        Connection(Cluster((url,), patience=60)).bulk(*of_bytes(600_000, 2))
    assert finished == [[1]]


def test_items_refused_in_several_requests_are_sent_again_together() -> None:
    seen: list[list[int]] = []
    busy, lock = {0, 3}, threading.Lock()

    def answer(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
        some = numbers(lines)
        with lock:
            seen.append(some)
            refused = busy & {*some}
            busy.difference_update(refused)
        return 200, {"items": [{"index": {"_id": str(n), "status": 503 if n in refused else 201}} for n in some]}

    with stub(answer) as url:
        results = Connection(Cluster((url,), patience=60)).bulk(*of_bytes(300_000, 6))
    assert [result["status"] for result in results] == [201] * 6
    assert sorted(seen) == [[0, 1, 2], [0, 3], [3, 4, 5]]


# ------------------------------------------------------------------------------------------------ TLS and keys


_OPENSSL = (
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
    *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext, str]:
    """A certificate for 127.0.0.1 that nobody trusts, a server's context with it, and its SHA-256."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        [*_OPENSSL, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return certificate, context, hashlib.sha256(der).hexdigest()


def locked(path: str, lines: list[Any], headers: Mapping[str, str]) -> Answer:
    if headers.get("authorization") not in ("ApiKey right", "Basic bWU6c2VjcmV0"):  # me:secret
        return 401, {"error": "unable to authenticate", "status": 401}
    return 200, {"count": 7}


def count(cluster: Cluster) -> int:
    return int(Connection(cluster).wait_out(lambda client: client.count(index="x"))["count"])


def test_a_key_or_a_password_is_passed_on(authority: tuple[Path, ssl.SSLContext, str]) -> None:
    certificate, context, digest = authority
    with stub(locked, context) as url:
        assert count(Cluster((url,), api_key="right", ca_certs=str(certificate))) == 7
        assert count(Cluster((url,), username="me", password="secret", ca_certs=str(certificate))) == 7
        assert count(Cluster((url,), api_key="right", fingerprint=digest)) == 7
        with pytest.raises(UsageError, match="SOSIE_ELASTICSEARCH__API_KEY"):
            count(Cluster((url,), api_key="wrong", ca_certs=str(certificate)))


def test_a_certificate_that_is_not_trusted_is_refused(authority: tuple[Path, ssl.SSLContext, str]) -> None:
    with stub(locked, authority[1]) as url:
        for options in ({}, {"fingerprint": "00" * 32}):
            with pytest.raises(ServiceAway, match="not trusted: set ca_certs"):
                count(Cluster((url,), api_key="right", **options))


def test_an_authority_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pem is none"):
        Connection(Cluster(("https://127.0.0.1:1",), ca_certs=str(tmp_path / "none.pem")))
