"""API keys: created once, shown once, kept as hashes in ``LIBRARY/keys.json``, or with a library on a cluster.

A key is ``sosie_<id>_<secret>`` with 256 random bits of secret, so a plain SHA-256 of it is enough to keep: there is
nothing to guess. The file is read again when it changes, so a revoked key stops working at once; on a cluster, where
several servers share the keys, within five seconds.

A library that ever had a key is closed for good: the catalogue remembers it, so that callers without a key are refused
when the last one is revoked, and when the file is lost, emptied or damaged.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sosie import files
from sosie.errors import DamagedError, LibraryBusy, LibraryReadOnly, NotFound, UsageError
from sosie.server.board import Board

if TYPE_CHECKING:
    from sosie.catalogue import Store
    from sosie.library import Library

__all__ = ["Key", "KeyStore", "Scope", "keys_of"]


_RECORD = "server/keys"
_MADE = "server/keys_made"  # a record of every store: there was a key once
_DAMAGED = "{} is damaged: restore it, or remove it and make new keys with `sosie keys create NAME`"
_DIGEST = 64  # hexadecimal digits of a SHA-256
_FRESH = 5.0  # seconds for which keys that were read from a cluster count
_NONE: Mapping[str, Any] = {"keys": []}


class Scope(StrEnum):
    """What a key may do; each one includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: enough to recognise it, nothing to use it with."""

    id: str
    name: str
    scope: Scope
    sha256: str
    created_at: float


class _Place(Protocol):
    """Where keys are kept: ``stamp`` changes when ``read`` or ``closed`` might give something else."""

    def stamp(self) -> object: ...

    def closed(self) -> bool:
        """Tell whether there ever was a key here."""
        ...

    def close(self) -> None:
        """Remember that there was a key."""
        ...

    def read(self) -> Any: ...

    def update(self, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Put ``change`` of what is kept in its place; it may be called again where another process was faster."""
        ...


class KeyStore:
    """The keys of one library. Constructing it reads nothing.

    ``reopen`` forgets that there were keys once; one that is there, or is made later, closes the store all the same.
    """

    def __init__(self, place: Path | _Place, *, reopen: bool = False) -> None:
        self._place: _Place = _File(place) if isinstance(place, Path) else place
        self._stamp: object = None
        self._keys: tuple[Key, ...] = ()
        self._reopen = reopen
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether callers need a key; once true it stays so. Raises DamagedError where the keys cannot be read."""
        if not self._closed:
            self.list()
        return self._closed

    def list(self) -> tuple[Key, ...]:
        """Return the keys, oldest first; raise DamagedError where they cannot be understood."""
        stamp = self._place.stamp()
        if stamp != self._stamp:
            self._keys = self._read()
            self._closed = self._closed or bool(self._keys) or (not self._reopen and self._place.closed())
            self._stamp = stamp
        return self._keys

    def remember(self) -> None:
        """Let the library remember that it has keys, as one of an older version does not yet."""
        if self.list():
            with suppress(LibraryBusy, LibraryReadOnly):  # what is kept of the keys closes it meanwhile
                self._place.close()

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """Add a key; return what is kept of it, and the key itself, which cannot be shown again."""
        if not name.strip() or len(name) > 100:
            raise UsageError("a key needs a name of 1 to 100 characters: say who will use it")
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        token = f"sosie_{key_id}_{secret}"
        key = Key(key_id, name.strip(), scope, _digest(token), time.time())
        self._update(lambda keys: (*(one for one in keys if one.id != key.id), key))
        self.remember()
        return key, token

    def revoke(self, key_id: str) -> Key:
        """Remove a key by its id; raise NotFound where there is none."""
        self.remember()
        gone = next((key for key in self.list() if key.id == key_id), None)
        if gone is None:
            raise NotFound(f"no key has the id {key_id!r}: see `sosie keys list`")
        self._update(lambda keys: (key for key in keys if key.id != key_id))
        return gone

    def find(self, token: str) -> Key | None:
        """Return the key that ``token`` is, in a time that does not depend on how much of it is right."""
        digest = _digest(token)
        matches = [key for key in self.list() if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None

    def _read(self) -> tuple[Key, ...]:
        return self._understood(self._place.read())

    def _understood(self, document: Any) -> tuple[Key, ...]:
        try:
            return tuple(_key(row) for row in _rows(document))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(_DAMAGED.format(self._place)) from error

    def _update(self, change: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
        self._place.update(lambda known: {"keys": [asdict(key) for key in change(self._understood(known))]})
        self._stamp = None


class _File:
    """Keys in a file that its owner alone may read; ``catalogue`` remembers that there were any."""

    def __init__(self, path: Path, catalogue: Store | None = None) -> None:
        self._path = path
        self._catalogue = catalogue

    def __str__(self) -> str:
        return str(self._path)

    def stamp(self) -> object:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._catalogue and self._catalogue.epoch()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def closed(self) -> bool:
        return self._path.exists() or _remembered(self._catalogue)

    def close(self) -> None:
        if self._catalogue is not None:
            _remember(self._catalogue)

    def read(self) -> Any:
        try:
            return json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return _NONE
        except ValueError as error:
            raise DamagedError(_DAMAGED.format(self)) from error
        except OSError as error:
            raise DamagedError(f"{self._path} cannot be read ({error.strerror}): check its owner") from error

    def update(self, change: Callable[[Any], Mapping[str, Any]]) -> None:
        import filelock  # only who changes keys needs it

        with filelock.FileLock(self._path.with_suffix(".lock"), mode=0o600):
            files.write_json(self._path, change(self.read()), mode=0o600)


class _Record:
    """Keys among the records of a library on a cluster."""

    def __init__(self, library: Library) -> None:
        self._catalogue = library.catalogue

    def __str__(self) -> str:
        return f"the record {_RECORD!r}"

    def stamp(self) -> object:
        return int(time.monotonic() / _FRESH)

    def closed(self) -> bool:
        return self._catalogue.record(_RECORD) is not None or _remembered(self._catalogue)

    def close(self) -> None:
        _remember(self._catalogue)

    def read(self) -> Any:
        rows = self._catalogue.record(_RECORD)
        return _NONE if rows is None else rows

    def update(self, change: Callable[[Any], Mapping[str, Any]]) -> None:
        self._catalogue.update_record(_RECORD, lambda known: change(_NONE if known is None else known))


def keys_of(library: Library, *, reopen: bool = False) -> KeyStore:
    """Return the keys of a library, wherever it lies."""
    shared = isinstance(library.catalogue, Board)  # by several servers, which may have no folder in common
    place = _Record(library) if shared else _File(library.path / "keys.json", library.catalogue)
    return KeyStore(place, reopen=reopen)


def _remembered(catalogue: Store | None) -> bool:
    return catalogue is not None and catalogue.record(_MADE) is not None


def _remember(catalogue: Store) -> None:
    if not _remembered(catalogue):
        catalogue.put_record(_MADE, {"at": time.time()})


def _rows(document: Any) -> list[Any]:
    """Return the rows of a document of keys; raise TypeError, KeyError where it is none."""
    rows = document["keys"]
    if not isinstance(rows, list):
        raise TypeError("no list of keys")
    return rows


def _key(row: Mapping[str, Any]) -> Key:
    key = Key(**{**row, "scope": Scope(row["scope"])})
    if not (isinstance(key.id, str) and isinstance(key.sha256, str) and len(key.sha256) == _DIGEST):
        raise ValueError("no digest of a key")
    return key


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
