"""What an operator sees of a server: a line for each request, ids, tracebacks, metrics, readiness."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sosie
from sosie.library import Library
from sosie.server.config import LogFormat
from sosie.server.keys import KeyStore, Scope
from sosie.server.logs import AccessLog, Answered, configure_logging
from tests.pictures import folder_of
from tests.serving import running

API = "/api/v1"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("watched")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 4), workers=1)
        yield made


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


# ------------------------------------------------------------------------------------------- ids


def test_every_answer_has_an_id_and_a_problem_repeats_it(web: httpx.Client) -> None:
    ids = {web.get("/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3 and all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)
    answer = web.get(f"{API}/pictures/999", headers={"X-Request-ID": "trace-1.2_3"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "trace-1.2_3"


@pytest.mark.parametrize("given", ["a" * 65, "a" * 10_000, "two words", 'a"b', "é", "", "a\tb"])
def test_an_id_that_could_harm_the_log_is_not_taken(web: httpx.Client, given: str) -> None:
    answer = web.get("/healthz", headers={"X-Request-ID": given.encode()})
    assert answer.status_code == 200 and answer.headers["x-request-id"] != given


def test_what_is_refused_early_has_an_id_too(web: httpx.Client) -> None:
    answer = web.get(f"{API}/pictures", headers={"Host": "evil.example", "X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"], answer.json()["request_id"]) == (421, "mine", "mine")


# ------------------------------------------------------------------------------------------- lines


def lines_of(library: Library, form: str, capsys: Any, *requests: tuple[str, str, dict[str, str]]) -> list[str]:
    """Serve, ask, and return the lines that the server wrote."""
    with running(library, access_log=form) as address:
        for method, path, headers in requests:
            httpx.request(method, f"{address}{path}", headers=headers, timeout=60)
    return [line for line in capsys.readouterr().err.splitlines() if "/" in line]


def test_a_line_of_json_says_who_asked_what_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(folder_of(tmp_path / "pictures", 2), workers=1)
        key = KeyStore(library.path / "keys.json").create("the shop", Scope.READ)[1]
        bearer = {"Authorization": f"Bearer {key}", "X-Request-ID": "abc"}
        asked = ("GET", f"{API}/queries/{'f' * 64}", bearer)
        (line, stranger) = lines_of(library, "json", capsys, asked, ("GET", f"{API}/pictures", {}))
    told = json.loads(line)
    assert told.pop("ms") > 0 and told.pop("bytes") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "event": "request",
        "request_id": "abc",
        "method": "GET",
        "route": "/api/v1/queries/{token}",
        "status": 404,
        "client": "127.0.0.1",
        "key": "the shop",
    }
    assert key not in line and "ffff" not in line
    assert (json.loads(stranger)["status"], json.loads(stranger)["key"]) == (401, "")


def test_a_line_of_text_says_the_same(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines_of(library, "text", capsys, ("HEAD", "/healthz", {"X-Request-ID": "abc"}))
    assert re.fullmatch(r"\S+Z 127\.0\.0\.1 - HEAD /healthz 200 [\d.]+ms 0B abc", line)


def test_the_client_is_the_one_behind_the_proxy(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines_of(library, "text", capsys, ("GET", "/healthz", {"X-Forwarded-For": "203.0.113.9"}))
    assert " 203.0.113.9 - GET /healthz " in line


def entry(key: str = "") -> Answered:
    return Answered(0.0, "id", "GET", "/x", 200, 1.0, 2, "127.0.0.1", key)


def test_a_name_of_a_key_breaks_no_line() -> None:
    for form in (LogFormat.TEXT, LogFormat.JSON):
        assert entry("a\nb\x1b[2J").line(form).count("\n") == 1
        assert "\x1b" not in entry("a\x1b").line(form)


class Stuck(io.StringIO):
    """A pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.free, self.reached = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.free.wait(30)
        return super().write(text)


