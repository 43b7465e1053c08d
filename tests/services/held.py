"""A server that holds its answers, so that a test decides what happens in the middle of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sosie.contracts import Source
from sosie.sources import SourceOptions, open_source
from sosie.testing.servers import PictureServer, Seen
from tests.pictures import jpeg


class HeldServer:
    """Serves pictures, and from the ``free``-th request on holds every answer until it is told to let go."""

    def __init__(self, server: PictureServer, count: int, free: int) -> None:
        self._server, self.count, self._free = server, count, free
        self._gate = threading.Event()
        for at in range(count):
            server.pages[f"/{at:05d}.jpg"] = self._page(jpeg(at))

    def _page(self, data: bytes) -> Callable[[Seen], bytes]:
        def answer(_: Seen) -> bytes:
            if len(self._server.seen) > self._free:
                self._gate.wait(240)
            return data

        return answer

    def holds(self, requests: int) -> bool:
        """Tell whether so many requests wait for their answer."""
        return len(self._server.seen) >= self._free + requests

    def let_go(self) -> None:
        self._gate.set()

    def source(self, folder: Path) -> Source:
        """Write a list of the pictures into a folder, and open it."""
        return open_source(str(self.write_list(folder)), SourceOptions(allow_private=True))

    def write_list(self, folder: Path) -> Path:
        """Write a list of the pictures into a folder."""
        path = folder / "list.txt"
        path.write_text("".join(f"{self._server.url}/{at:05d}.jpg\n" for at in range(self.count)))
        return path
