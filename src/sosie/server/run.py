"""Run the server: uvicorn with our connection bounds, told to close in good order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from sosie.errors import UsageError
from sosie.server.app import create_app
from sosie.server.config import ServerSettings, is_loopback
from sosie.server.keys import keys_of
from sosie.server.logs import configure_logging
from sosie.server.protocol import protocol_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sosie.library import Library
    from sosie.server.state import State

__all__ = ["Server", "check_exposure", "listen", "make_server", "serve"]

_LOG = logging.getLogger("sosie.server")
_WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - recognised in order to be refused
_GRACE = 10


class Server(uvicorn.Server):
    """uvicorn's server, which withdraws its readiness before it stops, and lets streams end when it does."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._closing, self._draining, self._drain = state.closing, state.draining, state.settings.drain
        self._ends: tuple[float, int] | None = None  # when, and by which signal

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Withdraw readiness, and stop once balancers had the time to see it; at a second signal at once."""
        if self._drain > 0 and self._ends is None:
            self._ends = time.monotonic() + self._drain, sig
            self._draining.set()
            return
        self._closing.set()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Stop when readiness has been withdrawn for long enough."""
        if self._ends is not None and not self.should_exit and time.monotonic() >= self._ends[0]:
            self.handle_exit(self._ends[1], None)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then the connections."""
        self._closing.set()
        await super().shutdown(sockets)


def make_server(app: FastAPI, settings: ServerSettings) -> Server:
    """Return a server for an app made by ``create_app``; nothing listens yet."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_of(settings),
        ws="none",
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_keep_alive=int(settings.keep_alive),
        timeout_graceful_shutdown=_GRACE,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    return Server(config, app.state.sosie)


def check_exposure(library: Library, settings: ServerSettings) -> None:
    """Raise UsageError where the server could be reached from elsewhere without a key, or by no name, or by nobody.

    Raises DamagedError where the keys cannot be read.
    """
    _check_keys(library, settings)
    if settings.host in _WILDCARDS and not settings.hosts and not settings.public_url:
        raise UsageError(f"{settings.host or 'every address'} needs the names that it goes by: add --allow-host NAME")


def _check_keys(library: Library, settings: ServerSettings) -> None:
    keys = keys_of(library)
    if keys.list() and settings.no_keys:
        raise UsageError("the library has keys: revoke them, or leave out --no-keys")
    if keys.list():
        keys.remember()
        return
    if not is_loopback(settings.host):
        raise UsageError(
            f"{settings.host} can be reached from other machines, and the library has no key: "
            "make one with `sosie keys create NAME`, or serve on 127.0.0.1"
        )
    if strangers := settings.allowed_hosts - settings.own_hosts:
        _LOG.warning(
            "the library has no key: requests to %s, or through a proxy from elsewhere, are refused until "
            "`sosie keys create NAME` makes one",
            ", ".join(sorted(strangers)),
        )
    if keys.closed and not settings.no_keys:
        raise UsageError(
            "the library had keys and none is left: make one with `sosie keys create NAME`, "
            "or let this machine in without one by --no-keys"
        )


def serve(
    library: Library, *, settings: ServerSettings | None = None, announce: Callable[[str], None] = lambda _: None
) -> None:
    """Serve a library until SIGINT or SIGTERM; ``announce`` is told the address once it can be opened.

    Raises UsageError where that would not be safe, or the port is taken.
    """
    settings = settings or ServerSettings()
    configure_logging(settings.access_log)
    check_exposure(library, settings)
    app = create_app(library, settings=settings)
    server = make_server(app, settings)
    with listen(settings) as listener:
        # The socket listens already: who connects now is answered as soon as the app is up.
        announce(_address(settings.host, listener.getsockname()[1]))
        with _outliving_signals():
            server.run(sockets=[listener])


@contextlib.contextmanager
def _outliving_signals() -> Iterator[None]:
    """Go on after SIGINT and SIGTERM: uvicorn closes in good order and raises them anew; the library is still open."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, lambda *_: None) if here else None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        if here:
            signal.signal(signal.SIGTERM, before)


def _address(host: str, port: int) -> str:
    name = "localhost" if is_loopback(host) else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def listen(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens where the settings say; raise UsageError where that is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off for what is accepted; else answers wait 40 ms for an
    # acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): choose another with --port"
        ) from error
    listener.listen(512)
    return listener
