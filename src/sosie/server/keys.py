"""API keys: created once, shown once, kept as hashes in ``LIBRARY/keys.json``.

A key is ``sosie_<id>_<secret>`` with 256 random bits of secret, so a plain SHA-256 of it is enough to keep: there is
nothing to guess. The file is read again when it changes, so a revoked key stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from sosie.errors import DamagedError, NotFound, UsageError

__all__ = ["Key", "KeyStore", "Scope"]


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


class KeyStore:
    """The keys of one library. Constructing it reads nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def list(self) -> tuple[Key, ...]:
        """Return the keys, oldest first; raise DamagedError where the file cannot be understood."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
            return ()
        stamp = (found.st_mtime_ns, found.st_ino)
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
            rows = json.loads(self._path.read_bytes())["keys"]
            return tuple(Key(**{**row, "scope": Scope(row["scope"])}) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{self._path} is damaged: remove it and create new keys") from error

    def _write(self, keys: Iterable[Key]) -> None:
        rows = {"keys": [asdict(key) for key in keys]}
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(rows, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
