"""Pictures that a foreign SQLite database lists. The file may be hostile: nothing in it is ever run.

It is opened read-only; views, virtual tables and triggers are not touched; an authorizer refuses everything
but reading columns of the tables that were named; long values, long statements and long runs are cut off.
"""

# Names of tables and columns are quoted and known to exist; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from sosie.errors import DamagedError, SourceUnreachable, UsageError
from sosie.sources.columns import Kind, guess_kinds, labels_of
from sosie.sources.dataset import Attributes, Dataset, load_dataset
from sosie.sources.left_out import Tally, row_uri
from sosie.sources.options import SourceOptions
from sosie.sources.uris import uri_of_path
from sosie.sources.web.download import Download
from sosie.sources.web.links import LinkSource, uri_of_link
from sosie.types import ImageRef, LabelValue

__all__ = ["SqliteDatasetSource"]

PAGE = 500  # rows of one statement; SQLite takes at least 999 parameters
MAX_VALUE = 1 << 20  # bytes of one value
PAGE_SECONDS = 30.0
_BUSY_SECONDS = 5.0

_Row: TypeAlias = tuple[Any, ...]
_AttributeRows: TypeAlias = Callable[[Sequence[Any]], dict[Any, dict[str, LabelValue]]]


class SqliteDatasetSource(LinkSource):
    """Iterates the rows of one table in the order of their rowids, a page at a time.

    ``dataset`` says what the columns mean (``dataset.Dataset``, or the preset ``bam``). The file is never
    written to and never locked; where somebody else writes to it meanwhile, the iteration ends in
    SourceUnreachable.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: Dataset, *, download: Download | None = None) -> None:
        self._path = Path(path).absolute()
        self._dataset = dataset
        super().__init__(base=os.fsencode(self._path.parent / dataset.base), download=download)

    @classmethod
    def from_options(cls, spec: str, options: SourceOptions) -> SqliteDatasetSource:
        options.only("a dataset database", "dataset")
        if options.dataset is None:
            raise UsageError(f"say what {spec} holds: --dataset bam, or --dataset FILE.yaml (table, place, labels)")
        return cls(
            spec,
            load_dataset(options.dataset),
            download=options.download(),
        )

    @property
    def root(self) -> str:
        return uri_of_path(self._path)

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; raise SourceUnreachable, DamagedError, or UsageError where a table or column is not."""
        self._tally = Tally()
        before = self._stamp()
        try:
            with closing(self._connect()) as connection:
                yield from self._rows(_Reader(connection, self._dataset, str(self._path)), before)
        except sqlite3.OperationalError as error:
            if "no such column: rowid" in str(error):
                raise UsageError(f"table {self._dataset.table} of {self._path} has no rowid; copy it") from error
            raise SourceUnreachable(f"{self._path} cannot be read now ({error}); try again later") from error
        except sqlite3.DatabaseError as error:
            raise DamagedError(f"{self._path} is no sound SQLite database ({error})") from error

    def _rows(self, reader: _Reader, before: tuple[int, int]) -> Iterator[ImageRef]:
        kinds: dict[str, Kind] | None = None
        number = 0
        for page, attributes in reader.pages():
            names = self._dataset.columns
            rows = [dict(zip(names, values, strict=True)) for _, _, *values in page]
            kinds = kinds if kinds is not None else guess_kinds(names, rows)
            for (place, key, *_), row in zip(page, rows, strict=True):
                number += 1
                uri = uri_of_link(place, self._base)
                if uri is None:
                    self._tally.add("no_place", partial(row_uri, self.root, number))
                    continue
                yield ImageRef(uri, {**labels_of(row, kinds), **attributes.get(key, {})})
            if self._stamp() != before:
                raise SourceUnreachable(f"{self._path} was written to while it was read; run the same again")
        if reader.unreadable:
            self._tally.add("bad_row", lambda: self.root, count=reader.unreadable)

    def _stamp(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise SourceUnreachable(f"{self._path} cannot be read ({error.strerror})") from error
        return status.st_size, status.st_mtime_ns

    def _connect(self) -> sqlite3.Connection:
        # Immutable leaves no -shm beside the file and asks for no lock; what is in a log would be missed,
        # though.
        logs = [Path(f"{self._path}{suffix}") for suffix in ("-wal", "-journal")]
        how = "mode=ro" if any(log.exists() and log.stat().st_size for log in logs) else "mode=ro&immutable=1"
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?{how}", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        )
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        return connection


class _Reader:
    """Reads pages of rows and what other tables say of them."""

    def __init__(self, connection: sqlite3.Connection, dataset: Dataset, path: str) -> None:
        self._connection = connection
        self._dataset = dataset
        self._path = path
        self.unreadable = 0
        tables = {dataset.table: [dataset.place, *filter(None, [dataset.key]), *dataset.labels]}
        columns = {name: self._columns(name, needed) for name, needed in tables.items()}
        for attributes in dataset.attributes:
            columns[attributes.table] = self._columns(attributes.table, [attributes.key])
        self._lookups = [self._lookup(item, columns[item.table]) for item in dataset.attributes]
        self._deadline = time.monotonic() + PAGE_SECONDS
        connection.set_progress_handler(lambda: int(time.monotonic() > self._deadline), 10_000)
        connection.set_authorizer(_only_reads({name.lower() for name in columns}))

    def pages(self) -> Iterator[tuple[list[_Row], dict[Any, dict[str, LabelValue]]]]:
        """Yield pages of (place, key, labels …) with the attributes by key."""
        dataset = self._dataset
        names = [dataset.place, dataset.key or dataset.place, *dataset.columns]
        columns = ", ".join(map(_quoted, names))
        sql = f"SELECT rowid, {columns} FROM {_quoted(dataset.table)} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        last: int = -(1 << 63)
        while page := self._page(sql, last):
            last = page[-1][0]
            rows = [row[1:] for row in page if len(row) > 1]
            attributes: dict[Any, dict[str, LabelValue]] = {}
            for lookup in self._lookups:
                for key, labels in lookup([row[1] for row in rows]).items():
                    attributes.setdefault(key, {}).update(labels)
            yield rows, attributes

    def _page(self, sql: str, last: int) -> list[_Row]:
        try:
            return self._query(sql, (last, PAGE))
        except (sqlite3.DataError, sqlite3.OperationalError) as error:
            if "too big" not in str(error):
                raise
        return self._one_by_one(sql, last)

    def _one_by_one(self, sql: str, last: int) -> list[_Row]:
        """Read a page that holds a value too long, without the row of that value."""
        table = _quoted(self._dataset.table)
        ids = self._query(f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, PAGE))
        rows: list[_Row] = []
        for (rowid,) in ids:
            try:
                rows += self._query(sql, (rowid - 1, 1))
            except (sqlite3.DataError, sqlite3.OperationalError):
                self.unreadable += 1
                rows.append((rowid,))
        return rows

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[_Row]:
        self._deadline = time.monotonic() + PAGE_SECONDS
        return self._connection.execute(sql, parameters).fetchall()

    def _columns(self, table: str, needed: Sequence[str]) -> list[str]:
        """Return the columns of an ordinary table; raise UsageError where it is none or lacks one."""
        found = self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (table,)
        ).fetchone()
        if found is None or (found[1] or "").lstrip().lower().startswith("create virtual"):
            known = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            names = ", ".join(name for (name,) in known.fetchmany(20))
            raise UsageError(f"{self._path} has no ordinary table {table!r} (views do not count); it has {names}")
        info = self._connection.execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
        # Generated columns are expressions of whoever made the file.
        columns = [row[1] for row in info if row[6] == 0]
        for name in needed:
            if name not in columns:
                raise UsageError(f"table {table} of {self._path} has no plain column {name!r}: {', '.join(columns)}")
        return columns

    # -------------------------------------------------------------------------------------------- attributes

    def _lookup(self, attributes: Attributes, columns: Sequence[str]) -> _AttributeRows:
        """Return a function from keys to labels; a table that nothing finds by key is held in memory instead."""
        things = {
            name: (attributes.name + group, name[len(group) + 1 :])
            for name in columns
            for group in attributes.groups
            if name.startswith(group + "_")
        }
        if not things:
            raise UsageError(
                f"table {attributes.table} of {self._path} has no column {attributes.groups[0]}_…: "
                f"{', '.join(columns[:20])}"
            )
        select = f"SELECT {', '.join(map(_quoted, [attributes.key, *things]))} FROM {_quoted(attributes.table)}"
        meaning = list(things.values())

        def read(rows: Sequence[_Row]) -> dict[Any, dict[str, LabelValue]]:
            return {key: _positive(values, meaning, attributes.value) for key, *values in rows}

        if not self._is_indexed(attributes):
            everything: dict[Any, dict[str, LabelValue]] = {}

            def in_memory(keys: Sequence[Any]) -> dict[Any, dict[str, LabelValue]]:
                if not everything:
                    everything.update(read(self._query(select)))
                return {key: everything[key] for key in keys if key in everything}

            return in_memory
        where = f" WHERE {_quoted(attributes.key)} IN "
        return lambda keys: read(self._query(f"{select}{where}({', '.join('?' * len(keys))})", keys))

    def _is_indexed(self, attributes: Attributes) -> bool:
        table, key = _quoted(attributes.table), attributes.key
        info = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        if any(row[1] == key and row[5] == 1 for row in info):
            return True
        for row in self._connection.execute(f"PRAGMA index_list({table})").fetchall():
            first = self._connection.execute(f"PRAGMA index_info({_quoted(row[1])})").fetchone()
            if first is not None and first[2] == key and not row[4]:
                return True
        return False


def _positive(values: Sequence[Any], meaning: Sequence[tuple[str, str]], wanted: str) -> dict[str, LabelValue]:
    labels: dict[str, list[str]] = {}
    for value, (name, thing) in zip(values, meaning, strict=True):
        if value == wanted:
            labels.setdefault(name, []).append(thing)
    return {name: tuple(things) for name, things in labels.items()}


def _only_reads(tables: set[str]) -> Callable[..., int]:
    """Return an authorizer that lets nothing happen but reading columns of these tables."""

    def authorize(action: int, first: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first is not None and first.lower() in tables:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
