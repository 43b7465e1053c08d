"""A journal of what is done to files: written and on disk before each deed, so that any of them can be undone.

One JSON document a line: ``begin`` with everything that undoing needs, then ``done``, ``failed`` or ``undone`` with the
number of the deed. A line that a kill cut short is the last one, and its deed had not begun.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sosie.errors import DamagedError, NotFound

__all__ = ["Deed", "Journal", "Recorded", "journals", "read_journal"]

_FOLDER = "plans"


@dataclass(frozen=True, slots=True)
class Deed:
    """What is about to be done to the file at ``uri``, whose bytes have the digest ``sha256``.

    ``keep`` holds the same picture. ``target`` is where a moved file goes, ``draft`` what a replaced one is prepared
    under; ``mode`` and ``mtime_ns`` are the file's own. ``root`` is the source that it came to the library from.
    """

    number: int
    action: str
    uri: str
    keep: str
    sha256: str
    keep_sha256: str
    mode: int
    mtime_ns: int
    root: str
    target: str = ""
    draft: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A deed of a journal and how far it came: ``begin`` (whether it was done is not known), ``done``, …"""

    deed: Deed
    state: str


class Journal:
    """Writes one journal; every line is on disk when its call returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _sync_folder(path.parent)

    @classmethod
    def begin(cls, library: Path) -> Self:
        """Begin a journal below a library's folder."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return cls(library / _FOLDER / f"{stamp}-{time.time_ns() % 1_000_000_000:09d}.jsonl")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, deed: Deed) -> None:
        """Record a deed that is about to be done."""
        self._append({"begin": asdict(deed)})

    def mark(self, number: int, state: str) -> None:
        """Record that a deed is ``done``, ``failed`` or ``undone``."""
        self._append({state: number})

    def _append(self, document: dict[str, Any]) -> None:
        os.write(self._file, (json.dumps(document, ensure_ascii=True) + "\n").encode())
        os.fsync(self._file)


def journals(library: Path) -> list[Path]:
    """Return the journals of a library, newest first."""
    return sorted((library / _FOLDER).glob("*.jsonl"), reverse=True)


def read_journal(path: Path) -> list[Recorded]:
    """Return the deeds of a journal in their order; raise NotFound, DamagedError."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NotFound(f"there is no journal {path}: `sosie duplicates apply` writes them") from error
    deeds: dict[int, Deed] = {}
    states: dict[int, str] = {}
    for kind, value in _documents(path, lines):
        if kind == "begin":
            deed = Deed(**value)
            deeds[deed.number], states[deed.number] = deed, kind
        else:
            states[int(value)] = kind
    return [Recorded(deed, states[number]) for number, deed in deeds.items()]


def _documents(path: Path, lines: list[bytes]) -> Iterator[tuple[str, Any]]:
    for at, line in enumerate(lines, 1):
        try:
            ((kind, value),) = json.loads(line).items()
        except (ValueError, AttributeError) as error:
            if at == len(lines):  # nothing after the last line break, or what a kill cut short
                return
            raise DamagedError(f"line {at} of {path} is damaged: the deeds below it cannot be undone") from error
        yield kind, value


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
