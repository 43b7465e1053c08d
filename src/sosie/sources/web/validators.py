"""Remember what servers said of a picture's version, so that an unchanged one is not sent again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

__all__ = ["Validators"]

_MAX_LENGTH = 1_000  # characters of an ETag


class Validators:
    """ETag and Last-Modified by URL, in a file of JSON lines that is only ever added to.

    Losing the file, or its last line in a crash, costs a download and nothing else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()

    @cached_property
    def _known(self) -> dict[str, tuple[str, str]]:
        known: dict[str, tuple[str, str]] = {}
        if not self._path.exists():
            return known
        with self._path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    url, etag, modified = json.loads(line)
                except (ValueError, TypeError):
                    continue
                known[str(url)] = (str(etag), str(modified))
        return known

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers that make a server say 304 where nothing has changed."""
        etag, modified = self._known.get(url, ("", ""))
        headers = {"If-None-Match": etag, "If-Modified-Since": modified}
        return {name: value for name, value in headers.items() if value}

    def remember(self, url: str, headers: Mapping[str, str]) -> None:
        """Store what a response says of its version."""
        found = (headers.get("ETag", ""), headers.get("Last-Modified", ""))
        if not any(found) or max(map(len, found)) > _MAX_LENGTH or self._known.get(url) == found:
            return
        with self._lock:
            self._known[url] = found
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([url, *found]) + "\n")
