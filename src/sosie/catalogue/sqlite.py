"""The catalogue of a library on SQLite: everything that ingest and search ask of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.arrays import usable
from sosie.catalogue.changes import Changes
from sosie.catalogue.database import Database
from sosie.catalogue.decisions import Decisions
from sosie.catalogue.deeds import insert_deed, removal
from sosie.catalogue.facts import Facts
from sosie.catalogue.journal import Journal
from sosie.catalogue.labels import Labels, gather
from sosie.catalogue.orders import arrange, name_key, order_sql
from sosie.catalogue.pairs import Pairs
from sosie.catalogue.places import PLACE_COLUMNS, Places, place_is_sound
from sosie.catalogue.records import (
    AddContent,
    AddLocation,
    AddQuarantine,
    Change,
    ContentChange,
    ContentRow,
    KnownPlace,
    Located,
    PictureRecord,
    QuarantineRow,
    Space,
    digest_of,
    fields_digest,
    row_is_sound,
)
from sosie.catalogue.regions import Regions, count_rewrites, put_regions
from sosie.catalogue.selection import Selection
from sosie.catalogue.specs import read_spec, spec_hash
from sosie.catalogue.totals import of_space, totals
from sosie.catalogue.where import Compiled, parse
from sosie.errors import DamagedError, UnknownName
from sosie.types import EXACT_PIXELS, EmbedderSpec, FloatMatrix, Head, Ids, ImageRef, Verdict

__all__ = ["CONTENT_COLUMNS", "REFUSAL_COLUMNS", "Catalogue", "content_is_sound"]

_VARIABLES = 500  # of one statement; SQLite allows more
_LIVE = "EXISTS (SELECT 1 FROM locations WHERE locations.content_id = contents.id)"

# Records as one row of JSON. Python's module lets go of the interpreter's lock for every row, and each time another
# thread may take it: with eight threads that search, ten hits in thirty rows cost a quarter of the throughput.
# Numbers are written with 21 digits, as SQLite's own quote() does: JSON's have 15, and not every double survives that.
_PICTURES = """
SELECT json_group_array(json_array(
    id, hex(sha256), bytes, format, width, height, hex(pixels), hex(pdq), pdq_quality, pixels_version, frames, repaired,
    hex(digest), printf('%!.20e', added_at),
    NOT EXISTS (SELECT 1 FROM locations WHERE content_id = contents.id AND gone_at IS NULL),
    json((
        SELECT json_group_array(json_array(
            uri, content_id, root, size, mtime_ns, inode, iif(seen_at IS NULL, NULL, printf('%!.20e', seen_at)),
            iif(gone_at IS NULL, NULL, printf('%!.20e', gone_at)), hex(digest)
        ))
        FROM (SELECT * FROM locations WHERE content_id = contents.id ORDER BY gone_at IS NOT NULL, uri)
    )),
    json((
        SELECT json_group_array(json_array(content_id, name, kind, text, printf('%!.20e', number), hex(digest)))
        FROM (SELECT * FROM labels WHERE content_id = contents.id ORDER BY name, text)
    ))
))
FROM contents WHERE id IN (SELECT value FROM json_each(?))
"""

_NAMED = """
SELECT id, lower(hex(sha256)), (SELECT min(uri) FROM locations WHERE content_id = contents.id)
FROM contents WHERE id IN (SELECT value FROM json_each(?))
"""


class Catalogue(Labels, Decisions, Regions, Facts, Pairs, Journal, Places, Database):
    """What is known of each picture; a commit here is the only commit point of a library."""

    def __init__(self, path: Path, *, create: bool = True, read_only: bool = False) -> None:
        super().__init__(path, create=create, read_only=read_only)
        self.commits = Changes(self)
        self.selection = Selection(self, self.commits)

    def epoch(self) -> int:
        """Return a number that grows with every commit."""
        return self.commits.moment().epoch

    def steady(self) -> AbstractContextManager[None]:
        """Ask for the epoch once: within the block, this thread is told the same one again."""
        return self.commits.steady()

    def changes(self, since: int) -> list[ContentChange] | None:
        """Return what commits after the epoch ``since`` did to pictures, in order; None where that is not kept."""
        return self.commits.listed(since)

    def rewrites(self, space: Space) -> int:
        """Return how often a picture that was there got a vector of a space later.

        What grows only at its end did not notice.
        """
        # libraries of before there were several spaces counted for all of them together
        rows = self.query("SELECT value FROM meta WHERE key IN ('rewrites', ?)", (f"rewrites/{space.id}",))
        return sum(int(value) for (value,) in rows)

    def condition(self, where: str | None) -> Compiled | None:
        """Compile a ``--where`` expression to SQL over ``contents``, None where there is none; raise FilterError."""
        return Compiled(parse(where)) if where else None

    def health(self) -> dict[str, Any]:
        """Return nothing: a file needs no service."""
        return {}

    def view(self, space: Space) -> None:
        """Return None: a library on SQLite is searched through indexes that are built beside it."""

    # -------------------------------------------------------------------------------------------- spaces

    def spaces(self) -> list[Space]:
        """Return every embedding space, oldest first."""
        rows = self.query("SELECT id, name, spec, spec_hash, head, dim, regions FROM spaces ORDER BY id")
        specs = [self.parsed(row[2], f"the description of space {row[1]}", read_spec) for row in rows]
        return [
            Space(i, name, spec, spec_digest, head, dim, regions)
            for (i, name, _, spec_digest, head, dim, regions), spec in zip(rows, specs, strict=True)
        ]

    def space(self, name: str) -> Space:
        """Return the space of that name; raise UnknownName."""
        for space in self.spaces():
            if space.name == name:
                return space
        raise UnknownName(f"no space is called {name!r}; known: {', '.join(s.name for s in self.spaces()) or 'none'}")

    def live_rows(self, space: Space, condition: tuple[str, Sequence[Any]] | None = None) -> Ids:
        """Return the sorted ids of a space's pictures, or regions, that have a place and meet an SQL condition."""
        if space.regions == "whole":
            return self.live_ids(condition)
        return self.live_regions(space, condition)

    def ensure_spaces(
        self, spec: EmbedderSpec, *, regions: str = "whole", heads: Sequence[Head] | None = None
    ) -> list[Space]:
        """Return one space per head of the embedder, or of ``heads``, making those that are not there."""
        heads = spec.heads if heads is None else heads
        fingerprint = spec_hash(spec)
        known = {(s.spec_hash, s.head, s.regions): s for s in self.spaces()}
        wanted = [(fingerprint, head.name, regions) for head in heads]
        if any(key not in known for key in wanted):
            with self.transaction("adding a space") as connection:
                for head in heads:
                    if (fingerprint, head.name, regions) in known:
                        continue
                    name = f"{spec.name}@{spec.version}/{head.name}/{regions}"
                    if any(name == space.name for space in known.values()):  # another network under that name
                        name = f"{name}#{fingerprint}"
                    connection.execute(
                        "INSERT INTO spaces (name, spec, spec_hash, head, dim, regions, created_at)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (
                            name,
                            json.dumps(asdict(spec)),
                            fingerprint,
                            head.name,
                            head.dim,
                            regions,
                            time.time(),
                        ),
                    )
            known = {(s.spec_hash, s.head, s.regions): s for s in self.spaces()}
        return [known[key] for key in wanted]

    def embedded(self, space: Space) -> int:
        """Return how many whole pictures have a vector in a space."""
        return int(self.query("SELECT count(*) FROM vectors WHERE space_id = ? AND region_id = 0", (space.id,))[0][0])

    def drop_space(self, space: Space) -> None:
        """Forget a space and all its vectors."""
        with self.transaction("dropping a space") as connection:
            connection.execute(
                "DELETE FROM regions WHERE id IN (SELECT region_id FROM vectors WHERE space_id = ?)", (space.id,)
            )
            connection.execute("DELETE FROM spaces WHERE id = ?", (space.id,))
            connection.execute("DELETE FROM meta WHERE key = ?", (f"rewrites/{space.id}",))

    # -------------------------------------------------------------------------------------------- ingest

    def look_up(self, uris: Sequence[str]) -> dict[str, KnownPlace]:
        """Return what is known of each of some places."""
        found = {}
        for uri in uris:
            located = self.located(uri)
            found[uri] = KnownPlace(located, None if located else self.quarantined(uri))
        return found

    def located(self, uri: str) -> Located | None:
        """Return what is stored of a place."""
        rows = self.query(
            f"SELECT {PLACE_COLUMNS}, locations.digest, sha256, gone_at IS NOT NULL FROM locations"
            " JOIN contents ON contents.id = content_id WHERE uri = ?",
            (uri,),
        )
        if not rows:
            return None
        if not place_is_sound(rows[0][:9]):
            raise DamagedError(f"what {self.path} knows of {uri} is damaged: run `sosie doctor`")
        _, content_id, root, size, mtime_ns, inode, _, _, _, sha256, gone = rows[0]
        return Located(content_id, sha256, root, stamp=(size, mtime_ns, inode), gone=bool(gone))

    def quarantined(self, uri: str) -> tuple[tuple[int | None, int | None, int | None], str] | None:
        """Return the stamp and the reason of a quarantined place."""
        rows = self.query(f"SELECT {REFUSAL_COLUMNS}, digest FROM quarantine WHERE uri = ?", (uri,))
        if not rows:
            return None
        if not row_is_sound(rows[0]):
            raise DamagedError(f"what {self.path} knows of {uri} is damaged: run `sosie doctor`")
        return tuple(rows[0][4:7]), rows[0][1]

    def content_id(self, sha256: bytes) -> int | None:
        """Return the id of the picture with these bytes."""
        rows = self.query("SELECT id FROM contents WHERE sha256 = ?", (sha256,))
        return int(rows[0][0]) if rows else None

    def digests(self, spaces: Sequence[int]) -> npt.NDArray[np.uint64]:
        """Return, sorted, the first eight bytes (n,) of the SHA-256 of pictures that are embedded in all these spaces.

        They are read as big-endian numbers. Pictures are told apart by them in a set; what they say has to be checked.
        """
        marks = ", ".join("?" * len(spaces))
        rows = self.query(
            "SELECT substr(sha256, 1, 8) FROM contents WHERE (SELECT count(DISTINCT space_id) FROM vectors"
            f" WHERE content_id = contents.id AND space_id IN ({marks})) = ? ORDER BY sha256",
            (*spaces, len(spaces)),
        )
        return np.frombuffer(b"".join(row[0] for row in rows), ">u8").astype(np.uint64)

    def content_ids(self, shas: Sequence[bytes]) -> dict[bytes, int]:
        """Return the ids of those of a few pictures, given by their bytes' SHA-256, that are known."""
        return {sha256: found for sha256 in shas if (found := self.content_id(sha256)) is not None}

    def same(self, sha256: bytes | None, pixels: bytes | None) -> dict[int, Verdict]:
        """Return the live pictures with these bytes, IDENTICAL and first, or with these exact pixels, SAME_PIXELS.

        None is no picture's; digests of an older version are of reduced pixels, and say nothing.
        """
        rows = self.query(
            "SELECT id, sha256 IS ?1 AS identical FROM contents"
            f" WHERE (sha256 = ?1 OR (pixels = ?2 AND pixels_version = {EXACT_PIXELS})) AND {_LIVE}"
            " ORDER BY identical DESC, id",
            (sha256, pixels),
        )
        return {i: Verdict.IDENTICAL if identical else Verdict.SAME_PIXELS for i, identical in rows}

    def has_vectors(self, content_id: int, spaces: Iterable[int]) -> bool:
        """Tell whether a picture is embedded in all of these spaces."""
        rows = self.query("SELECT DISTINCT space_id FROM vectors WHERE content_id = ?", (content_id,))
        return set(spaces) <= {row[0] for row in rows}

    def lacking(self, spaces: Sequence[int]) -> int:
        """Return how many pictures are not embedded in all of these spaces."""
        marks = ", ".join("?" * len(spaces))
        rows = self.query(
            f"SELECT count(*) FROM contents WHERE (SELECT count(DISTINCT space_id) FROM vectors"
            f" WHERE content_id = contents.id AND space_id IN ({marks})) < ?",
            (*spaces, len(spaces)),
        )
        return int(rows[0][0])

    def places_lacking(self, spaces: Sequence[int]) -> list[tuple[str, int, ImageRef]]:
        """Return (root, id, one place with its stamp) of live pictures that are not embedded in all of these spaces."""
        marks = ", ".join("?" * len(spaces))
        rows = self.query(
            "SELECT root, content_id, min(uri), size, mtime_ns, inode FROM locations"
            " WHERE (SELECT count(DISTINCT space_id) FROM vectors WHERE vectors.content_id = locations.content_id"
            f" AND space_id IN ({marks})) < ? GROUP BY content_id ORDER BY content_id",
            (*spaces, len(spaces)),
        )
        return [(root, content_id, ImageRef(uri, {}, *stamp)) for root, content_id, uri, *stamp in rows]

    def uris(self, content_id: int) -> list[tuple[str, str]]:
        """Return (uri, root) of every place of a picture, those where it is not gone first."""
        rows = self.query(
            "SELECT uri, root FROM locations WHERE content_id = ? ORDER BY gone_at IS NOT NULL, uri", (content_id,)
        )
        return [(uri, root) for uri, root in rows]

    def apply(self, changes: Sequence[Change], *, root: str) -> None:
        """Write what ingest found, in one transaction."""
        with self.transaction("adding pictures") as connection:
            for change in changes:
                match change:
                    case AddContent():
                        content_id = _put_content(connection, change)
                        _put_location(connection, content_id, change.ref, root)
                        self.put_labels(connection, content_id, change.ref.labels)
                        self.replace_facts(connection, content_id, change.facts)
                        for made in change.features:
                            _put_features(connection, [(content_id, made.data)], version=made.version)
                    case AddLocation():
                        content_id = _content_id(connection, change.sha256)
                        _put_location(connection, content_id, change.ref, root)
                        self.put_labels(connection, content_id, change.ref.labels)
                        for uri in change.gone:
                            connection.execute("DELETE FROM locations WHERE uri = ?", (uri,))
                    case AddQuarantine():
                        _put_quarantine(connection, change, root)

    def drop_locations(self, uris: Sequence[str]) -> int:
        """Forget places. A picture without a place is not found any more, but costs no embedding when it is back."""
        with self.transaction("dropping locations") as connection:
            connection.executemany("DELETE FROM locations WHERE uri = ?", [(uri,) for uri in uris])
            connection.executemany("DELETE FROM quarantine WHERE uri = ?", [(uri,) for uri in uris])
        return len(uris)

    def remove(self, ids: Sequence[int]) -> int:
        """Forget pictures altogether, with their vectors and labels."""
        with self.transaction("removing pictures") as connection:
            known = connection.execute(_NAMED, (json.dumps([*ids]),)).fetchall()
            before = connection.total_changes
            connection.executemany("DELETE FROM contents WHERE id = ?", [(i,) for i in ids])
            removed = connection.total_changes - before
            if known:
                insert_deed(connection, "remove", removal(known))
            return removed

    # -------------------------------------------------------------------------------------------- search

    def live_ids(
        self, condition: tuple[str, Sequence[Any]] | None = None, *, after: int = -1, limit: int | None = None
    ) -> Ids:
        """Return the sorted ids of pictures that have a place, and meet an SQL condition over ``contents``.

        Those above ``after``, and at most ``limit``: no more of the table is read.
        """
        sql, parameters = condition or ("1", ())
        rows = self.query(
            f"SELECT id FROM contents WHERE id > ? AND {_LIVE} AND ({sql}) ORDER BY id LIMIT ?",
            (after, *parameters, -1 if limit is None else limit),
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def ordered_ids(
        self, by: str, condition: tuple[str, Sequence[Any]] | None = None, *, descending: bool = False
    ) -> Ids:
        """Return the ids of live pictures that meet an SQL condition, in an order of ``ORDERS``; raise UsageError."""
        sql, parameters = condition or ("1", ())
        rows = self.query(order_sql(by, sql), parameters)
        if by == "name":
            rows = [(name_key(uri), content_id) for uri, content_id in rows]
        return arrange(rows, descending=descending)

    def meeting(self, ids: Sequence[int], condition: Compiled | None = None) -> set[int]:
        """Return those of a few pictures that are live and meet a condition."""
        sql, parameters = condition.of_each if condition else ("1", [])
        rows = self.query(
            f"SELECT id FROM contents WHERE id IN (SELECT value FROM json_each(?)) AND {_LIVE} AND ({sql})",
            (json.dumps([int(i) for i in ids]), *parameters),
        )
        return {row[0] for row in rows}

    def vectors(self, space: Space, *, after: int = 0) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) with an id above ``after``, in order of id.

        The ids are those of pictures, and of regions where the space is one of regions.
        """
        column = _row_column(space)
        rows = self.query(
            f"SELECT {column}, vector, digest FROM vectors WHERE space_id = ? AND {column} > ? ORDER BY {column}",
            (space.id, after),
        )
        return self._vectors(space, rows)

    def _vectors(self, space: Space, rows: Sequence[tuple[Any, ...]]) -> tuple[Ids, FloatMatrix]:
        """Return ids and vectors of rows (id, vector, digest); raise DamagedError."""
        what = "picture" if space.regions == "whole" else "region"
        for row_id, blob, digest in rows:
            self.check_vector(blob, digest, f"{what} {row_id}")
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        flat = np.frombuffer(b"".join(row[1] for row in rows), np.float16)
        return _usable(ids, flat.reshape(len(rows), space.dim).astype(np.float32))

    def live_rows_of(self, space: Space, contents: Ids) -> Ids:
        """Return the sorted ids of those of some pictures, or of their regions, that have a place and a vector."""
        column = _row_column(space)
        rows = self.query(
            f"SELECT {column} FROM vectors WHERE space_id = ? AND content_id IN (SELECT value FROM json_each(?))"
            " AND EXISTS (SELECT 1 FROM locations WHERE locations.content_id = vectors.content_id)",
            (space.id, json.dumps(contents.tolist())),
        )
        return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))

    def vectors_of_rows(self, space: Space, contents: Ids, rows: Ids) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of ``rows``, which are some of these pictures, or of their regions."""
        column = _row_column(space)
        found = self.query(
            f"SELECT {column}, vector, digest FROM vectors WHERE space_id = ?"
            f" AND content_id IN (SELECT value FROM json_each(?)) ORDER BY {column}",
            (space.id, json.dumps(contents.tolist())),
        )
        wanted = np.isin(np.fromiter((row[0] for row in found), np.int64, len(found)), rows, assume_unique=True)
        return self._vectors(space, [row for row, kept in zip(found, wanted.tolist(), strict=True) if kept])

    def vectors_of(self, space: Space, ids: Sequence[int]) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of those of a few whole pictures that have one, in order of id."""
        rows = self.among(
            "SELECT content_id, vector FROM vectors WHERE space_id = ? AND content_id IN ({marks})"
            " AND region_id = 0 ORDER BY content_id",
            (space.id,),
            sorted(ids),
        )
        flat = np.frombuffer(b"".join(row[1] for row in rows), np.float16)
        found = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return _usable(found, flat.reshape(len(rows), space.dim).astype(np.float32))

    def vector(self, space: Space, content_id: int) -> FloatMatrix | None:
        """Return the vector (dim,) of one whole picture, or None."""
        rows = self.query(
            "SELECT vector FROM vectors WHERE space_id = ? AND content_id = ? AND region_id = 0", (space.id, content_id)
        )
        _, found = _usable(
            np.arange(len(rows)), np.array([np.frombuffer(row[0], np.float16) for row in rows], np.float32)
        )
        return found[0] if len(found) else None

    def content(self, content_id: int) -> ContentRow:
        """Return one picture's row; raise UnknownName, or DamagedError where its digest does not fit."""
        rows = self.query(
            f"SELECT {CONTENT_COLUMNS}, added_at, digest FROM contents WHERE id = ?",
            (content_id,),
        )
        if not rows:
            raise UnknownName(f"the library has no picture {content_id}")
        row = ContentRow(*rows[0][:-2])
        if not content_is_sound(row, *rows[0][-2:]):
            raise DamagedError(f"the row of picture {content_id} in {self.path} is damaged: restore a backup")
        return row

    def contents(self, ids: Sequence[int]) -> dict[int, ContentRow]:
        """Return the rows of a few pictures; raise UnknownName, DamagedError."""
        return {content_id: self.content(content_id) for content_id in ids}

    def pictures(self, ids: Sequence[int]) -> list[PictureRecord]:
        """Return the records of these pictures, in the order asked; ids that are not there are left out."""
        found: dict[int, PictureRecord] = {}
        facts = self.facts_of([int(i) for i in ids])
        ((listed,),) = self.query(_PICTURES, (json.dumps([int(i) for i in ids]),))
        for content_id, *fields, digest, added_at, gone, uris, labels in self.parsed(listed, "rows of pictures"):
            row = self._sound_content(content_id, fields, float(added_at), digest)
            found[content_id] = PictureRecord(
                id=content_id,
                sha256=row.sha256.hex(),
                bytes=row.size,
                format=row.format,
                width=row.width,
                height=row.height,
                uris=self._sound_uris(uris),
                labels=gather(row[1:5] for row in self.sound_labels(map(_label_row, labels))),
                added_at=float(added_at),
                gone=bool(gone and uris),
                facts=facts.get(content_id, {}),
            )
        return [found[i] for i in ids if i in found]

    def _sound_content(self, content_id: int, fields: Sequence[Any], added_at: float, digest: str) -> ContentRow:
        """Return a picture's row as `_PICTURES` gives it; raise DamagedError."""
        sha256, size, kind, width, height, pixels, pdq, *rest = fields
        blobs = bytes.fromhex(sha256), bytes.fromhex(pixels), bytes.fromhex(pdq) or None
        row = ContentRow(blobs[0], size, kind, width, height, blobs[1], blobs[2], *rest)
        if not content_is_sound(row, added_at, bytes.fromhex(digest)):
            raise DamagedError(f"the row of picture {content_id} in {self.path} is damaged: run `sosie doctor`")
        return row

    def _sound_uris(self, places: Iterable[Sequence[Any]]) -> tuple[str, ...]:
        """Return the URIs of places as `_PICTURES` gives them; raise DamagedError."""
        for *fields, seen, gone, digest in places:
            times = (None if each is None else float(each) for each in (seen, gone))
            if not place_is_sound((*fields, *times, bytes.fromhex(digest) or None)):
                raise DamagedError(f"what {self.path} knows of {fields[0]} is damaged: run `sosie doctor`")
        return tuple(place[0] for place in places)

    # -------------------------------------------------------------------------------------------- fingerprints

    def fingerprints(self, ids: Sequence[int] | None = None) -> tuple[Ids, Any, Any]:
        """Return ids (n,), PDQ codes (n, 32) uint8 and qualities (n,) of live pictures, or these, in order of id."""
        among = "" if ids is None else " AND id IN (SELECT value FROM json_each(?))"
        rows = self.query(
            f"SELECT id, pdq, pdq_quality FROM contents WHERE pdq IS NOT NULL AND {_LIVE}{among} ORDER BY id",
            () if ids is None else (json.dumps(list(ids)),),
        )
        found = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        codes = np.frombuffer(b"".join(row[1] for row in rows), np.uint8).reshape(len(rows), 32)
        return found, codes, np.fromiter((row[2] for row in rows), np.uint8, len(rows))

    def features(self, ids: Iterable[int], *, version: str) -> dict[int, bytes]:
        """Return the stored local features of these pictures, where they are there."""
        wanted = [int(i) for i in ids]
        found: dict[int, bytes] = {}
        for at in range(0, len(wanted), _VARIABLES):
            some = wanted[at : at + _VARIABLES]
            marks = ", ".join("?" * len(some))
            for content_id, data, digest in self.query(
                f"SELECT content_id, data, digest FROM features WHERE version = ? AND content_id IN ({marks})",
                (version, *some),
            ):
                if digest_of(data) == digest:
                    found[content_id] = data
        return {i: found[i] for i in wanted if i in found}

    def feature_ids(self, *, version: str) -> Ids:
        """Return the sorted ids of pictures whose local features are stored."""
        rows = self.query("SELECT content_id FROM features WHERE version = ? ORDER BY content_id", (version,))
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def featured(self, ids: Ids, *, version: str) -> Ids:
        """Return the sorted ids of those of some pictures whose local features are stored."""
        rows = self.query(
            "SELECT content_id FROM features WHERE version = ? AND content_id IN (SELECT value FROM json_each(?))",
            (version, json.dumps(ids.tolist())),
        )
        return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))

    def put_features(self, rows: Sequence[tuple[int, bytes]], *, version: str) -> None:
        """Store local features, in one transaction."""
        with self.transaction("storing local features") as connection:
            _put_features(connection, rows, version=version)

    # -------------------------------------------------------------------------------------------- the rest

    def quarantine(self, *, reason: str | None = None) -> list[QuarantineRow]:
        """Return the files that could not become pictures."""
        return [QuarantineRow(*row[:3], *row[7:9]) for row in self._refused(reason)]

    def quarantined_refs(self, *, reason: str | None = None) -> list[tuple[str, ImageRef]]:
        """Return (root, reference) of quarantined files, for another try."""
        return [(row[3], ImageRef(row[0])) for row in self._refused(reason)]

    def _refused(self, reason: str | None) -> list[tuple[Any, ...]]:
        """Return rows (``REFUSAL_COLUMNS``, digest) of files that could not become pictures; raise DamagedError."""
        rows = self.query(
            f"SELECT {REFUSAL_COLUMNS}, digest FROM quarantine WHERE ? IS NULL OR reason = ? ORDER BY uri",
            (reason, reason),
        )
        for row in rows:
            if not row_is_sound(row):
                raise DamagedError(f"what {self.path} knows of {row[0]} is damaged: run `sosie doctor`")
        return rows

    def counts(self) -> dict[str, int]:
        """Return how many pictures, locations and quarantined files there are, and the pictures' bytes."""
        found = totals(self)
        quarantined = self.query("SELECT count(*) FROM quarantine")[0][0]
        return {
            "pictures": found["pictures"],
            "locations": found["locations"],
            "quarantined": quarantined,
            "bytes": found["bytes"],
        }

    def count_embedded(self, space: Space) -> int:
        """Return how many pictures with a place have a vector in a space of whole pictures."""
        return totals(self).get(of_space(space), 0)

    def record(self, key: str) -> Any:
        """Return a stored JSON document (a calibration, a benchmark …), or None."""
        rows = self.query("SELECT key, value, at, digest FROM records WHERE key = ?", (key,))
        if rows and not row_is_sound(rows[0]):
            raise DamagedError(f"what {self.path} keeps as {key!r} is damaged: run `sosie doctor`")
        return self.parsed(rows[0][1], f"record {key}") if rows else None

    def put_record(self, key: str, value: Mapping[str, Any]) -> None:
        """Store a JSON document."""
        with self.transaction("storing a record") as connection:
            _put_record(connection, key, value)

    def update_record(self, key: str, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Put ``change`` of a record, or of None, in its place; nobody writes between."""
        with self.transaction("changing a record") as connection:
            _put_record(connection, key, change(self.record(key)))


# ------------------------------------------------------------------------------------------------ rows


def _row_column(space: Space) -> str:
    """Return the column of the ids that a space's vectors have."""
    return "content_id" if space.regions == "whole" else "region_id"


def _usable(ids: Ids, vectors: FloatMatrix) -> tuple[Ids, FloatMatrix]:
    """Leave out what an older version stored of models that failed; `sosie doctor` names it."""
    sound = usable(vectors) if len(ids) else np.ones(0, bool)
    return (ids, vectors) if sound.all() else (ids[sound], vectors[sound])


def _put_content(connection: Any, change: AddContent) -> int:
    row, added_at = change.row, float(change.added_at or time.time())
    cursor = connection.execute(
        f"INSERT INTO contents ({CONTENT_COLUMNS}, added_at, digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
        (*_fields(row), added_at, fields_digest(*_fields(row), added_at)),
    )
    if not cursor.rowcount:  # a known picture gets the vectors that it lacks
        count_rewrites(connection, (*change.vectors, *change.regions))
    content_id = _content_id(connection, row.sha256)
    for space_id, found in change.regions.items():
        put_regions(connection, content_id, space_id, found)
    for space_id, vector in change.vectors.items():
        blob = np.asarray(vector, np.float16).tobytes()
        connection.execute(
            "INSERT INTO vectors (space_id, content_id, region_id, vector, digest) VALUES (?, ?, 0, ?, ?)"
            " ON CONFLICT DO UPDATE SET vector = excluded.vector, digest = excluded.digest",
            (space_id, content_id, blob, digest_of(blob)),
        )
    return content_id


def _label_row(listed: Sequence[Any]) -> tuple[Any, ...]:
    """Return a label's row as `Labels.sound_labels` takes it from the JSON of `_PICTURES`."""
    content_id, name, kind, text, number, digest = listed
    return content_id, name, kind, text, float(number) if kind == "number" else None, bytes.fromhex(digest) or None


def _content_id(connection: Any, sha256: bytes) -> int:
    return int(connection.execute("SELECT id FROM contents WHERE sha256 = ?", (sha256,)).fetchone()[0])


def _put_features(connection: Any, rows: Sequence[tuple[int, bytes]], *, version: str) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO features (content_id, version, data, digest) VALUES (?, ?, ?, ?)",
        [(content_id, version, data, digest_of(data)) for content_id, data in rows],
    )


