"""Reading regions from Elasticsearch: they are nested in the document of their picture, and numbered there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sosie.catalogue.elastic.base import Base
from sosie.catalogue.elastic.mapping import regions_field
from sosie.catalogue.elastic.region_documents import owner_of, region_vectors, regions_of
from sosie.catalogue.records import RegionRow, Space
from sosie.types import FloatMatrix

__all__ = ["Regions"]

_ABOUT = ("box", "label", "confidence")


class Regions(Base):
    """Reads what was found in pictures, and where."""

    def regions(self, space: Space, ids: Sequence[int]) -> dict[int, RegionRow]:
        """Return some regions of a space by their ids; those that are not there are left out."""
        wanted = set(ids)
        sources = self._sources(space, {owner_of(i) for i in wanted}, _ABOUT)
        rows = (row for source in sources for row in regions_of(source, regions_field(space.id)))
        return {row.id: row for row in rows if row.id in wanted}

    def regions_of(self, space: Space, contents: Sequence[int]) -> tuple[list[RegionRow], FloatMatrix]:
        """Return the regions of some pictures in a space, in order of picture, and their vectors (n, dim)."""
        field = regions_field(space.id)
        sources = self._sources(space, contents, (*_ABOUT, "half"))
        rows = [row for source in sources for row in regions_of(source, field)]
        return rows, region_vectors(sources, field, space.dim)

    def _sources(self, space: Space, contents: Iterable[int], parts: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return what the documents of some pictures hold of a space, in order of picture."""
        only = ["id", *(f"{regions_field(space.id)}.{part}" for part in parts)]
        found = self.get_many(self.names.pictures, map(str, sorted(contents)), only=only)
        return sorted((hit["_source"] for hit in found.values()), key=lambda source: int(source["id"]))
