"""The tables, as numbered migrations: each is applied once, in a transaction, and recorded.

A database with a higher number than this file knows is refused and left as it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sosie.catalogue.counting import TOTALS, UNCOUNTED, counters
from sosie.errors import NewerSchema

__all__ = ["COUNTED", "VERSION", "check_version", "migrate", "read_older"]

_Columns: TypeAlias = Mapping[str, tuple[tuple[str, str], ...]]  # of a table: names and declarations

# contents.id is never used twice (AUTOINCREMENT), so that an index built earlier can never name the wrong picture.
_INITIAL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', '0');

CREATE TABLE contents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256      BLOB    NOT NULL UNIQUE,
    bytes       INTEGER NOT NULL,
    format      TEXT    NOT NULL,
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    pixels      BLOB    NOT NULL,
    pdq         BLOB,
    pdq_quality INTEGER NOT NULL DEFAULT 0,
    added_at    REAL    NOT NULL,
    digest      BLOB    NOT NULL
);
CREATE INDEX contents_by_pixels ON contents (pixels);

CREATE TABLE locations (
    uri        TEXT PRIMARY KEY,
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    root       TEXT NOT NULL,
    size       INTEGER,
    mtime_ns   INTEGER,
    inode      INTEGER
) WITHOUT ROWID;
CREATE INDEX locations_by_content ON locations (content_id);

CREATE TABLE spaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    spec       TEXT NOT NULL,
    spec_hash  TEXT NOT NULL,
    head       TEXT NOT NULL,
    dim        INTEGER NOT NULL,
    regions    TEXT NOT NULL DEFAULT 'whole',
    created_at REAL NOT NULL
);

CREATE TABLE regions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    label      TEXT,
    confidence REAL NOT NULL DEFAULT 1
);
CREATE INDEX regions_by_content ON regions (content_id, kind);

CREATE TABLE vectors (
    space_id   INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    region_id  INTEGER NOT NULL DEFAULT 0,
    vector     BLOB NOT NULL,
    digest     BLOB NOT NULL,
    PRIMARY KEY (space_id, content_id, region_id)
) WITHOUT ROWID;

CREATE TABLE features (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    version    TEXT NOT NULL,
    data       BLOB NOT NULL,
    digest     BLOB NOT NULL,
    PRIMARY KEY (version, content_id)
);

CREATE TABLE labels (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('single', 'multi', 'number', 'text')),
    text       TEXT NOT NULL,
    number     REAL,
    PRIMARY KEY (content_id, name, text)
) WITHOUT ROWID;
CREATE INDEX labels_by_text ON labels (name, text);
CREATE INDEX labels_by_number ON labels (name, number);

CREATE TABLE quarantine (
    uri      TEXT PRIMARY KEY,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    root     TEXT NOT NULL,
    size     INTEGER,
    mtime_ns INTEGER,
    inode    INTEGER,
    tries    INTEGER NOT NULL,
    at       REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE decisions (
    a        BLOB NOT NULL,
    b        BLOB NOT NULL,
    decision TEXT NOT NULL,
    note     TEXT NOT NULL DEFAULT '',
    at       REAL NOT NULL,
    PRIMARY KEY (a, b),
    CHECK (a < b)
) WITHOUT ROWID;

CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""

# Columns that are added have constant defaults, so that SQLite writes no row: milliseconds, whatever a library holds.
_COLUMNS = {
    "contents": (
        # 1: `pixels` is a digest of pixels that were shrunken, and proves nothing; 2: of all of them
        ("pixels_version", "INTEGER NOT NULL DEFAULT 1"),
        ("frames", "INTEGER"),  # of an animation or a document; NULL: not counted
        ("repaired", "TEXT"),  # what was wrong with a file that was decoded all the same; NULL: nothing
    ),
    "locations": (
        ("seen_at", "REAL"),  # when the file was last found there, in seconds since 1970; NULL: by an older version
        ("gone_at", "REAL"),  # since when it is known not to be there; NULL: it is
        ("digest", "BLOB"),  # of the row; NULL: written by an older version
    ),
    "labels": (("digest", "BLOB"),),
    "decisions": (("digest", "BLOB"),),
}
# Digests of the rows that schema 2 left without; NULL: written by an older version.
_MORE_DIGESTS = dict.fromkeys(("quarantine", "records", "log"), (("digest", "BLOB"),))

_TABLES = """
-- What was read from a picture or recognised in it (EXIF, tags). A label is what a person said, and lies apart.
CREATE TABLE facts (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    text       TEXT NOT NULL,
    number     REAL,              -- the value, where it is a number; text has it, too
    digest     BLOB NOT NULL,
    PRIMARY KEY (content_id, name, text)
) WITHOUT ROWID;
CREATE INDEX facts_by_text ON facts (name, text);
CREATE INDEX facts_by_number ON facts (name, number);