def _put_location(connection: Any, content_id: int, ref: ImageRef, root: str) -> None:
    row = (ref.uri, content_id, root, ref.size, ref.mtime_ns, ref.inode, time.time(), None)
    connection.execute(
        f"INSERT INTO locations ({PLACE_COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (uri) DO UPDATE SET content_id = excluded.content_id, root = excluded.root, size = excluded.size,"
        " mtime_ns = excluded.mtime_ns, inode = excluded.inode, seen_at = excluded.seen_at, gone_at = NULL,"
        " digest = excluded.digest",
        (*row, fields_digest(*row)),
    )
    connection.execute("DELETE FROM quarantine WHERE uri = ?", (ref.uri,))


def _put_quarantine(connection: Any, change: AddQuarantine, root: str) -> None:
    ref = change.ref
    known = connection.execute("SELECT root, tries FROM quarantine WHERE uri = ?", (ref.uri,)).fetchone()
    root, tries = known or (root, 0)
    row = (ref.uri, change.reason, change.detail, root, ref.size, ref.mtime_ns, ref.inode, tries + 1, time.time())
    connection.execute(
        f"INSERT OR REPLACE INTO quarantine ({REFUSAL_COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, fields_digest(*row)),
    )
    # what lay there before is not there any more
    connection.execute("DELETE FROM locations WHERE uri = ?", (ref.uri,))


def _put_record(connection: Any, key: str, value: Mapping[str, Any]) -> None:
    row = (key, json.dumps(value), time.time())
    connection.execute(
        "INSERT OR REPLACE INTO records (key, value, at, digest) VALUES (?, ?, ?, ?)", (*row, fields_digest(*row))
    )


REFUSAL_COLUMNS = "uri, reason, detail, root, size, mtime_ns, inode, tries, at"  # what the digest of a refusal is of
CONTENT_COLUMNS = "sha256, bytes, format, width, height, pixels, pdq, pdq_quality, pixels_version, frames, repaired"


def _fields(row: ContentRow) -> tuple[Any, ...]:
    return (
        row.sha256, row.size, row.format, row.width, row.height, row.pixels, row.pdq, row.pdq_quality,
        row.pixels_version, row.frames, row.repaired,
    )  # fmt: skip


def content_is_sound(row: ContentRow, added_at: float, digest: bytes) -> bool:
    """Tell whether a picture's row is what was written; older digests were not of ``added_at``, or of fewer columns."""
    fields = _fields(row)
    if fields_digest(*fields, added_at) == digest:
        return True
    return fields_digest(*(fields[:8] if fields[8:] == (1, None, None) else fields)) == digest
