"""What a server writes to its log: a line for each request, and errors with their time, request and traceback.

Lines are JSON or text. A line for a request is written by a thread: a terminal that is stopped, a pipe that nobody
reads or a disk that is full holds up no request; what cannot be written is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from sosie.present.text import visible
from sosie.server.config import LogFormat

__all__ = ["AccessLog", "Answered", "configure_logging"]

_LOGGERS = ("sosie", "uvicorn")
_MOST = 20_000  # lines that wait to be written
_EVERY = 0.2  # seconds: a thread that woke up for every line would take the interpreter from those who answer


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered. Of its address only the route is told: the rest may hold what is secret."""

    at: float
    request_id: str
    method: str
    route: str
    status: int
    ms: float
    bytes: int
    client: str
    key: str

    def line(self, form: LogFormat) -> str:
        """Return the line for the log."""
        if form is LogFormat.JSON:
            told = {name: getattr(self, name) for name in self.__slots__ if name != "at"}
            return json.dumps({"time": _time(self.at), "event": "request", **told, "ms": round(self.ms, 2)}) + "\n"
        who = f"{self.client or '-'} {visible(self.key) or '-'}"
        what = f"{self.method} {self.route} {self.status} {self.ms:.1f}ms {self.bytes}B"
        return f"{_time(self.at)} {who} {what} {self.request_id}\n"


class AccessLog:
    """Write a line for each request, a moment after it was answered. Thread-safe; starts with the first line."""

    def __init__(self, form: LogFormat, stream: TextIO | None = None) -> None:
        self._form, self._stream = form, stream
        self._waiting: deque[Answered] = deque()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self.dropped = 0

    def write(self, entry: Answered) -> None:
        """Have a line written; one too many is dropped and counted."""
        if self._form is LogFormat.OFF:
            return
        if len(self._waiting) >= _MOST:
            self.dropped += 1
            return
        self._waiting.append(entry)
        if self._writer is None:
            self._writer = threading.Thread(target=self._run, name="sosie-access-log", daemon=True)
            self._writer.start()

    def close(self) -> None:
        """Write what waits; give up after a second where it cannot be written."""
        self._closing.set()
        if self._writer is not None:
            self._writer.join(1)

    def _run(self) -> None:
        while not self._closing.wait(_EVERY):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not entries:
            return
        stream = self._stream or sys.stderr
        try:
            stream.write("".join(entry.line(self._form) for entry in entries))
            stream.flush()
        except (OSError, ValueError):  # the disk is full, or the stream is closed
            self.dropped += len(entries)


class _Lines(logging.Formatter):
    """Records of Python's logging as lines of the same two forms."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(message)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows it, or is a field of it."""
        told: dict[str, Any] = {"time": _time(record.created), "level": record.levelname.lower(), "logger": record.name}
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            return json.dumps({**told, "event": record.getMessage(), **({"traceback": trace} if trace else {})})
        line = f"{told['time']} {record.levelname} {record.name}: {record.getMessage()}"
        return f"{line}\n{trace}" if trace else line


def configure_logging(form: LogFormat) -> None:
    """Write warnings and errors to stderr, with their time; only what serves the process may call this."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(as_json=form is LogFormat.JSON))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
