"""The pictures that a text file names, a path on each line: ``lines:///home/me/list.txt``.

The second picture of that list is ``lines:///home/me/list.txt#/home/me/b.jpg``. Opened by that address, the source
reads it again, for a thumbnail or another model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from sosie.errors import BadPicture, SourceUnreachable
from sosie.sources.options import SourceOptions
from sosie.types import ImageRef

__all__ = ["LinesSource"]

_SCHEME = "lines://"


class LinesSource:
    """Iterates the lines of a file; ``spec`` is its address, or that of one of its pictures."""

    def __init__(self, spec: str, options: SourceOptions) -> None:
        options.only("a list of lines")
        self._file = Path(unquote(spec.removeprefix(_SCHEME).partition("#")[0])).absolute()
        self.root = _SCHEME + quote(self._file.as_posix())

    def __iter__(self) -> Iterator[ImageRef]:
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except OSError as error:
            raise SourceUnreachable(f"{self._file} cannot be read: {error.strerror}") from error
        for path in (Path(line) for line in dict.fromkeys(lines) if line):
            try:
                found = path.stat()
            except OSError:
                yield ImageRef(self._uri(path))
            else:
                yield ImageRef(self._uri(path), size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)

    def read(self, ref: ImageRef) -> bytes:
        """Return the bytes of one picture; raise BadPicture where they cannot be read."""
        try:
            return Path(unquote(ref.uri.partition("#")[2])).read_bytes()
        except OSError as error:
            raise BadPicture("missing", str(error)) from error

    def _uri(self, path: Path) -> str:
        return f"{self.root}#{quote(path.absolute().as_posix())}"
