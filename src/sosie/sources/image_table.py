"""Pictures whose bytes lie in a column of a Parquet or Arrow file, as Hugging Face's datasets keep them.

A column of pictures is a structure of ``bytes`` and ``path``, or plain bytes. A row's URI is the file's, ``!/``, its
number from 0 on and the last part of its path: ``file:///train.parquet!/17/cat.jpg``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

from sosie.errors import BadPicture, DamagedError, MissingExtra, SourceUnreachable, UsageError
from sosie.extras import missing
from sosie.sources.columns import Kind, guess_kinds, labels_of
from sosie.sources.files import MAX_FILE_BYTES
from sosie.sources.left_out import Tally, row_uri
from sosie.sources.options import SourceOptions
from sosie.sources.uris import MEMBER, uri_of_path
from sosie.types import ImageRef, LeftOut

__all__ = ["ImageTableSource", "holds_images", "is_plain"]

_BATCH = 64  # rows that are held at once: they hold pictures
_NAMES = ("image", "img", "picture", "photo", "jpg", "png", "bytes", "image_bytes")  # of columns of plain bytes
_Outcome: TypeAlias = bytes | BadPicture
_Row: TypeAlias = tuple[int, Mapping[str, Any]]


class _Table(Protocol):
    """A file of rows: its Arrow schema, and its rows from one on, by number."""

    schema: Any

    def rows(self, columns: Sequence[str], first: int = 0) -> Iterator[_Row]: ...
    def close(self) -> None: ...


def holds_images(path: Path) -> bool:
    """Tell whether a file has a column of pictures; False for one that cannot be read, which its reader explains."""
    try:
        with closing(_open(path)) as table:
            return _image_column(table.schema) is not None
    except (MissingExtra, DamagedError, OSError):
        return False


class ImageTableSource:
    """Iterates the rows of one file; columns that are neither pictures nor structures become labels.

    Numbers of classes are given by their names where the file has them. A row that has changed is told by its bytes'
    length and checksum.
    """

    def __init__(
        self, path: Path, *, column: str | None = None, labels: Sequence[str] | None = None, max_bytes: int = 0
    ) -> None:
        self._path, self._column, self._labels = path.absolute(), column, labels
        self._max_bytes = max_bytes or MAX_FILE_BYTES
        self._tally = Tally()

    @classmethod
    def from_options(cls, spec: str, options: SourceOptions) -> ImageTableSource:
        options.only("a table of pictures", "url_column", "label_columns")
        return cls(Path(spec.removeprefix("file://")), column=options.url_column, labels=options.label_columns)

    @property
    def root(self) -> str:
        return uri_of_path(self._path) + MEMBER

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The rows of the last iteration that hold no picture."""
        return self._tally.result()

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references in the order of the rows; raise SourceUnreachable, DamagedError, MissingExtra."""
        return (ref for ref, _ in self.stream(lambda _: False))

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, _Outcome | None]]:
        """Yield every row once, with its bytes or why there are none; None for an unwanted one."""
        self._tally = Tally()
        with closing(self._opened()) as table:
            place, names = self._columns(table.schema)
            classes = {name: each for name, each in _classes_of(table.schema).items() if name in names}
            kinds: dict[str, Kind] | None = None
            for number, row in table.rows([place, *names]):
                data, name = _picture_of(row[place])
                if data is None:
                    self._tally.add("no_place", partial(row_uri, uri_of_path(self._path), number + 1))
                    continue
                labels = {name: row[name] for name in names} | _named(row, classes)
                kinds = kinds or guess_kinds(names, [labels])
                uri = f"{self.root}{number}" + (f"/{_quoted(name)}" if name else "")
                ref = ImageRef(uri, labels_of(labels, kinds), len(data), None, zlib.crc32(data))
                yield ref, self._checked(data) if wanted(ref) else None

    def read(self, ref: ImageRef) -> bytes:
        """Return the bytes of one row; raise BadPicture where it is not there, or holds none."""
        number, _, name = ref.uri.removeprefix(self.root).partition("/")
        if not ref.uri.startswith(self.root) or not number.isdecimal():
            raise UsageError(f"{ref.uri} is not in {self._path}")
        with closing(self._opened()) as table:
            place, _ = self._columns(table.schema)
            for at, row in table.rows([place], int(number)):
                data, own = _picture_of(row[place])
                if at == int(number) and data is not None and _quoted(own) == name:
                    return data
                break
        raise BadPicture("missing", f"row {number} of {self._path.name} holds no picture {unquote(name)}".rstrip())

    def _opened(self) -> _Table:
        try:
            return _open(self._path)
        except OSError as error:
            raise SourceUnreachable(f"{self._path} cannot be read ({error.strerror or error})") from error

    def _columns(self, schema: Any) -> tuple[str, list[str]]:
        place = self._column or _image_column(schema)
        if place is None or place not in schema.names:
            raise UsageError(
                f"{self._path} has no column of pictures {place or ''!r}; it has {', '.join(schema.names)}"
            )
        plain = [field.name for field in schema if is_plain(field.type) and field.name != place]
        if missing := [name for name in self._labels or () if name not in plain]:
            raise UsageError(f"{self._path} has no column {missing[0]!r} for labels; it has {', '.join(plain)}")
        return place, list(self._labels or plain)

    def _checked(self, data: bytes) -> _Outcome:
        if not data:
            return BadPicture("empty", "0 bytes")
        over = len(data) > self._max_bytes
        return BadPicture("too_large", f"{len(data)} bytes; the limit is {self._max_bytes}") if over else data


# ------------------------------------------------------------------------------------------------ columns


def _image_column(schema: Any) -> str | None:
    """Return the first structure with bytes, as Hugging Face writes it, else a column of bytes of a usual name."""
    from pyarrow import types

    def has_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    for field in schema:
        at = field.type.get_field_index("bytes") if types.is_struct(field.type) else -1
        if at >= 0 and has_bytes(field.type.field(at).type):
            return str(field.name)
    plain = [field.name for field in schema if has_bytes(field.type) and field.name.lower() in _NAMES]
    return str(plain[0]) if plain else None


def is_plain(kind: Any) -> bool:
    """Tell whether a column holds texts, numbers or lists of them; bytes and structures may be gigabytes."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return is_plain(kind.value_type)
    return any(check(kind) for check in (types.is_string, types.is_large_string, types.is_integer)) or any(
        check(kind) for check in (types.is_floating, types.is_boolean, types.is_dictionary)
    )


