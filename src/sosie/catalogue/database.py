"""The SQLite file itself: connections, the writer's lock, transactions, and foreign errors made ours."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sosie import files
from sosie.catalogue import schema
from sosie.catalogue.epochs import move_epoch
from sosie.catalogue.ids import Marker
from sosie.errors import (
    DamagedError,
    DiskFull,
    EmptyCatalogue,
    LibraryBusy,
    LibraryClosed,
    LibraryReadOnly,
    NotFound,
    SosieError,
)

__all__ = ["Database", "set_aside"]

_BUSY_MS = 10_000
_VARIABLES = 500  # of one statement; SQLite allows more


class Database:
    """One SQLite file in WAL mode: many readers that are never blocked, one writer at a time.

    Every thread has a connection of its own for reading. Writing goes through ``transaction``, which holds the
    library's lock file: the operating system frees it whatever way a process ends.
    """

    def __init__(self, path: Path, *, create: bool = True, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only or not _writable(path)
        self._local = threading.local()
        self._open: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._mutex = threading.RLock()
        self._marker = Marker(path)
        self._closed = False
        if not path.exists():
            if not create or self.read_only:
                raise NotFound(f"there is no library at {path.parent}: `sosie add FOLDER` makes one")
            with self.translated():
                _create(path)
        if not path.stat().st_size:
            raise EmptyCatalogue(
                f"{path} is empty, as a full disk or a broken copy leaves it: `sosie restore DIR` brings a backup "
                "back; without one `sosie add FOLDER` begins anew"
            )
        with self.translated():
            if self.read_only:
                self.connection()
            else:
                schema.migrate(self.connection(), str(path))

    @cached_property
    def _lock(self) -> Any:
        import filelock  # only writers need it

        return filelock.FileLock(self.path.with_name("writer.lock"), thread_local=False, mode=0o666)

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file. What comes then is refused."""
        with self._mutex:
            self._closed = True
            while self._open:
                self._open.pop()[1].close()
            self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection; raise LibraryClosed."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._closed:
                raise LibraryClosed(f"the library at {self.path.parent} was closed: open it again with sosie.open")
            with self.translated():
                connection = self._connect()
            self._local.connection = connection
            with self._mutex:
                self._close_of_ended_threads()
                self._open.append((threading.current_thread(), connection))
        return connection

    def _close_of_ended_threads(self) -> None:
        """Close what ended threads left: a server takes thousands of uploads, each with threads of its own."""
        alive = []
        for thread, connection in self._open:
            if thread.is_alive():
                alive.append((thread, connection))
            else:
                connection.close()
        self._open = alive

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                connection.close()
                raise SosieError(f"{self.path} is on a file system without shared memory: put it on a local one")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            return connection
        # a folder that cannot be written to cannot hold the shared-memory file; without a log none is needed
        log = self.path.with_name(self.path.name + "-wal")
        still = not os.access(self.path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
        uri = f"{self.path.resolve().as_uri()}?mode=ro{'&immutable=1' if still else ''}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        if (version := schema.check_version(connection, str(self.path))) < schema.VERSION:
            schema.read_older(connection, version)
        return connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one reading statement."""
        with self.translated():
            return self.connection().execute(sql, parameters).fetchall()

    def counter(self, key: str) -> int:
        """Return a number that the catalogue keeps of itself; raise DamagedError where it is lost."""
        rows = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return int(self.parsed(rows[0][0] if rows else None, key, int))

    def among(self, sql: str, before: tuple[Any, ...], ids: Sequence[int]) -> list[Any]:
        """Run a query over ``ids``, as many at a time as SQLite takes; ``{marks}`` stands for them."""
        found: list[Any] = []
        for at in range(0, len(ids), _VARIABLES):
            some = [int(i) for i in ids[at : at + _VARIABLES]]
            found += self.query(sql.replace("{marks}", ", ".join("?" * len(some))), (*before, *some))
        return found

    @contextlib.contextmanager
    def writing(self, what: str, *, wait: float = 10.0) -> Iterator[None]:
        """Hold the library's writer lock; wait for whoever has it, then say who that is (LibraryBusy)."""
        if self.read_only:
            raise LibraryReadOnly(f"{self.path.parent} cannot be written to: check its owner and permissions")
        import filelock

        try:
            with self._lock.acquire(timeout=wait):
                if self._lock.lock_counter == 1:
                    _sign(self.path.parent, what)
                yield
        except filelock.Timeout as error:
            raise LibraryBusy(
                f"{_holder(self.path.parent)} is writing to {self.path.parent}: try again later"
            ) from error

    @contextlib.contextmanager
    def transaction(
        self, what: str = "sosie", *, epoch: bool = True, wait: float = 10.0
    ) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it; ``epoch`` False where no answer depends on it."""
        with self._mutex, self.writing(what, wait=wait), self.translated():
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._marker.settle(connection)
                yield connection
                self._marker.advance(connection)
                if epoch:
                    move_epoch(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except UnicodeDecodeError as error:  # the name of a table or a column, in a message of SQLite's
            raise self.damaged(str(error)) from error
        except sqlite3.OperationalError as error:
            raise self._operational(error) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise self.damaged(str(error)) from error

    def damaged(self, why: str) -> DamagedError:
        """Return the error for a catalogue that does not hold what was written."""
        return DamagedError(
            f"{self.path} is damaged ({why}): `sosie restore DIR` brings a backup back; without one move it away "
            "and add again"
        )

    def parsed(self, text: Any, what: str, read: Callable[[Any], Any] = json.loads) -> Any:
        """Return a stored document; raise DamagedError where it is not what ``read`` takes."""
        try:
            return read(text)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise self.damaged(f"{what}: {error}") from error

    def _operational(self, error: sqlite3.OperationalError) -> SosieError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return LibraryBusy(f"{_holder(self.path.parent)} is writing to {self.path.parent}: try again later")
        if "readonly" in text:
            return LibraryReadOnly(f"{self.path} cannot be written to: check its owner and permissions")
        if "full" in text or "disk I/O" in text:
            return DiskFull(f"no room to write {self.path} ({text}): free some and run the same command again")
        return DamagedError(f"{self.path} cannot be used ({text}): check that it is a Sosie library")


def _create(path: Path) -> None:
    """Make a catalogue that appears whole, so that a file without bytes is never one that is being made."""
    draft = path.with_name(f".catalogue-{secrets.token_hex(8)}")
    try:
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            schema.migrate(connection, str(path))
        files.sync_file(draft)
        try:
            path.hardlink_to(draft)
        except FileExistsError:  # another process was faster
            return
        except OSError:  # a file system without links
            draft.replace(path)
        files.sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _writable(path: Path) -> bool:
    if path.exists():
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    return os.access(parent, os.W_OK)


def _sign(folder: Path, what: str) -> None:
    """Leave a note for those who wait: who writes, and since when."""
    note = {"pid": os.getpid(), "what": what, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):
        (folder / "writer.json").write_text(json.dumps(note), encoding="utf-8")


def _holder(folder: Path) -> str:
    try:
        note = json.loads((folder / "writer.json").read_text(encoding="utf-8"))
        return f"another process ({note['what']}, pid {note['pid']}, since {note['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def set_aside(path: Path) -> Path:
    """Give a catalogue that cannot be used, and what SQLite keeps beside it, another name; return that."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    kept = path.with_name(f"{path.name}.damaged-{moment}")
    for suffix in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.replace(path.with_name(f"{kept.name}{suffix}"))
    files.sync_folder(path.parent)
    return kept
