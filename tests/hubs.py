"""A hub on loopback: what huggingface.co answers to those who fetch a file, and what goes wrong there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


@dataclass
class Hub:
    """The files of ``repo/path`` (bytes), and how it behaves. ``asked`` are (method, path, Range) of every request."""

    files: dict[str, bytes]
    commit: str = COMMIT
    stop_after: int | None = None  # bytes of a file after which the connection ends
    ranges: bool = True
    plain: bool = False  # answers without a hub's headers, as a login page does
    status: int | None = None
    address: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    hosts: list[tuple[str, str | None]] = field(default_factory=list)  # the name that was called, and the token
    elsewhere: str | None = None  # where the hub sends those who ask, as the Location header says it


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        hub.tokens.append(self.headers.get("Authorization"))
        hub.hosts.append((self.headers.get("Host", ""), self.headers.get("Authorization")))
        if hub.status is not None:
            self._send(hub.status, b"no", {}, body=body)
        elif hub.plain:
            self._send(200, b"<!DOCTYPE html><title>Log in</title>", {"Content-Type": "text/html"}, body=body)
        elif self.path.lstrip("/").startswith("cdn/"):
            self._file(hub.files[self.path.lstrip("/").removeprefix("cdn/")], body=body)
        else:
            repo, _, rest = self.path.strip("/").partition("/resolve/")
            revision, _, path = rest.partition("/")
            data = hub.files.get(f"{repo}/{path}")
            if data is None or revision not in ("main", hub.commit):
                self._send(404, b"Entry not found", {}, body=body)
                return
            headers = {
                "X-Repo-Commit": hub.commit,
                "X-Linked-Size": str(len(data)),
                "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "Location": hub.elsewhere or f"{hub.address}/cdn/{repo}/{path}",
            }
            self._send(302, b"", headers, body=body)

    def _file(self, data: bytes, *, body: bool) -> None:
        start = 0
        wanted = self.headers.get("Range")
        headers = {}
        if wanted and self.hub.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers, body=body, stop_after=self.hub.stop_after)

    def _send(
        self, status: int, data: bytes, headers: dict[str, str], *, body: bool, stop_after: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data[:stop_after])
        if body and stop_after is not None:
            self.close_connection = True


@contextmanager
def hub_of(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve files, by ``owner/name/path``."""
    hub = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