def _picture_of(value: Any) -> tuple[bytes | None, str]:
    """Return the bytes of a cell and the last part of its path, empty where it has none."""
    path = str(value.get("path") or "") if isinstance(value, Mapping) else ""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    return (data if isinstance(data, bytes) else None), path.replace("\\", "/").rpartition("/")[2][:255]


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="replace")


def _named(row: Mapping[str, Any], classes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the names of the classes that a row has by number."""
    found = ((name, names, row.get(name)) for name, names in classes.items())
    return {name: names[at] for name, names, at in found if isinstance(at, int) and 0 <= at < len(names)}


def _classes_of(schema: Any) -> dict[str, list[str]]:
    """Return the names of classes by column, from what Hugging Face writes into the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        named = {name: each["names"] for name, each in features.items() if isinstance(each, dict) and "names" in each}
        return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


# ------------------------------------------------------------------------------------------------ files


def _open(path: Path) -> _Table:
    """Open a table by what it holds; raise MissingExtra, DamagedError, OSError."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise missing(f"{path.suffix} needs pyarrow", "parquet") from error
    with path.open("rb") as file:  # a missing file is an OSError here, as everywhere
        magic = file.read(4)
    try:
        return _Parquet(path) if magic == b"PAR1" else _Arrow(path)
    except pyarrow.ArrowException as error:
        raise DamagedError(f"{path} is no sound Parquet or Arrow file ({error}); write it again") from error


class _Parquet:
    """A Parquet file, read a few rows at a time."""

    def __init__(self, path: Path) -> None:
        from pyarrow.parquet import ParquetFile

        self._path = path
        self._file = ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        self.schema = self._file.schema_arrow

    def rows(self, columns: Sequence[str], first: int = 0) -> Iterator[_Row]:
        """Yield rows from one on; row groups before it are not read."""
        counts = [self._file.metadata.row_group(at).num_rows for at in range(self._file.num_row_groups)]
        starts = [sum(counts[:at]) for at in range(len(counts))]
        groups = [at for at, start in enumerate(starts) if start + counts[at] > first]
        if groups:
            batches = self._file.iter_batches(batch_size=_BATCH, columns=list(columns), row_groups=groups)
            yield from _numbered(batches, starts[groups[0]], first, self._path)

    def close(self) -> None:
        self._file.close()


class _Arrow:
    """An Arrow file or stream, mapped into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow

        arrow: Any = pyarrow  # whose readers have no types
        self._batches: Callable[[], Iterator[Any]]
        self._path, self._map = path, arrow.memory_map(str(path))
        try:
            self._reader = arrow.ipc.open_file(self._map)
            self._batches = lambda: (self._reader.get_batch(at) for at in range(self._reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            self._map.seek(0)
            self._reader = arrow.ipc.open_stream(self._map)
            self._batches = lambda: iter(self._reader)
        self.schema = self._reader.schema

    def rows(self, columns: Sequence[str], first: int = 0) -> Iterator[_Row]:
        """Yield rows from one on."""
        yield from _numbered((each.select(list(columns)) for each in self._batches()), 0, first, self._path)

    def close(self) -> None:
        self._map.close()


def _numbered(batches: Iterator[Any], start: int, first: int, path: Path) -> Iterator[_Row]:
    """Yield (number, row) of batches that begin with row ``start``, from row ``first`` on; raise DamagedError."""
    import pyarrow

    try:
        for batch in batches:
            for at in range(max(0, first - start), batch.num_rows, _BATCH):
                rows = batch.slice(at, _BATCH).to_pylist()
                yield from enumerate(rows, start + at)
            start += batch.num_rows
    except pyarrow.ArrowException as error:
        raise DamagedError(f"{path} is no sound Parquet or Arrow file ({error}); write it again") from error
