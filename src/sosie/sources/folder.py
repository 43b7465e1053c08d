"""Pictures in a folder and everything below it, or one file."""

# Names are bytes here, since they need not be text; pathlib knows only text.
# ruff: noqa: PTH100, PTH110, PTH113, PTH114, PTH116, PTH118

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sosie.errors import BadPicture, SourceUnreachable, UsageError
from sosie.sources.files import MAX_FILE_BYTES, read_regular_file, reason_of
from sosie.sources.left_out import Tally
from sosie.sources.manifest import Manifest
from sosie.sources.names import Patterns, folder_label, has_picture_suffix, is_system_name
from sosie.sources.options import SourceOptions
from sosie.sources.uris import path_of_uri, uri_of_path
from sosie.types import ImageRef, LabelValue, LeftOut

__all__ = ["FolderSource"]

_LIBRARY_MARK = b"catalogue.sqlite"  # a folder that holds this is a Sosie library: its thumbnails are not pictures

_Folder = tuple[int, int]  # device, inode


@dataclass(slots=True)
class _Open:
    """A folder that the walk is in: its path, who it is, and the names still to come."""

    path: bytes
    identity: _Folder
    names: Iterator[bytes]


class FolderSource:
    """Iterates the pictures below ``path`` in the byte order of their names, folder by folder.

    What counts as a picture is told by its extension (``names.PICTURE_SUFFIXES``, any case); everything else
    is counted in ``left_out``, but for hidden names and Sosie libraries. Symbolic links are followed,
    loops are not. ``include`` and ``exclude`` are ``names.Patterns``. ``label_from_folders`` gives each
    picture the label ``label``: the part of its name before ``__<hex digits>``, else the folder it lies in.
    ``manifest`` is a table with a column ``path`` (below the folder, or below the table's own); its other columns
    become labels.

    ``problems`` lists (URI, reason) of what the last iteration could not look into. Nothing is known of what
    lies below such a URI, so nothing below it may be taken for deleted. At most one folder's names are held
    in memory.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        label_from_folders: bool = False,
        manifest: str | None = None,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        # Lexical on purpose: a link such as ``current -> 2026-11`` may be turned without every URI changing.
        self._path = os.path.abspath(os.fsencode(path))
        self._patterns = Patterns(tuple(include), tuple(exclude))
        self._label_from_folders = label_from_folders
        self._manifest = Manifest(self._table(manifest)) if manifest else None
        self._walked = self._labelled = 0
        self._max_bytes = max_bytes
        self.problems: list[tuple[str, str]] = []
        self._tally = Tally()

    @classmethod
    def from_options(cls, spec: str, options: SourceOptions) -> FolderSource:
        options.only("a folder", "include", "exclude", "label_from_folders", "manifest")
        return cls(
            path_of_uri(spec) if spec.startswith("file://") else spec,
            include=options.include,
            exclude=options.exclude,
            label_from_folders=options.label_from_folders,
            manifest=options.manifest,
        )

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the last iteration took for no pictures, by ending, or did not want, by pattern."""
        return self._tally.result()

    @property
    def root(self) -> str:
        uri = uri_of_path(self._path)
        return uri if self._is_file() else uri.rstrip("/") + "/"

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; raise SourceUnreachable where the root is away, UsageError for a library."""
        self.problems, self._tally = [], Tally()
        self._walked = self._labelled = 0
        if self._manifest:
            self._manifest.load()
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise self._unreachable(error) from error
        if stat.S_ISREG(status.st_mode):
            yield self._ref(self._path, status)
        elif stat.S_ISDIR(status.st_mode):
            yield from self._walk(status)
            if self._manifest and self._walked and not self._labelled:
                warnings.warn(self._manifest.advice, stacklevel=2)
        else:
            raise UsageError(f"{os.fsdecode(self._path)} is neither a folder nor a regular file")

    def read(self, ref: ImageRef) -> bytes:
        return read_regular_file(path_of_uri(ref.uri), limit=self._max_bytes)

    def refuses(self, ref: ImageRef) -> BadPicture | None:
        """Allow every picture to be read by its URI."""
        return None

    def gone(self, uri: str) -> bool:
        """Tell whether a place below this folder is deleted; what cannot be looked at proves nothing."""
        try:
            os.stat(self._path)
            os.lstat(path_of_uri(uri))
        except (FileNotFoundError, NotADirectoryError):
            return os.path.exists(self._path)
        except OSError:
            return False
        return False

    # ------------------------------------------------------------------------------------------ the walk

    def _walk(self, root_status: os.stat_result) -> Iterator[ImageRef]:
        """Walk depth first with a stack of our own, since folders may nest deeper than Python's."""
        linked: set[_Folder] = set()
        stack = [self._open_root(root_status)]
        while stack:
            folder = stack[-1]
            name = next(folder.names, None)
            if name is None:
                stack.pop()
                continue
            path = os.path.join(folder.path, name)
            status = self._stat(path)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if self._may_enter(path, identity, stack, linked) and (entered := self._open(path, identity)):
                    stack.append(entered)
            elif not self._is_candidate(path):
                self._leave_out(path)
            elif stat.S_ISREG(status.st_mode):
                yield self._ref(path, status)
            else:
                self.problems.append((uri_of_path(path), "not_a_file"))

    def _open_root(self, status: os.stat_result) -> _Open:
        try:
            names = self._list(self._path)
        except OSError as error:
            raise self._unreachable(error) from error
        if names is None:
            raise UsageError(f"{os.fsdecode(self._path)} is a Sosie library, not a folder of pictures")
        return _Open(self._path, (status.st_dev, status.st_ino), iter(names))

    def _open(self, path: bytes, identity: _Folder) -> _Open | None:
        try:
            names = self._list(path)
        except OSError as error:
            self.problems.append((uri_of_path(path) + "/", reason_of(error)))
            return None
        return None if names is None else _Open(path, identity, iter(names))

    def _list(self, path: bytes) -> list[bytes] | None:
        """Return the names worth a look, sorted, or None for a Sosie library."""
        names: list[bytes] = []
        others: list[bytes] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name == _LIBRARY_MARK:
                    return None
                if is_system_name(entry.name):
                    continue
                if has_picture_suffix(entry.name) or entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
                else:
                    others.append(entry.name)
        for name in sorted(others):
            self._leave_out(os.path.join(path, name))
        names.sort()
        return names

    def _stat(self, path: bytes) -> os.stat_result | None:
        try:
            return os.stat(path)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            # A name that is gone since the folder was listed is deleted; a link that leads nowhere is still
            # there.
            if not gone or (os.path.lexists(path) and self._is_candidate(path)):
                self.problems.append((uri_of_path(path), reason_of(error)))
            return None

    def _may_enter(self, path: bytes, identity: _Folder, stack: list[_Open], linked: set[_Folder]) -> bool:
        if self._patterns.excludes(os.fsdecode(self._below(path))) or any(
            folder.identity == identity for folder in stack
        ):
            return False
        if os.path.islink(path):
            # Each folder is entered through a link once: links to links would multiply without end.
            if identity in linked:
                return False
            linked.add(identity)
        return True

    # ------------------------------------------------------------------------------------------ names

    def _is_candidate(self, path: bytes) -> bool:
        return has_picture_suffix(path) and self._patterns.wants(os.fsdecode(self._below(path)))

    def _leave_out(self, path: bytes) -> None:
        if has_picture_suffix(path):
            self._tally.add("pattern", lambda: uri_of_path(path))
        else:
            self._tally.add_file(path, lambda: uri_of_path(path))

    def _below(self, path: bytes) -> bytes:
        """Return the path below the root, with ``/``."""
        return path[len(self._path) :].replace(os.fsencode(os.sep), b"/").lstrip(b"/")

    def _ref(self, path: bytes, status: os.stat_result) -> ImageRef:
        return ImageRef(
            uri=uri_of_path(path),
            labels=self._labels(path),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
        )

    def _labels(self, path: bytes) -> dict[str, LabelValue]:
        below = self._below(path)
        labels = folder_label(below) if self._label_from_folders else {}
        if self._manifest is None:
            return labels
        found = self._manifest.labels(path, below)
        self._walked += 1
        self._labelled += found is not None
        return {**labels, **(found or {})}

    def _table(self, name: str) -> Path:
        """Return where a table of labels lies: below the folder, else where one would open it from here."""
        below = Path(os.fsdecode(self._path)) / name
        return Path(name) if not below.exists() and Path(name).exists() else below

    def _is_file(self) -> bool:
        return os.path.isfile(self._path)

    def _unreachable(self, error: OSError) -> SourceUnreachable:
        path = os.fsdecode(self._path)
        return SourceUnreachable(f"{path} cannot be read ({error.strerror}); check the path, or mount it and try again")
