"""Pictures inside a zip or tar file; nothing is unpacked to disk.

A member's URI is the archive's, ``!/`` and the member's name: ``file:///photos.zip!/2019/cat.jpg``.
"""

from __future__ import annotations

import bz2
import calendar
import contextlib
import gzip
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self, TypeAlias
from urllib.parse import quote, unquote

from sosie.errors import BadPicture, DamagedError, SourceUnreachable, UsageError
from sosie.sources.files import MAX_FILE_BYTES
from sosie.sources.left_out import Tally
from sosie.sources.names import Patterns, folder_label, has_picture_suffix, is_system_name
from sosie.sources.options import SourceOptions
from sosie.sources.stamps import nanoseconds
from sosie.sources.uris import MEMBER, uri_of_path
from sosie.types import ImageRef, LeftOut

__all__ = ["TarSource", "ZipSource", "open_archive"]

_Outcome: TypeAlias = bytes | BadPicture
_UTF_8 = 0x800  # the flag of a zip member whose name is UTF-8
_SIGN = re.compile(r"[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]")  # kana, kanji, full-width letters
_TWO_SIGNS = re.compile(_SIGN.pattern * 2)
MAX_HEADER = 1 << 20  # bytes of a long name or an extended header of a tar
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError)


def open_archive(spec: str, options: SourceOptions) -> ZipSource | TarSource:
    """Open a zip or tar by what it holds rather than by its name."""
    options.only("an archive", "include", "exclude", "label_from_folders")
    kind = ZipSource if spec.lower().endswith((".zip", ".cbz")) else TarSource
    return kind(
        spec,
        include=options.include,
        exclude=options.exclude,
        label_from_folders=options.label_from_folders,
    )


class _ArchiveSource(ABC):
    """What both kinds share: names, labels, and one pass that gives references with their bytes.

    ``problems`` lists (URI, reason): an archive that is damaged half-way gives what comes before.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        label_from_folders: bool = False,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._path = Path(path).absolute()
        self._patterns = Patterns(tuple(include), tuple(exclude))
        self._label_from_folders = label_from_folders
        self._max_bytes = max_bytes
        self.problems: list[tuple[str, str]] = []
        self._tally = Tally()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the last iteration took for no pictures, by ending, or did not want, by pattern."""
        return self._tally.result()

    @property
    def root(self) -> str:
        return uri_of_path(self._path) + MEMBER

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references in the archive's order; raise SourceUnreachable or DamagedError."""
        return (ref for ref, _ in self._guarded(lambda _: False))

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, _Outcome | None]]:
        """Yield every reference in one pass, with its bytes or why there are none; None for an unwanted one."""
        return self._guarded(wanted)

    @abstractmethod
    def _members(self, wanted: Callable[[ImageRef], bool]) -> Iterator[tuple[ImageRef, _Outcome | None]]: ...

    def _guarded(self, wanted: Callable[[ImageRef], bool]) -> Iterator[tuple[ImageRef, _Outcome | None]]:
        self.problems, self._tally = [], Tally()
        some = False
        try:
            for found in self._members(wanted):
                some = True
                yield found
        except _DAMAGE as error:
            if not some:
                raise DamagedError(f"{self._path} is no sound archive ({error}); fetch or pack it again") from error
            self.problems.append((uri_of_path(self._path), "damaged_archive"))
        except OSError as error:
            raise SourceUnreachable(f"{self._path} cannot be read ({error.strerror or error})") from error

    def _is_candidate(self, name: str) -> bool:
        parts = name.split("/")
        if any(is_system_name(_bytes(part)) for part in parts if part not in (".", "..")):
            return False
        if not has_picture_suffix(_bytes(name)):
            self._tally.add_file(_bytes(name), lambda: self._uri(name))
            return False
        wanted = self._patterns.wants(name)
        if not wanted:
            self._tally.add("pattern", lambda: self._uri(name))
        return wanted

    def _uri(self, name: str) -> str:
        return self.root + quote(name, safe="/", errors="surrogateescape")

    def _ref(self, name: str, *, size: int, mtime_ns: int | None, check: int | None, shown: str = "") -> ImageRef:
        labels = folder_label(_bytes(shown or name).removeprefix(b"./")) if self._label_from_folders else {}
        return ImageRef(self._uri(name), labels, size, mtime_ns, check)

    def _name(self, ref: ImageRef) -> str:
        if not ref.uri.startswith(self.root):
            raise UsageError(f"{ref.uri} is not in {self._path}")
        return unquote(ref.uri[len(self.root) :], errors="surrogateescape")

    def _too_large(self, size: int) -> BadPicture | None:
        if size > self._max_bytes:
            return BadPicture("too_large", f"{size} bytes; the limit is {self._max_bytes}")
        return BadPicture("empty", "0 bytes") if size == 0 else None


