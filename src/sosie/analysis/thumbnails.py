"""Where thumbnails are kept: in a library's folder, or in an object store that all servers of a cluster read.

They are named after the SHA-256 of their picture and can be made again at any time, so nothing here is ever missed.
"""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sosie import files
from sosie.errors import UsageError
from sosie.extras import missing

__all__ = ["FolderThumbnails", "StoredThumbnails", "Thumbnails", "thumbnails_at"]

_NAME = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 20  # of one thumbnail; they have some 13 kB
_EXTRAS = {"gs": "gcs", "gcs": "gcs"}


class Thumbnails(Protocol):
    """JPEGs by the SHA-256 (hex) of the picture that they show. Thread-safe."""

    def get(self, sha256: str) -> bytes | None:
        """Return a thumbnail where one is kept."""
        ...

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail."""
        ...

    def drop(self, sha256: str) -> None:
        """Forget a thumbnail."""
        ...


class FolderThumbnails:
    """Thumbnails below a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, sha256: str) -> bytes | None:
        """Return a thumbnail where one is kept."""
        path = self._folder / _below(sha256)
        return path.read_bytes() if path.exists() else None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail; a reader meets all of it or nothing."""
        path = self._folder / _below(sha256)
        files.make_folder(path.parent)
        files.write(path, data)

    def drop(self, sha256: str) -> None:
        """Forget a thumbnail."""
        files.remove(self._folder / _below(sha256))


class StoredThumbnails:
    """Thumbnails in an object store, given by a URL of fsspec: ``s3://bucket/prefix``, ``file:///mnt/shared``.

    A store that is away, or holds something else under a name, costs no answer: the thumbnail is made once more, and a
    warning says so. Credentials are those that the store's own library finds.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._scheme, mark, path = url.partition("://")
        if not mark:
            raise UsageError(f"thumbnails are kept at a URL such as s3://bucket/prefix, not {url!r}")
        self._path = path.rstrip("/")

    def get(self, sha256: str) -> bytes | None:
        """Return a thumbnail where a sound one is kept."""
        name, store = self._at(sha256), self._store
        try:
            with store.open(name, "rb") as file:
                data = bytes(file.read(_MOST_BYTES + 1))
        except FileNotFoundError:
            return None
        except Exception as error:  # every store has its own errors
            self._away(error)
            return None
        whole = data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")  # another server may be writing it
        return data if whole and len(data) <= _MOST_BYTES else None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail."""
        name, store = self._at(sha256), self._store
        try:
            store.makedirs(name.rpartition("/")[0], exist_ok=True)
            store.pipe_file(name, data)
        except Exception as error:
            self._away(error)

    def drop(self, sha256: str) -> None:
        """Forget a thumbnail."""
        name, store = self._at(sha256), self._store
        try:
            store.rm_file(name)
        except FileNotFoundError:
            return
        except Exception as error:
            self._away(error)

    def _at(self, sha256: str) -> str:
        return f"{self._path}/{_below(sha256)}"

    def _away(self, error: Exception) -> None:
        warnings.warn(f"thumbnails at {self._url}: {' '.join(str(error).split())[:200]}", stacklevel=3)

    @cached_property
    def _store(self) -> Any:
        try:
            import fsspec

            return fsspec.filesystem(self._scheme)
        except ImportError as error:
            extra = _EXTRAS.get(self._scheme, "s3")
            raise missing(f"thumbnails at {self._scheme}:// need", extra) from error
        except ValueError as error:
            raise UsageError(f"thumbnails cannot be kept at {self._url}: {error}") from error


def _below(sha256: str) -> str:
    """Return a thumbnail's name; raise ValueError for what is no digest, and so might lead elsewhere."""
    if not _NAME.fullmatch(sha256):
        raise ValueError(f"no SHA-256: {sha256!r}")
    return f"{sha256[:2]}/{sha256}.jpg"


def thumbnails_at(folder: Path, url: str | None) -> Thumbnails:
    """Return the thumbnails in an object store, where there is a URL of one, else those in a folder."""
    return StoredThumbnails(url) if url else FolderThumbnails(folder)