-- Verdicts of pairs, so that no pair is judged twice: by the digests of both files and the version of the judge.
CREATE TABLE pairs (
    a           BLOB NOT NULL,
    b           BLOB NOT NULL,
    judge       TEXT NOT NULL,
    verdict     TEXT NOT NULL,    -- read "a verdict b": a contains b
    probability REAL,
    evidence    TEXT NOT NULL,    -- JSON
    at          REAL NOT NULL,
    digest      BLOB NOT NULL,
    PRIMARY KEY (a, b, judge),
    CHECK (a < b)
) WITHOUT ROWID;
CREATE INDEX pairs_by_b ON pairs (b);

-- Who did what, when. Never read to answer a question.
CREATE TABLE log (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    actor  TEXT NOT NULL,
    deed   TEXT NOT NULL,
    detail TEXT NOT NULL          -- JSON
);

-- Which pictures each commit touched, so that who knows an epoch reads what came since, not everything.
CREATE TABLE changes (
    epoch      INTEGER NOT NULL,
    content_id INTEGER NOT NULL,
    what       TEXT NOT NULL,     -- added, removed, placed, embedded, labelled …; added stands for all of its commit
    PRIMARY KEY (epoch, content_id, what)
) WITHOUT ROWID;

-- The derived files that go with this catalogue; any other is another catalogue's, or another past's, and is not read.
CREATE TABLE vouched (
    name   TEXT PRIMARY KEY,      -- path below the library's folder
    kind   TEXT NOT NULL,         -- index, segment, words
    digest TEXT NOT NULL,
    detail TEXT NOT NULL,         -- JSON
    at     REAL NOT NULL
) WITHOUT ROWID;

-- Long work that people asked a server for; it outlives the server.
CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL,
    actor      TEXT NOT NULL,
    params     TEXT NOT NULL,     -- JSON, as progress and result
    progress   TEXT NOT NULL,
    result     TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, created_at);

INSERT INTO meta VALUES ('identity', lower(hex(randomblob(16))));
-- The branches of this catalogue's history: from which epoch on, and a random name. A restored backup begins one.
INSERT INTO meta SELECT 'epochs', json_array(json_array(CAST(value AS INTEGER), lower(hex(randomblob(8)))))
    FROM meta WHERE key = 'epoch';
