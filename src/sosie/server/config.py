"""What a server is allowed to do, and how much of it: one frozen value, given to ``create_app``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from sosie.errors import SettingsError

__all__ = ["LOCAL_NAMES", "Guard", "LogFormat", "ServerSettings", "is_loopback"]

MIB = 1 << 20
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard(StrEnum):
    """A protection that a test can take out, to see that it is what protects."""

    HOST = "host"
    ORIGIN = "origin"
    BODY = "body"
    HEADERS = "headers"
    DEADLINE = "deadline"
    CONNECTIONS = "connections"
    QUEUE = "queue"
    REPORTS = "reports"


class LogFormat(StrEnum):
    """How the log is written, and whether each request has a line in it."""

    OFF = "off"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Limits and permissions of one server. Sizes are bytes, times seconds.

    ``hosts`` are names that the Host header may carry besides the address itself; ``origins`` are pages elsewhere
    that may call the API (CORS), none by default. ``rate`` is requests a second per caller, None for no limit.
    ``paths`` lets an admin add a folder of the server by its path,
    ``urls`` a reader search by a public address. ``runs`` is the folder of `sosie evaluate` whose reports are shown.
    ``public_url`` is where a proxy shows the server; ``trusted_proxies`` are addresses and networks whose
    ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed: on loopback this machine's own where none is given.
    ``drain`` is how long readiness is withdrawn before the port closes, so that balancers have seen it.
    ``no_keys`` answers without keys although the library had some once; it has none now, and this machine alone can
    reach the server. ``guards`` is for tests.
    """

    host: str = "127.0.0.1"
    port: int = 6868
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = 64 * MIB
    max_headers: int = 100
    max_header_bytes: int = 16 * 1024
    head_timeout: float = 10.0
    idle_timeout: float = 10.0
    body_timeout: float = 120.0
    keep_alive: float = 15.0
    send_timeout: float = 20.0
    max_connections: int = 512
    connections_each: int = 256
    streams_each: int = 16
    max_streams: int = 128
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    rate: float | None = None
    burst: int = 400
    workers: int = 4
    waiting: int = 64
    waiting_jobs: int = 16
    paths: bool = True
    urls: bool = True
    kept_queries: int = 256
    runs: Path | None = None
    no_keys: bool = False
    access_log: LogFormat = LogFormat.OFF
    drain: float = 0.0
    guards: frozenset[Guard] = frozenset(Guard)

    def __post_init__(self) -> None:
        if self.workers < 1 or self.waiting < 0 or self.max_connections < 1 or self.burst < 1:
            raise SettingsError(
                "workers, max_connections and burst are at least 1, waiting at least 0: change these settings"
            )
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port {self.port} is not between 0 and 65535: choose another")

        if self.access_log not in tuple(LogFormat):
            raise SettingsError(f"the access log is text, json or off, not {self.access_log!r}")
        object.__setattr__(self, "access_log", LogFormat(self.access_log))  # from a flag or a file it comes as text
        for origin in self.origins:
            _check_origin(origin)
        self._check_public_url()
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise SettingsError(f"{proxy!r} is no address or network of a proxy: write 10.0.0.0/8") from None

    def _check_public_url(self) -> None:
        parts = urlsplit(self.public_url or "https://localhost")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise SettingsError(f"{self.public_url!r} is no address of a server: write https://pictures.example.org")

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The names that a Host header may carry, lower case, without the port."""
        public = {urlsplit(self.public_url).hostname or ""} if self.public_url else set()
        return self.own_hosts | public | frozenset(name.lower() for name in self.hosts)

    @property
    def own_hosts(self) -> frozenset[str]:
        """The names of the address that the server listens on."""
        return LOCAL_NAMES if is_loopback(self.host) else frozenset({self.host.lower()})

    @property
    def own_origins(self) -> frozenset[str]:
        """The origin at which a proxy shows the server's own page."""
        return frozenset({self.public_url.rstrip("/").lower()} if self.public_url else ())

    @property
    def proxies(self) -> tuple[str, ...]:
        """The proxies that are believed."""
        return self.trusted_proxies or (("127.0.0.1", "::1") if is_loopback(self.host) else ())


def _check_origin(origin: str) -> None:
    """Raise SettingsError for what no browser sends as an origin, and what would let in nobody, without a word."""
    parts = urlsplit(origin)
    whole = f"{parts.scheme}://{parts.netloc}"
    if "*" in origin:
        raise SettingsError(
            f"the origin {origin!r} stands for many pages: name each that may call, https://example.org"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or origin != whole.lower():
        raise SettingsError(
            f"{origin!r} is no origin as browsers send it: write scheme, name and port in lower case and nothing "
            "after them, https://example.org"
        )


def is_loopback(host: str) -> bool:
    """Say whether an address to bind to can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
