"""Regions of pictures and their vectors, as the catalogue stores them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sosie.catalogue.database import Database
from sosie.catalogue.records import AddRegions, RegionRow, Space, digest_of
from sosie.errors import DamagedError
from sosie.types import FloatMatrix, Ids, Region

__all__ = ["Regions", "count_rewrites", "put_regions"]

_COLUMNS = "regions.id, regions.content_id, x, y, width, height, label, confidence"


class Regions(Database):
    """What was found in pictures, and where."""

    def live_regions(self, space: Space, condition: tuple[str, Sequence[Any]] | None = None) -> Ids:
        """Return the sorted ids of a space's regions whose picture has a place and meets an SQL condition."""
        sql, parameters = condition or ("1", ())
        rows = self.query(
            "SELECT region_id FROM vectors WHERE space_id = ? AND content_id IN (SELECT id FROM contents WHERE EXISTS"
            f" (SELECT 1 FROM locations WHERE locations.content_id = contents.id) AND ({sql})) ORDER BY region_id",
            (space.id, *parameters),
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def region_facts(self, space: Space, *, after: int = 0) -> tuple[Ids, Ids, FloatMatrix]:
        """Return the regions of a space with an id above ``after``, in its order: ids, pictures, how sure (n,).

        A region without a label was not judged: it is a square of the map, or stands for the whole picture.
        """
        rows = self.query(
            "SELECT regions.id, regions.content_id, CASE WHEN coalesce(label, '') = '' THEN 1.0 ELSE confidence END"
            " FROM regions CROSS JOIN vectors ON space_id = ? AND vectors.content_id = regions.content_id"
            " AND region_id = regions.id WHERE regions.id > ? AND kind = ? ORDER BY regions.id",
            (space.id, after, space.regions),
        )
        ids, owners = (np.fromiter((row[at] for row in rows), np.int64, len(rows)) for at in (0, 1))
        return ids, owners, np.fromiter((row[2] for row in rows), np.float32, len(rows))

    def regions(self, space: Space, ids: Sequence[int]) -> dict[int, RegionRow]:
        """Return some regions of a space by their ids; those that are not there are left out."""
        rows = self.among(f"SELECT {_COLUMNS} FROM regions WHERE kind = ? AND id IN ({{marks}})", (space.regions,), ids)
        return {row[0]: RegionRow(row[0], row[1], Region(row[2:6], row[6], row[7])) for row in rows}

    def regions_of(self, space: Space, contents: Sequence[int]) -> tuple[list[RegionRow], FloatMatrix]:
        """Return the regions of some pictures in a space, in order of picture, and their vectors (n, dim)."""
        rows = self.among(
            f"SELECT {_COLUMNS}, digest, vector FROM vectors JOIN regions ON regions.id = region_id"
            " WHERE space_id = ? AND vectors.content_id IN ({marks}) ORDER BY regions.content_id, regions.id",
            (space.id,),
            sorted(contents),
        )
        for row in rows:
            self.check_vector(row[-1], row[-2], f"region {row[0]}")
        flat = np.frombuffer(b"".join(row[-1] for row in rows), np.float16)
        found = [RegionRow(row[0], row[1], Region(row[2:6], row[6], row[7])) for row in rows]
        return found, flat.reshape(len(rows), space.dim).astype(np.float32)

    def check_vector(self, blob: bytes, digest: bytes, whose: str) -> None:
        """Raise DamagedError where a stored vector is not what was written."""
        if digest_of(blob) != digest:
            raise DamagedError(f"the vector of {whose} in {self.path} is damaged: `sosie doctor --fix` embeds it anew")

    def replace_regions(self, found: Sequence[tuple[int, Space, AddRegions]]) -> None:
        """Write regions of pictures that are there, in the place of those that they have in a space."""
        with self.transaction("adding regions") as connection:
            for content_id, space, regions in found:
                put_regions(connection, content_id, space.id, regions)
            count_rewrites(connection, {space.id for _, space, _ in found})


def count_rewrites(connection: Any, spaces: Iterable[int]) -> None:
    """Note that pictures which were there before changed in spaces: what grows only at its end would not notice."""
    connection.executemany(
        "INSERT INTO meta VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        [(f"rewrites/{space_id}",) for space_id in spaces],
    )


def put_regions(connection: Any, content_id: int, space_id: int, found: AddRegions) -> None:
    """Write the regions of one picture in a space in the place of those that are there."""
    connection.execute(
        "DELETE FROM regions WHERE id IN (SELECT region_id FROM vectors WHERE space_id = ? AND content_id = ?)",
        (space_id, content_id),
    )
    connection.execute("DELETE FROM vectors WHERE space_id = ? AND content_id = ?", (space_id, content_id))
    for region, vector in zip(found.regions, found.vectors, strict=True):
        cursor = connection.execute(
            "INSERT INTO regions (content_id, kind, x, y, width, height, label, confidence)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (content_id, found.kind, *map(float, region.box), region.label, float(region.confidence)),
        )
        blob = np.asarray(vector, np.float16).tobytes()
        connection.execute(
            "INSERT INTO vectors (space_id, content_id, region_id, vector, digest) VALUES (?, ?, ?, ?, ?)",
            (space_id, content_id, cursor.lastrowid, blob, digest_of(blob)),
        )
