"""Look through a catalogue for what cannot be: damaged rows, rows that belong to nothing, vectors that lack."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sosie.arrays import usable
from sosie.catalogue import schema
from sosie.catalogue.decisions import decision_is_sound
from sosie.catalogue.facts import fact_is_sound
from sosie.catalogue.labels import label_is_sound
from sosie.catalogue.places import PLACE_COLUMNS, place_is_sound
from sosie.catalogue.records import ContentRow, Space, digest_of, row_is_sound
from sosie.catalogue.regions import count_rewrites
from sosie.catalogue.sqlite import CONTENT_COLUMNS, REFUSAL_COLUMNS, Catalogue, content_is_sound

__all__ = [
    "damaged_decisions",
    "damaged_facts",
    "damaged_features",
    "damaged_labels",
    "damaged_log",
    "damaged_places",
    "damaged_records",
    "damaged_refusals",
    "damaged_regions",
    "damaged_rows",
    "damaged_vectors",
    "drop_damaged",
    "drop_features",
    "drop_orphans",
    "drop_regions",
    "drop_vectors",
    "integrity",
    "lacking_vectors",
    "orphans",
    "places",
    "shared_by_many",
    "unusable_vectors",
]

_PAGE = 2_000
_TABLES_AND_COLUMNS = (
    "SELECT tables.type, tables.name, coalesce(columns.name, '') FROM sqlite_master AS tables"
    " LEFT JOIN pragma_table_info(tables.name) AS columns WHERE tables.name NOT LIKE 'sqlite_%'"
)
# Tables whose rows belong to a picture.
_CHILDREN = ("locations", "vectors", "regions", "features", "labels", "facts")


def integrity(catalogue: Catalogue) -> list[str]:
    """Return what SQLite itself finds wrong with the file."""
    rows = [str(row[0]) for row in catalogue.query("PRAGMA integrity_check(20)")]
    return ([] if rows == ["ok"] else rows) + _altered_tables(catalogue)


def _altered_tables(catalogue: Catalogue) -> list[str]:
    """Return which tables and indexes are not as the migrations make them; an older schema has nothing to compare."""
    if catalogue.query("PRAGMA user_version") != [(schema.VERSION,)]:
        return []
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        schema.migrate(fresh, ":memory:")
        wanted = set(fresh.execute(_TABLES_AND_COLUMNS))
    there = set(catalogue.query(_TABLES_AND_COLUMNS))
    return [f"{kind} {name} {column} is not there" for kind, name, column in sorted(wanted - there)]


def orphans(catalogue: Catalogue) -> dict[str, int]:
    """Return how many rows of each table belong to a picture that is not there."""
    counts = {
        table: int(
            catalogue.query(f"SELECT count(*) FROM {table} WHERE content_id NOT IN (SELECT id FROM contents)")[0][0]
        )
        for table in _CHILDREN
    }
    return {table: count for table, count in counts.items() if count}


def drop_orphans(catalogue: Catalogue, table: str) -> None:
    """Delete the rows of ``table`` that belong to no picture."""
    assert table in _CHILDREN
    with catalogue.transaction("sosie doctor") as connection:
        connection.execute(f"DELETE FROM {table} WHERE content_id NOT IN (SELECT id FROM contents)")


def damaged_rows(catalogue: Catalogue) -> Iterator[int]:
    """Yield the ids of pictures whose row does not fit its digest."""
    columns = f"id, {CONTENT_COLUMNS}, added_at, digest"
    for row in _paged(catalogue, f"SELECT {columns} FROM contents WHERE id > ? ORDER BY id LIMIT ?"):
        if not content_is_sound(ContentRow(*row[1:-2]), *row[-2:]):
            yield int(row[0])


def damaged_vectors(catalogue: Catalogue, space_id: int, dim: int) -> Iterator[int]:
    """Yield the ids of pictures whose vector in a space does not fit its digest or its dimension."""
    sql = (
        "SELECT content_id, vector, digest FROM vectors"
        f" WHERE space_id = {int(space_id)} AND region_id = 0 AND content_id > ? ORDER BY content_id LIMIT ?"
    )
    for content_id, vector, digest in _paged(catalogue, sql):
        if digest_of(vector) != digest or len(vector) != 2 * dim:
            yield int(content_id)


def unusable_vectors(catalogue: Catalogue, space_id: int) -> Iterator[int]:
    """Yield the ids of pictures whose vector in a space is all zeros or holds what is no number."""
    sql = (
        "SELECT content_id, vector FROM vectors"
        f" WHERE space_id = {int(space_id)} AND region_id = 0 AND content_id > ? ORDER BY content_id LIMIT ?"
    )
    for content_id, vector in _paged(catalogue, sql):
        if len(vector) % 2 == 0 and not usable(np.frombuffer(vector, np.float16)[None]).all():
            yield int(content_id)


def damaged_regions(catalogue: Catalogue, space: Space, *, of: int | None = None) -> list[int]:
    """Return the ids of pictures (or only ``of``) some of whose regions in a space are damaged, ascending.

    A region is damaged whose vector does not fit its digest or its dimension, or whose vector or place is not there.
    """
    found, last = set(), (-1, -1)
    while rows := catalogue.query(
        "SELECT vectors.content_id, region_id, vector, digest, regions.id FROM vectors LEFT JOIN regions"
        " ON regions.id = region_id AND regions.content_id = vectors.content_id WHERE space_id = ?"
        " AND (vectors.content_id, region_id) > (?, ?) AND (? IS NULL OR vectors.content_id = ?)"
        " ORDER BY vectors.content_id, region_id LIMIT ?",
        (space.id, *last, of, of, _PAGE),
    ):
        last = rows[-1][:2]
        for content_id, _, vector, digest, region in rows:
            if region is None or digest_of(vector) != digest or len(vector) != 2 * space.dim:
                found.add(int(content_id))
    without = catalogue.query(
        f"SELECT DISTINCT content_id FROM regions WHERE kind = ? AND (? IS NULL OR content_id = ?) AND {_NO_VECTOR}",
        (space.regions, of, of),
    )
    return sorted(found | {int(row[0]) for row in without})


_NO_VECTOR = (
    "NOT EXISTS (SELECT 1 FROM spaces JOIN vectors ON space_id = spaces.id AND vectors.content_id = regions.content_id"
    " AND region_id = regions.id WHERE spaces.regions = regions.kind)"
)


def drop_regions(catalogue: Catalogue, space: Space, content_id: int) -> None:
    """Forget a picture's regions in a space, and those of its kind that are in none."""
    with catalogue.transaction("sosie doctor") as connection:
        connection.execute(
            "DELETE FROM regions WHERE id IN (SELECT region_id FROM vectors WHERE space_id = ? AND content_id = ?)",
            (space.id, content_id),
        )
        connection.execute("DELETE FROM vectors WHERE space_id = ? AND content_id = ?", (space.id, content_id))
        connection.execute(
            f"DELETE FROM regions WHERE kind = ? AND content_id = ? AND {_NO_VECTOR}", (space.regions, content_id)
        )
        count_rewrites(connection, [space.id])


