"""Pictures that a list names: CSV, TSV, JSON lines, Parquet, or one URL a line."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from sosie.errors import DamagedError, SourceUnreachable, UsageError
from sosie.extras import missing
from sosie.sources.columns import SAMPLE, Row, Table, guess_kinds, guess_place, labels_of, names_picture, place_in
from sosie.sources.image_table import is_plain
from sosie.sources.left_out import Tally, row_uri
from sosie.sources.options import SourceOptions
from sosie.sources.uris import uri_of_path
from sosie.sources.web.download import Download
from sosie.sources.web.links import LinkSource, uri_of_link
from sosie.types import ImageRef

__all__ = ["UrlListSource", "read_rows"]

MAX_LINE = 1 << 20  # characters of one line of JSON
_DELIMITERS = ",;\t|"


class UrlListSource(LinkSource):
    """Iterates the rows of a list in their order; other columns become labels.

    ``url_column`` names the column of the URL, or of a path relative to the list; without it the column is
    guessed by its name, else by what it holds. ``label_columns`` picks the labels; without it every other
    column is one. The list is read as it goes: its size does not matter.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        url_column: str | None = None,
        label_columns: Sequence[str] | None = None,
        download: Download | None = None,
    ) -> None:
        self._path = Path(path).absolute()
        self._url_column = url_column
        self._label_columns = label_columns
        super().__init__(base=os.fsencode(self._path.parent), download=download)

    @classmethod
    def from_options(cls, spec: str, options: SourceOptions) -> UrlListSource:
        options.only("a list of URLs", "url_column", "label_columns")
        return cls(
            spec,
            url_column=options.url_column,
            label_columns=options.label_columns,
            download=options.download(),
        )

    @property
    def root(self) -> str:
        return uri_of_path(self._path)

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; raise SourceUnreachable where the list is away, DamagedError where it cannot be read."""
        self._tally = Tally()
        rows = read_rows(self._path)
        sample = list(itertools.islice(rows, SAMPLE))
        if not sample:
            return
        table = self._table(sample)
        for at, row in enumerate(itertools.chain(sample, rows), 1):
            place = place_in(row, table.place)
            uri = uri_of_link(row.get(place), self._base)
            if uri is None:
                self._tally.add("no_place" if row else "bad_row", partial(row_uri, self.root, at))
            else:
                labels = row if place == table.place else {name: row[name] for name in row if name != place}
                yield ImageRef(uri, labels_of(labels, table.kinds))

    def _table(self, sample: Sequence[Row]) -> Table:
        columns = list(dict.fromkeys(itertools.chain.from_iterable(sample)))
        for name in (self._url_column, *(self._label_columns or ())):
            if name is not None and name not in columns:
                raise UsageError(f"{self._path} has no column {name!r}; it has {', '.join(columns[:20])}")
        place = self._url_column or guess_place(columns, sample)
        names = self._label_columns or [name for name in columns if name != place]
        return Table(place, guess_kinds(names, sample))


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a list by its ending; what is not a row at all is an empty one, so that it is counted."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} is no list that can be read: {', '.join(sorted(_READERS))}")
    try:
        yield from reader(path)
    except OSError as error:
        raise SourceUnreachable(f"{path} cannot be read ({error.strerror or error}); check the path") from error
    except UnicodeError as error:
        raise DamagedError(f"{path} is not text in UTF-8 or UTF-16; convert it and try again") from error


def _open_text(path: Path) -> TextIO:
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"\xff\xfe", b"\xfe\xff"):
        return path.open(encoding="utf-16", newline="")
    # Bytes that are not UTF-8 survive, since a path may hold them.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_csv(path: Path) -> Iterator[Row]:
    with _open_text(path) as file:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file)
        lines = _csv_lines(csv.reader(file, delimiter=delimiter))
        header = next(lines, None)
        if header is None:
            return
        if any(map(names_picture, header)):  # no header: the first line is a row
            lines, header = itertools.chain([header], lines), [f"column{n + 1}" for n in range(len(header))]
        names = [name.strip() for name in header]
        for cells in lines:
            yield dict(zip(names, cells, strict=False))


def _csv_lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field too long: the reader goes on behind it
            cells = [""]
        if cells:
            yield cells


def _delimiter(file: TextIO) -> str:
    first = file.readline(MAX_LINE)
    file.seek(0)
    return max(_DELIMITERS, key=first.count)


def _read_json_lines(path: Path) -> Iterator[Row]:
    with _open_text(path) as file:
        for line in _lines(file):
            yield _json_row(line)


def _json_row(line: str) -> Row:
    try:
        value = json.loads(line) if line else None
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, str):
        return {"url": value}
    return {k: v for k, v in value.items() if not isinstance(v, dict)} if isinstance(value, dict) else {}


def _read_lines(path: Path) -> Iterator[Row]:
    with _open_text(path) as file:
        for line in _lines(file):
            if not line.startswith("#"):
                yield {"url": line}


def _lines(file: TextIO) -> Iterator[str]:
    """Yield stripped lines that are not blank; an endless one comes as an empty text."""
    while line := file.readline(MAX_LINE):
        whole = line.endswith("\n") or len(line) < MAX_LINE
        while not whole:
            rest = file.readline(MAX_LINE)
            whole, line = rest.endswith("\n") or len(rest) < MAX_LINE, ""
        if line == "" or line.strip():
            yield line.strip()


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing("Parquet lists need pyarrow", "parquet") from error
    try:
        # Opened by us: a missing file is an OSError here, as everywhere. Buffered: columns are read a piece at a time.
        with path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False) as file:
            columns = [field.name for field in file.schema_arrow if is_plain(field.type)]
            for batch in file.iter_batches(batch_size=SAMPLE, columns=columns):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise DamagedError(f"{path} is no sound Parquet file ({error}); write it again") from error


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".txt": _read_lines,
    ".parquet": _read_parquet,
}
