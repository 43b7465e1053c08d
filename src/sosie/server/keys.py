"""API keys: created once, shown once, kept as hashes in ``LIBRARY/keys.json``, or with a library on a cluster.

A key is ``sosie_<id>_<secret>`` with 256 random bits of secret, so a plain SHA-256 of it is enough to keep: there is
nothing to guess. The file is read again when it changes, so a revoked key stops working at once; on a cluster, where
several servers share the keys, within five seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sosie.errors import DamagedError, NotFound, UsageError

if TYPE_CHECKING:
    from sosie.library import Library

__all__ = ["Key", "KeyStore", "Scope", "keys_of"]


_RECORD = "server/keys"
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
    """Where keys are kept: ``stamp`` changes when ``read`` might give something else."""

    def stamp(self) -> object: ...

    def read(self) -> Mapping[str, Any]: ...

    def write(self, rows: Mapping[str, Any]) -> None: ...


class KeyStore:
    """The keys of one library. Constructing it reads nothing."""

    def __init__(self, place: Path | _Place) -> None:
        self._place = _File(place) if isinstance(place, Path) else place
        self._stamp: object = None
        self._keys: tuple[Key, ...] = ()

    def list(self) -> tuple[Key, ...]:
        """Return the keys, oldest first; raise DamagedError where they cannot be understood."""
        stamp = self._place.stamp()
        if stamp != self._stamp:
            self._keys, self._stamp = self._read(), stamp
        return self._keys

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """Add a key; return what is kept of it, and the key itself, which cannot be shown again."""
        if not name.strip() or len(name) > 100:
            raise UsageError("a key needs a name of 1 to 100 characters: say who will use it")
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        token = f"sosie_{key_id}_{secret}"
        key = Key(key_id, name.strip(), scope, _digest(token), time.time())
        self._write((*self.list(), key))
        return key, token

    def revoke(self, key_id: str) -> Key:
        """Remove a key by its id; raise NotFound where there is none."""
        keys = self.list()
        gone = next((key for key in keys if key.id == key_id), None)
        if gone is None:
            raise NotFound(f"no key has the id {key_id!r}: see `sosie keys list`")
        self._write(key for key in keys if key.id != key_id)
        return gone

    def find(self, token: str) -> Key | None:
        """Return the key that ``token`` is, in a time that does not depend on how much of it is right."""
        digest = _digest(token)
        matches = [key for key in self.list() if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None

    def _read(self) -> tuple[Key, ...]:
        try:
            rows = self._place.read()["keys"]
            return tuple(Key(**{**row, "scope": Scope(row["scope"])}) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{self._place} is damaged: remove it and create new keys") from error

    def _write(self, keys: Iterable[Key]) -> None:
        self._place.write({"keys": [asdict(key) for key in keys]})
        self._stamp = None


class _File:
    """Keys in a file that its owner alone may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def stamp(self) -> object:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        return found.st_mtime_ns, found.st_ino

    def read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._path.read_bytes()) if self._path.exists() else _NONE
        return found

    def write(self, rows: Mapping[str, Any]) -> None:
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(rows, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


class _Record:
    """Keys among the records of a library on a cluster."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def __str__(self) -> str:
        return f"the record {_RECORD!r}"

    def stamp(self) -> object:
        return int(time.monotonic() / _FRESH)

    def read(self) -> Mapping[str, Any]:
        return self._library.catalogue.record(_RECORD) or _NONE

    def write(self, rows: Mapping[str, Any]) -> None:
        self._library.catalogue.put_record(_RECORD, rows)


def keys_of(library: Library) -> KeyStore:
    """Return the keys of a library, wherever it lies."""
    return KeyStore(_Record(library) if library.on_cluster else library.path / "keys.json")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
