"""A wire between a client and a server that a test can cut, or that loses an answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards connections to a port of this machine. ``cut`` drops them all and refuses new ones until ``mend``.

    ``lose(marker)`` drops the next connection whose request holds ``marker``, once the server has answered it.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._lost: bytes | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.losses = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            lose = threading.Event()
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, lose, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, lose: threading.Event, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not answers and self._lost is not None and self._lost in data:
                    self._lost = None
                    lose.set()
                if answers and lose.is_set():
                    self.losses += 1
                    break
                self._flowing.wait()
                sink.sendall(data)
        for each in (source, sink):
            self._drop(each)

    def _drop(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            self._drop(each)

    def mend(self) -> None:
        """Take connections again."""
        self._listener = self._listen(self.port)

    def freeze(self) -> None:
        """Keep connections and take new ones, but let nothing through until ``thaw``."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def lose(self, marker: bytes) -> None:
        """Lose the answer to the next request that holds ``marker``."""
        self._lost = marker


@contextlib.contextmanager
def wire(port: int) -> Iterator[Proxy]:
    """Lay a wire to a port of this machine."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.thaw()
        proxy.cut()
