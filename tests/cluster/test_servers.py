"""Two server processes on one cluster, as behind a balancer: what was begun at one goes on at the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sosie.server.keys import Scope, keys_of
from tests.cluster.conftest import Open
from tests.pictures import folder_of, jpeg


@dataclass(frozen=True)
class Server:
    """One `sosie serve`, spoken to with a key."""

    process: subprocess.Popen[str]
    url: str
    key: str

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=120, **how)

    def page(self, path: str, cookies: httpx.Cookies) -> int:
        return httpx.get(self.url + path, cookies=cookies, headers={"Accept": "text/html"}, timeout=120).status_code


@contextmanager
def serving(address: str, key: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "sosie", "serve", "--library", address, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            before: list[str] = []
            said = next((line for line in process.stderr if before.append(line) or "Sosie is at" in line), "")
            assert said, "".join(before)  # it ended, and said why
            yield Server(process, said.split(" at ")[1].split(" ")[0], key)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def two(address: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    """Two servers of a library of four pictures, which share their thumbnails."""
    lib = opened()
    lib.add(folder_of(tmp_path / "p", 4), workers=1)
    _, key = keys_of(lib).create("me", Scope.ADMIN)
    monkeypatch.setenv("SOSIE_ELASTICSEARCH__THUMBNAILS", (tmp_path / "thumbnails").as_uri())
    with ExitStack() as stack:
        yield stack.enter_context(serving(address, key)), stack.enter_context(serving(address, key))


def until(holds: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def test_what_was_begun_at_one_server_goes_on_at_the_other(two: tuple[Server, Server], tmp_path: Path) -> None:
    one, other = two

    opened = httpx.post(f"{one.url}/login", data={"key": one.key}, timeout=120)
    cookies = httpx.Cookies(opened.cookies)
    assert (opened.status_code, other.page("/", cookies), other.page("/", httpx.Cookies())) == (303, 200, 303)
    httpx.post(f"{other.url}/logout", cookies=cookies, timeout=120)
    assert other.page("/", cookies) == 303
    until(lambda: one.page("/", cookies) == 303)

    token = one.ask("POST", "/queries", files={"picture": ("a.jpg", jpeg(1))}).json()["query"]
    found = other.ask("GET", "/search", params={"query": token}).json()
    assert found["hits"][0]["verdict"] == "identical"

    made = one.ask("GET", f"/pictures/{found['hits'][0]['id']}/thumbnail").content
    kept = [path.read_bytes() for path in (tmp_path / "thumbnails").rglob("*.jpg")]
    assert kept == [made] == [other.ask("GET", f"/pictures/{found['hits'][0]['id']}/thumbnail").content]


def test_jobs_are_listed_followed_and_stopped_at_any_server(two: tuple[Server, Server], tmp_path: Path) -> None:
    one, other = two
    adding = {"kind": "add", "source": str(folder_of(tmp_path / "few", 6, first=100))}
    job = one.ask("POST", "/jobs", json=adding).json()["id"]
    assert job in [each["id"] for each in other.ask("GET", "/jobs").json()["jobs"]]
    events = other.ask("GET", f"/jobs/{job}/events").text  # until it is over
    assert '"state": "done"' in events and '"indexed": 6' in events
    assert other.ask("GET", f"/jobs/{job}").json() == one.ask("GET", f"/jobs/{job}").json()

    adding = {"kind": "add", "source": str(folder_of(tmp_path / "many", 3000, first=1000))}
    job = one.ask("POST", "/jobs", json=adding).json()["id"]
    os.kill(one.process.pid, signal.SIGSTOP)  # so that it is not done before it is stopped
    assert other.ask("DELETE", f"/jobs/{job}").json()["state"] in ("waiting", "running")
    os.kill(one.process.pid, signal.SIGCONT)
    until(lambda: other.ask("GET", f"/jobs/{job}").json()["ended_at"])
    ended = other.ask("GET", f"/jobs/{job}").json()
    assert (ended["state"], ended) == ("stopped", one.ask("GET", f"/jobs/{job}").json())
    assert other.ask("GET", f"/jobs/{'0' * 16}").status_code == 404