class ZipSource(_ArchiveSource):
    """Iterates the pictures of a zip; a member's CRC tells whether it has changed since the last time."""

    def read(self, ref: ImageRef) -> bytes:
        name = self._name(ref)
        try:
            with zipfile.ZipFile(self._path) as archive:
                data = self._read(archive, archive.getinfo(name))
        except KeyError as error:
            raise BadPicture("missing", f"not in {self._path.name} any more") from error
        except _DAMAGE as error:
            raise BadPicture("damaged_archive", str(error)) from error
        except OSError as error:
            raise SourceUnreachable(f"{self._path} cannot be read ({error.strerror or error})") from error
        if isinstance(data, BadPicture):
            raise data
        return data

    def _members(self, wanted: Callable[[ImageRef], bool]) -> Iterator[tuple[ImageRef, _Outcome | None]]:
        with zipfile.ZipFile(self._path) as archive:
            for info in archive.infolist():
                # A name that occurs twice stands for its last member, as everywhere.
                if info.is_dir() or archive.NameToInfo[info.filename] is not info:
                    continue
                if self._is_candidate(info.filename):
                    ref = self._ref(
                        info.filename,
                        size=info.file_size,
                        mtime_ns=_zip_time(info),
                        check=info.CRC,
                        shown=_zip_name(info),
                    )
                    yield ref, self._read(archive, info) if wanted(ref) else None

    def _read(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Outcome:
        if info.flag_bits & 1:
            return BadPicture("encrypted", "the member is encrypted; unpack it and add the folder")
        if refused := self._too_large(info.file_size):
            return refused
        try:
            with archive.open(info) as file:
                return file.read(self._max_bytes)
        except (*_DAMAGE, NotImplementedError, RuntimeError) as error:
            return BadPicture("damaged_archive", str(error))


class TarSource(_ArchiveSource):
    """Iterates the pictures of a tar, compressed or not, in one pass."""

    def read(self, ref: ImageRef) -> bytes:
        """Look for one member from the start on; ``stream`` is what is fast."""
        name = self._name(ref)
        for found, data in self.stream(lambda candidate: candidate.uri == ref.uri):
            if self._name(found) == name and data is not None:
                if isinstance(data, BadPicture):
                    raise data
                return data
        raise BadPicture("missing", f"not in {self._path.name} any more")

    def _members(self, wanted: Callable[[ImageRef], bool]) -> Iterator[tuple[ImageRef, _Outcome | None]]:
        with (
            _decompressed(self._path) as raw,
            tarfile.open(fileobj=raw, mode="r|", tarinfo=_SmallHeaders, errors="surrogateescape") as archive,
        ):
            for info in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every one
                if not info.isreg() or not self._is_candidate(info.name):
                    continue
                ref = self._ref(info.name, size=info.size, mtime_ns=nanoseconds(info.mtime), check=None)
                yield ref, self._read(archive, info) if wanted(ref) else None

    def _read(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Outcome:
        if refused := self._too_large(info.size):
            return refused
        file = archive.extractfile(info)
        data = file.read() if file else b""
        return data if len(data) == info.size else BadPicture("damaged_archive", "the archive ends too early")


class _SmallHeaders(tarfile.TarInfo):
    """Refuses headers that claim to be large, which tarfile would read into memory whole, and damage half-way.

    tarfile takes a damaged header behind the first one, and a missing end, for the end of the archive.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):  # the mark of the end
                raise
            raise tarfile.ReadError(str(error) or "the archive breaks off") from error

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.type not in tarfile.REGULAR_TYPES and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]


def _decompressed(path: Path) -> IO[bytes] | gzip.GzipFile:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZh"):
        return bz2.open(path)
    return lzma.open(path) if start.startswith(b"\xfd7zXZ\0") else path.open("rb")


def _zip_time(info: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0)) * 1_000_000_000
    except (ValueError, OverflowError):
        return 0


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name as its maker wrote it: tools of Windows in Japan write Shift-JIS and do not say so."""
    if info.flag_bits & _UTF_8 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437", "replace")  # what zipfile takes such bytes for
    for charset in ("utf-8", "cp932"):
        with contextlib.suppress(UnicodeError):
            name = raw.decode(charset)
            if charset == "utf-8" or _is_japanese(name):
                return name
    return info.filename


def _is_japanese(name: str) -> bool:
    """Tell whether a name that reads as Shift-JIS is; two umlauts in a row read as one sign, not as two."""
    return _TWO_SIGNS.search(name) is not None and all(char.isascii() or _SIGN.match(char) for char in name)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
