"""Pictures in an object store, through fsspec: ``s3://bucket/prefix``, ``gs://bucket/prefix``."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from sosie.errors import BadPicture, SourceUnreachable
from sosie.extras import missing
from sosie.sources.files import MAX_FILE_BYTES
from sosie.sources.left_out import Tally
from sosie.sources.names import Patterns, folder_label, has_picture_suffix
from sosie.sources.options import SourceOptions
from sosie.sources.stamps import nanoseconds
from sosie.types import ImageRef, LeftOut

__all__ = ["ObjectStoreSource"]

_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}


class ObjectStoreSource:
    """Iterates the pictures below a prefix, in the order of their names, a folder at a time.

    Size, time and ETag tell whether an object has changed. Credentials are those that the store's own library
    finds.
    """

    def __init__(
        self,
        url: str,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        label_from_folders: bool = False,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._scheme, _, path = url.partition("://")
        self._path = path.strip("/")
        self._patterns = Patterns(tuple(include), tuple(exclude))
        self._label_from_folders = label_from_folders
        self._max_bytes = max_bytes
        self._store: Any = None
        self._tally = Tally()

    @classmethod
    def from_options(cls, spec: str, options: SourceOptions) -> ObjectStoreSource:
        options.only("an object store", "include", "exclude", "label_from_folders")
        return cls(
            spec,
            include=options.include,
            exclude=options.exclude,
            label_from_folders=options.label_from_folders,
        )

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the last iteration took for no pictures, by ending, or did not want, by pattern."""
        return self._tally.result()

    @property
    def root(self) -> str:
        return f"{self._scheme}://{quote(self._path, safe='/')}/"

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; raise SourceUnreachable, MissingExtra."""
        self._tally = Tally()
        store = self._open()
        try:
            # A directory listing that was kept would hide what is new.
            store.invalidate_cache()
            if not store.exists(self._path):
                raise SourceUnreachable(f"{self.root} is not there; check bucket and prefix")
            for _, _, files in store.walk(self._path, detail=True, topdown=True):
                yield from self._refs(files)
        except SourceUnreachable:
            raise
        except Exception as error:  # every store has its own errors
            raise SourceUnreachable(f"{self.root} cannot be listed ({error}); check credentials and network") from error

    def read(self, ref: ImageRef) -> bytes:
        path = unquote(ref.uri.partition("://")[2])
        try:
            with self._open().open(path, "rb") as file:
                data = bytes(file.read(self._max_bytes + 1))
        except FileNotFoundError as error:
            raise BadPicture("missing", str(error)) from error
        except PermissionError as error:
            raise BadPicture("unreadable", str(error)) from error
        if len(data) > self._max_bytes:
            raise BadPicture("too_large", f"more than {self._max_bytes} bytes")
        if not data:
            raise BadPicture("empty", "0 bytes")
        return data

    def refuses(self, ref: ImageRef) -> BadPicture | None:
        """Allow every picture to be read by its URI."""
        return None

    def _refs(self, files: dict[str, dict[str, Any]]) -> Iterator[ImageRef]:
        for name in sorted(files):
            info = files[name]
            path = str(info["name"]).lstrip("/")
            below = path[len(self._path) :].lstrip("/")
            uri = f"{self._scheme}://{quote(path, safe='/')}"
            if name.startswith(".") or not self._is_candidate(name, below, uri):
                continue
            labels = folder_label(posixpath.normpath(below).encode()) if self._label_from_folders else {}
            yield ImageRef(uri, labels, info.get("size"), _time_of(info), _tag_of(info))

    def _is_candidate(self, name: str, below: str, uri: str) -> bool:
        if not has_picture_suffix(name.encode()):
            self._tally.add_file(name.encode(), lambda: uri)
            return False
        wanted = self._patterns.wants(below)
        if not wanted:
            self._tally.add("pattern", lambda: uri)
        return wanted

    def _open(self) -> Any:
        if self._store is None:
            extra = _EXTRAS.get(self._scheme, "s3")
            try:
                import fsspec

                self._store = fsspec.filesystem(self._scheme)
            except ImportError as error:
                raise missing(f"{self._scheme}:// needs", extra) from error
        return self._store


def _time_of(info: dict[str, Any]) -> int | None:
    for name in ("LastModified", "updated", "mtime", "created"):
        value = info.get(name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            value = _seconds(value)
        if isinstance(value, int | float):
            return nanoseconds(value)
    return None


def _seconds(moment: datetime) -> float | None:
    try:
        return moment.timestamp()
    except (OverflowError, ValueError, OSError):  # a year that the clock of this machine does not know
        return None


def _tag_of(info: dict[str, Any]) -> int | None:
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    try:
        return int(tag[:15], 16)
    except ValueError:
        return None