def lacking_vectors(catalogue: Catalogue, space_id: int) -> list[int]:
    """Return the ids of pictures with a place that are not embedded in a space."""
    rows = catalogue.query(
        "SELECT id FROM contents WHERE id IN (SELECT content_id FROM locations) AND id NOT IN"
        " (SELECT content_id FROM vectors WHERE space_id = ? AND region_id = 0) ORDER BY id",
        (space_id,),
    )
    return [int(row[0]) for row in rows]


def drop_vectors(catalogue: Catalogue, content_id: int) -> None:
    """Forget a picture's vectors, so that it is embedded anew."""
    with catalogue.transaction("sosie doctor") as connection:
        connection.execute("DELETE FROM vectors WHERE content_id = ?", (content_id,))
        connection.execute("DELETE FROM regions WHERE content_id = ?", (content_id,))


def damaged_features(catalogue: Catalogue) -> Iterator[int]:
    """Yield the ids of pictures whose local features do not fit their digest."""
    sql = "SELECT content_id, data, digest FROM features WHERE content_id > ? ORDER BY content_id LIMIT ?"
    for content_id, data, digest in _paged(catalogue, sql):
        if digest_of(data) != digest:
            yield int(content_id)


def drop_features(catalogue: Catalogue, content_id: int) -> None:
    """Forget a picture's local features; they are computed again when they are needed."""
    with catalogue.transaction("sosie doctor") as connection:
        connection.execute("DELETE FROM features WHERE content_id = ?", (content_id,))


def damaged_places(catalogue: Catalogue) -> list[str]:
    """Return the URIs of places whose row does not fit its digest."""
    rows = catalogue.query(f"SELECT {PLACE_COLUMNS}, digest FROM locations ORDER BY uri")
    return [row[0] for row in rows if not place_is_sound(row)]