def test_a_log_that_cannot_be_written_holds_up_nothing() -> None:
    stream = Stuck()
    log = AccessLog(LogFormat.TEXT, stream)
    log.write(entry())
    assert stream.reached.wait(10)
    for _ in range(30_000):
        log.write(entry())
    assert log.dropped == 10_000
    stream.free.set()
    log.close()


class Full(io.StringIO):
    """A disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_counted() -> None:
    log = AccessLog(LogFormat.JSON, Full())
    log.write(entry())
    log.close()
    assert log.dropped == 1


# ------------------------------------------------------------------------------------------- what nobody foresaw


def test_a_failure_is_logged_once_with_its_request(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sosie.server.routes.pictures.json_response", lambda _: 1 / 0)
    with running(library) as address, caplog.at_level(logging.ERROR):
        answer = httpx.get(f"{address}{API}/labels", headers={"X-Request-ID": "abc"}, timeout=60)
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (500, "internal", "abc")
    assert answer.headers["x-content-type-options"] == "nosniff" and "ZeroDivision" not in answer.text
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.getMessage() == f"unexpected error at GET {API}/labels (request abc)"
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError


def test_a_traceback_has_its_time_and_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    loggers = [logging.getLogger(name) for name in ("sosie", "uvicorn")]
    before = [(each, each.handlers, each.propagate, each.level) for each in loggers]
    try:
        configure_logging(LogFormat.JSON)
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("sosie.server").exception("it broke")
    finally:
        for logger, logger.handlers, logger.propagate, level in before:
            logger.setLevel(level)
    told = json.loads(capsys.readouterr().err)
    assert (told["level"], told["event"]) == ("error", "it broke") and "ValueError: two" in told["traceback"]


# ------------------------------------------------------------------------------------------- metrics and readiness


def test_jobs_and_refused_pictures_are_counted(web: httpx.Client) -> None:
    job = web.post(f"{API}/jobs", json={"kind": "retry"}).json()["id"]
    with web.stream("GET", f"{API}/jobs/{job}/events") as stream:
        stream.read()
    web.post(f"{API}/search", content=b"no picture")
    text = web.get("/metrics").text
    assert 'sosie_jobs_total{kind="retry",state="done"} 1' in text
    assert 'sosie_pictures_refused_total{reason="not_a_picture"} 1' in text
    assert re.search(r'^sosie_build_info\{model="histogram",python="[\d.]+",version="\S+"\} 1$', text, re.MULTILINE)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("host", ["10.1.2.3:6868", "[fd00::1]:6868"])
def test_a_monitor_may_ask_by_address(library: Library, tmp_path: Path, path: str, host: str) -> None:
    store = KeyStore(library.path / "keys.json")
    key, token = store.create("prometheus", Scope.READ)
    try:
        with running(library) as address:
            bearer = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{address}{path}", headers={"Host": host, **bearer}).status_code == 200
            assert httpx.get(f"{address}{path}", headers={"Host": "evil.example", **bearer}).status_code == 421
            assert httpx.get(f"{address}{API}/labels", headers={"Host": host, **bearer}).status_code == 421
            if path == "/metrics":
                assert httpx.get(f"{address}{path}", headers={"Host": host}).status_code == 401
    finally:
        store.revoke(key.id)
        (library.path / "keys.json").unlink()
        library.catalogue.put_record("server/keys_made", None)


def test_readiness_is_withdrawn_before_the_port_closes(tmp_path: Path) -> None:
    sosie.open(tmp_path / "library", model="histogram").close()
    command = [sys.executable, "-m", "sosie", "serve", "-L", str(tmp_path / "library"), "--port", "0", "--drain", "3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        _until(address, 200)
        process.send_signal(signal.SIGTERM)
        _until(address, 503)
        assert httpx.get(f"{address}/livez").status_code == 200
        assert httpx.get(f"{address}{API}/labels").status_code == 200
        assert process.wait(30) == 0


def _until(address: str, status: int) -> None:
    """Wait until readiness is answered with a status; the server is asked, and no clock."""
    for _ in range(600):
        try:
            if httpx.get(f"{address}/readyz", timeout=30).status_code == status:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"/readyz never answered {status}")
