"""Pictures that are added by their bytes: a library keeps them in its own folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sosie import files
from sosie.analysis.worker import NO_EXTRAS
from sosie.catalogue import PictureRecord, Store
from sosie.contracts import Source
from sosie.decode import DecodePool
from sosie.decode.headers import sniff
from sosie.decode.metadata import USUAL
from sosie.errors import BadPicture, LibraryReadOnly, NotFound, UnknownName, UsageError
from sosie.ingest import ingest
from sosie.maintenance.labels import labels_to_add
from sosie.models.engine import Engine
from sosie.sources.keeping import originals_of, upload_of
from sosie.sources.open import open_source
from sosie.sources.reading import read_uri
from sosie.sources.stamps import stamped
from sosie.sources.uris import uri_of_path
from sosie.types import ImageRef, LabelValue

__all__ = ["Uploads"]


class Uploads:
    """What was uploaded to one library; ``read`` gives the bytes of a picture. Thread-safe.

    ``folder`` is the library's; None for one on a cluster, which keeps no pictures.
    """

    def __init__(self, catalogue: Store, folder: Path | None, *, read: Callable[[int], bytes]) -> None:
        self._catalogue, self._folder, self._read = catalogue, folder, read
        self._locks = [threading.Lock() for _ in range(64)]  # by digest

    def add(self, data: bytes, engine: Engine, *, labels: Mapping[str, LabelValue] | None = None) -> tuple[int, str]:
        """Add one picture by its bytes; return its id and what became of it, ``indexed`` or ``known``.

        Raises LibraryReadOnly, UsageError on a cluster, and BadPicture for bytes that are no picture.
        """
        folder, labels = self._writable(), labels_to_add(labels)
        analysed = engine.queries.submit(data, NO_EXTRAS).result()
        sha256 = hashlib.sha256(data)
        path = upload_of(folder, sha256.hexdigest(), analysed["format"])
        with self._alone(sha256.hexdigest()):
            known = self._catalogue.content_id(sha256.digest())
            if known is not None and self._is_complete(known, engine):
                if labels:
                    self._catalogue.set_labels(known, labels)
                return known, "known"
            added = self._write(path, data, engine, labels=labels)
            return added, "indexed" if known is None else "known"

    @contextmanager
    def kept(self, pictures: Iterable[tuple[bytes, Mapping[str, LabelValue]]]) -> Iterator[Source]:
        """Write pictures by their bytes into the library's folder and yield them, with their labels, as a source.

        Those that the library does not know when the block ends are removed. Raises as ``add`` does.
        """
        folder = self._writable()
        with self._catalogue.writing("keeping uploads"):
            refs: dict[str, ImageRef] = {}
            new: dict[bytes, Path] = {}
            try:
                for data, labels in pictures:
                    path = upload_of(folder, hashlib.sha256(data).hexdigest(), sniff(data)[0] or "unknown")
                    if not path.exists():
                        files.make_folder(path.parent)
                        files.write(path, data)
                        new[hashlib.sha256(data).digest()] = path
                    uri = uri_of_path(path.absolute())
                    refs[uri] = replace(stamped(uri), labels={**(refs[uri].labels if uri in refs else {}), **labels})
                yield _Kept(uri_of_path(folder.absolute() / "uploads") + "/", tuple(refs.values()))
            finally:
                self._remove_unknown(new)

    def drop(self, record: PictureRecord) -> None:
        """Remove what is kept of a picture that was removed, unless it was added again meanwhile."""
        if self._folder is None:
            return
        paths = [path for path in originals_of(self._folder, record.sha256, record.format) if path.exists()]
        if not paths:
            return
        with self._alone(record.sha256):
            if self._catalogue.content_id(bytes.fromhex(record.sha256)) is None:
                _remove(paths)

    def _writable(self) -> Path:
        """Return the library's folder; raise LibraryReadOnly, UsageError where pictures cannot be kept in it."""
        if self._folder is None:
            raise UsageError(
                "a library on a cluster keeps no pictures: put it where all machines can read, and add that"
            )
        if self._catalogue.read_only:
            raise LibraryReadOnly(f"{self._folder} is open for reading only: nothing can be added to it")
        return self._folder

    def _remove_unknown(self, written: Mapping[bytes, Path]) -> None:
        known = self._catalogue.content_ids(list(written))
        _remove([path for sha256, path in written.items() if sha256 not in known])

    def _write(self, path: Path, data: bytes, engine: Engine, *, labels: Mapping[str, LabelValue] | None) -> int:
        """Write an upload and add it; what does not become a picture leaves nothing behind."""
        files.make_folder(path.parent)
        files.write(path, data)
        content_id = None
        try:
            ingest(
                open_source(str(path)),
                catalogue=self._catalogue,
                embedder=engine.embedder,
                pool=lambda: _WithMetadata(engine.queries),
                stages=engine.extractor.stages(),
                labels=labels,
            )
        finally:
            content_id = self._catalogue.content_id(hashlib.sha256(data).digest())
            if content_id is None:
                _remove([path])
        if content_id is None:
            raise BadPicture("not_embedded", "the picture was read, and the model gave nothing for it")
        return content_id

    def _is_complete(self, content_id: int, engine: Engine) -> bool:
        """Tell whether a picture's bytes are at hand and the model has embedded it, so that nothing is to be added."""
        try:
            self._read(content_id)
        except (NotFound, UnknownName):  # gone, or removed in this moment
            return False
        return self._catalogue.has_vectors(content_id, engine.space_ids)

    @contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        """Keep threads and other processes from adding and removing the same upload at once."""
        with self._locks[int(sha256[:2], 16) % len(self._locks)], self._catalogue.writing("keeping an upload"):
            yield


@dataclass(frozen=True, slots=True)
class _WithMetadata:
    """The workers that serve queries, told to read what a picture says of itself, too."""

    inner: DecodePool

    def submit(self, data: bytes, params: Mapping[str, Any] | None = None) -> Future[Mapping[str, Any]]:
        return self.inner.submit(data, {**(params or {}), "metadata": USUAL})


@dataclass(frozen=True, slots=True)
class _Kept:
    """Pictures that were written into a library's folder, as a source."""

    root: str
    refs: Sequence[ImageRef]
    partial = True  # it says nothing of what was kept before

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.refs)

    def read(self, ref: ImageRef) -> bytes:
        return read_uri(ref.uri)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        files.remove(path)
