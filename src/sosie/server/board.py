"""What the servers of one library share: small notes, in memory where there is one server, else on the cluster.

So a server keeps nothing of its own: any of them knows the sessions, jobs and uploads of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sosie.library import Library

__all__ = ["Board", "MemoryBoard", "board_of"]


@runtime_checkable
class Board(Protocol):
    """Notes by sort and name; a value is plain JSON. Thread-safe. Calls raise ServiceAway where a cluster is away."""

    def post(self, what: str, name: str, value: Any) -> None:
        """Leave a note, in the place of one of that name."""
        ...

    def read(self, what: str, names: Iterable[str]) -> dict[str, Any]:
        """Return those of some notes that are there, by name, as they are now."""
        ...

    def posted(self, what: str) -> dict[str, float]:
        """Return the names of all notes of a sort with when each was left (seconds since 1970), oldest first."""
        ...

    def take_down(self, what: str, names: Iterable[str]) -> None:
        """Remove notes; those that are not there are as good as removed."""
        ...


class MemoryBoard:
    """Notes of a single server."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], tuple[float, Any]] = {}
        self._lock = Lock()

    def post(self, what: str, name: str, value: Any) -> None:
        """Leave a note, in the place of one of that name."""
        with self._lock:
            self._notes.pop((what, name), None)  # so that the newest are last
            self._notes[what, name] = time.time(), value

    def read(self, what: str, names: Iterable[str]) -> dict[str, Any]:
        """Return those of some notes that are there, by name."""
        with self._lock:
            return {name: self._notes[what, name][1] for name in names if (what, name) in self._notes}

    def posted(self, what: str) -> dict[str, float]:
        """Return the names of all notes of a sort with when each was left, oldest first."""
        with self._lock:
            return {name: at for (sort, name), (at, _) in self._notes.items() if sort == what}

    def take_down(self, what: str, names: Iterable[str]) -> None:
        """Remove notes."""
        with self._lock:
            for name in names:
                self._notes.pop((what, name), None)


def board_of(library: Library) -> Board | None:
    """Return where the servers of a library meet: its cluster; None for a library in a folder, which has one server.

    A server that may not write shares nothing; a balancer then has to keep a browser with its server.
    """
    catalogue = library.catalogue
    return catalogue if isinstance(catalogue, Board) and not catalogue.read_only else None