def damaged_labels(catalogue: Catalogue) -> list[tuple[int, str, str]]:
    """Return (content id, name, text) of labels whose row does not fit its digest."""
    rows = catalogue.query("SELECT content_id, name, kind, text, number, digest FROM labels ORDER BY 1, 2, 4")
    return [(row[0], row[1], row[3]) for row in rows if not label_is_sound(row)]


def damaged_decisions(catalogue: Catalogue) -> list[tuple[bytes, bytes]]:
    """Return the digests of pairs whose decision does not fit its digest."""
    rows = catalogue.query("SELECT a, b, decision, note, at, digest FROM decisions ORDER BY a, b")
    return [row[:2] for row in rows if not decision_is_sound(row)]


def damaged_refusals(catalogue: Catalogue) -> list[str]:
    """Return the URIs in the quarantine whose row does not fit its digest."""
    rows = catalogue.query(f"SELECT {REFUSAL_COLUMNS}, digest FROM quarantine ORDER BY uri")
    return [row[0] for row in rows if not row_is_sound(row)]


def damaged_records(catalogue: Catalogue) -> list[str]:
    """Return the keys of documents that do not fit their digest."""
    rows = catalogue.query("SELECT key, value, at, digest FROM records ORDER BY key")
    return [row[0] for row in rows if not row_is_sound(row)]


def damaged_facts(catalogue: Catalogue) -> list[tuple[int, str, str]]:
    """Return (content id, name, text) of facts whose row does not fit its digest."""
    rows = catalogue.query("SELECT content_id, name, text, number, digest FROM facts ORDER BY 1, 2, 3")
    return [row[:3] for row in rows if not fact_is_sound(row)]


def damaged_log(catalogue: Catalogue) -> list[int]:
    """Return the ids of entries of the log that do not fit their digest."""
    rows = catalogue.query("SELECT id, at, actor, deed, detail, digest FROM log ORDER BY id")
    return [row[0] for row in rows if row[-1] is not None and not row_is_sound(row[1:])]


def drop_damaged(catalogue: Catalogue) -> None:
    """Forget small rows that are not what was written: they cannot be told from wrong ones."""
    places, labels = damaged_places(catalogue), damaged_labels(catalogue)
    decisions = damaged_decisions(catalogue)
    refusals, records = damaged_refusals(catalogue), damaged_records(catalogue)
    facts, entries = damaged_facts(catalogue), damaged_log(catalogue)
    with catalogue.transaction("sosie doctor") as connection:
        connection.executemany("DELETE FROM locations WHERE uri = ?", [(uri,) for uri in places])
        connection.executemany("DELETE FROM labels WHERE content_id = ? AND name = ? AND text = ?", labels)
        connection.executemany("DELETE FROM decisions WHERE a = ? AND b = ?", decisions)
        connection.executemany("DELETE FROM quarantine WHERE uri = ?", [(uri,) for uri in refusals])
        connection.executemany("DELETE FROM records WHERE key = ?", [(key,) for key in records])
        connection.executemany("DELETE FROM facts WHERE content_id = ? AND name = ? AND text = ?", facts)
        connection.executemany("DELETE FROM log WHERE id = ?", [(entry,) for entry in entries])


def places(catalogue: Catalogue) -> Iterator[tuple[str, str, int, bytes, tuple[int | None, ...]]]:
    """Yield (uri, root, content id, sha256, stamp) of every place, in order."""
    last = ""
    while rows := catalogue.query(
        "SELECT uri, root, content_id, sha256, size, mtime_ns, inode FROM locations"
        " JOIN contents ON contents.id = content_id WHERE uri > ? ORDER BY uri LIMIT ?",
        (last, _PAGE),
    ):
        last = rows[-1][0]
        for uri, root, content_id, sha256, *stamp in rows:
            yield uri, root, content_id, sha256, tuple(stamp)


def shared_by_many(catalogue: Catalogue, *, at_least: int) -> list[tuple[int, int, str]]:
    """Return (content id, number of web addresses, one of them) of pictures that many addresses gave, most first."""
    rows = catalogue.query(
        "SELECT content_id, count(*), min(uri) FROM locations WHERE uri LIKE 'http%'"
        " GROUP BY content_id HAVING count(*) >= ? ORDER BY count(*) DESC, content_id",
        (at_least,),
    )
    return [(content_id, count, uri) for content_id, count, uri in rows]


def _paged(catalogue: Catalogue, sql: str) -> Iterator[Sequence[Any]]:
    """Run a query that takes (last id, limit) until it gives no more."""
    last = -1
    while rows := catalogue.query(sql, (last, _PAGE)):
        last = rows[-1][0]
        yield from rows
