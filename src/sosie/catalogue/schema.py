"""The tables, as numbered migrations: each is applied once, in a transaction, and recorded.

A database with a higher number than this file knows is refused and left as it is.
"""

from __future__ import annotations

import sqlite3
import time

from sosie.errors import NewerSchema

__all__ = ["VERSION", "check_version", "migrate"]

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

_MIGRATIONS: tuple[tuple[str, str], ...] = (("initial", _INITIAL),)
VERSION = len(_MIGRATIONS)


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
                for statement in statements.split(";"):
                    if statement.strip():
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