INSERT INTO meta SELECT 'changes_from', value FROM meta WHERE key = 'epoch';
-- An older library has indexes that nothing vouches for yet: who opens it looks at them once.
INSERT INTO meta SELECT 'adopt', '1' WHERE EXISTS (SELECT 1 FROM contents);
"""


def _trigger(table: str, event: str, row: str, column: str, what: str) -> str:
    """Return a trigger that lists a picture among the changes of the commit under way, which is the next epoch."""
    epoch = "(SELECT CAST(value AS INTEGER) + 1 FROM meta WHERE key = 'epoch')"
    # no OR IGNORE: within a trigger the conflict clause of the statement that fires it counts
    known = f"changes WHERE epoch = {epoch} AND content_id = {row}.{column} AND what IN ('added', '{what}')"
    name = f"{table}_{event.split(maxsplit=1)[0].lower()}"
    return (
        f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN INSERT INTO changes"
        f" SELECT {epoch}, {row}.{column}, '{what}' WHERE NOT EXISTS (SELECT 1 FROM {known}); END;\n"
    )


def _triggers() -> str:
    made = [
        _trigger("contents", "INSERT", "NEW", "id", "added"),
        _trigger("contents", "DELETE", "OLD", "id", "removed"),
    ]
    for table, what in (("locations", "placed"), ("vectors", "embedded"), ("labels", "labelled")):
        made.append(_trigger(table, "INSERT", "NEW", "content_id", what))
        made.append(_trigger(table, "DELETE", "OLD", "content_id", what))
    made.append(_trigger("vectors", "UPDATE", "NEW", "content_id", "embedded"))
    # a place may come to hold another picture: both have changed
    for row in ("OLD", "NEW"):
        trigger = _trigger("locations", "UPDATE OF content_id", row, "content_id", "placed")
        made.append(trigger.replace("locations_update", f"locations_update_{row.lower()}"))
    return "".join(made)


# From here on the changes name all that an answer may depend on; before, those of facts and features were not named.
_ALL_CHANGES = """
UPDATE meta SET key = 'changes_since', value = (SELECT value FROM meta WHERE key = 'epoch')
    WHERE key = 'changes_from';
""" + "".join(
    _trigger(table, event, row, "content_id", table)
    for table in ("facts", "features")
    for event, row in (("INSERT", "NEW"), ("DELETE", "OLD"))
)


def _added(tables: _Columns) -> str:
    return "".join(
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};\n"
        for table, columns in tables.items()
        for name, kind in columns
    )


_SECOND = _added(_COLUMNS) + _TABLES + _triggers()

_MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("initial", _INITIAL),
    ("history, facts, pairs, jobs", _SECOND),
    ("digests of refusals, records and the log", _added(_MORE_DIGESTS)),
    ("totals, all changes", TOTALS + UNCOUNTED + counters() + _ALL_CHANGES),
)
VERSION = len(_MIGRATIONS)
COUNTED = 4  # the schema from which on there are totals


def check_version(connection: sqlite3.Connection, path: str) -> int:
    """Return the database's schema number; raise NewerSchema where this program does not know it."""
    number = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if number > VERSION:
        raise NewerSchema(
            f"{path} was written by a newer Sosie (schema {number}, this one knows {VERSION}): upgrade Sosie"
        )
    return number


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the database up to ``VERSION``; each step is one transaction."""
    for number in range(check_version(connection, path) + 1, VERSION + 1):
        name, statements = _MIGRATIONS[number - 1]
        connection.execute("BEGIN IMMEDIATE")
        try:
            if check_version(connection, path) < number:  # another process may have been faster
                for statement in _statements(statements):
                    connection.execute(statement)
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT, at REAL)"
                )
                connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, time.time()))
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; a trigger has semicolons of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement.strip(), statement


def read_older(connection: sqlite3.Connection, version: int) -> None:
    """Let a connection that cannot write see an older database as if it had been migrated, through temporary views."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for table, columns in {**(_COLUMNS if version < 2 else {}), **_MORE_DIGESTS}.items():
        if table == "log" and version < 2:
            continue  # made below, as a table of no rows
        more = ", ".join(f"{_default(kind)} AS {name}" for name, kind in columns)
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {more} FROM main.{table}")
    for statement in _statements(_TABLES) if version < 2 else ():
        if "CREATE TABLE" in statement:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))
    if version < 2:
        connection.execute("ALTER TABLE temp.log ADD COLUMN digest BLOB")
    connection.execute(TOTALS.replace("CREATE TABLE", "CREATE TEMP TABLE"))


def _default(kind: str) -> str:
    return kind.rpartition("DEFAULT ")[2] if "DEFAULT" in kind else "NULL"
