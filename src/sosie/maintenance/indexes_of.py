"""Which of the two kinds of indexes a library has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sosie.analysis.regions import RegionExtractor
from sosie.catalogue import Catalogue, Space, Store, View
from sosie.catalogue.opening import clustered
from sosie.maintenance.cluster_indexes import ClusterIndexes
from sosie.maintenance.file_indexes import FileIndexes
from sosie.maintenance.indexes import Indexes

__all__ = ["indexes_of"]


def indexes_of(
    catalogue: Store, folder: Path, *, space: Space, view: Callable[[Space], View], extractor: RegionExtractor
) -> Indexes:
    """Return the indexes of a library: files below its folder, or versions on its cluster."""
    if isinstance(catalogue, Catalogue):
        return FileIndexes(catalogue, folder, space=space, view=view, extractor=extractor)
    return ClusterIndexes(clustered(catalogue), space=space, view=view)
