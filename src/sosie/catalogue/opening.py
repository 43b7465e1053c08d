"""Opening a catalogue where it lies, and telling the two kinds apart where only one of them will do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sosie.catalogue.contract import Store
from sosie.catalogue.sqlite import Catalogue
from sosie.errors import UsageError

if TYPE_CHECKING:
    from sosie.catalogue.elastic import ElasticCatalogue
    from sosie.elastic import Cluster

__all__ = ["clustered", "in_folder", "open_catalogue"]


def open_catalogue(folder: Path, cluster: Cluster | None, *, create: bool, read_only: bool) -> Store:
    """Open the catalogue of a library's folder, which is made where it is missing, or of a cluster.

    Raises UsageError, NotFound, NewerSchema, DamagedError, ServiceAway.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a library is a folder")
    if create and not read_only:
        folder.mkdir(parents=True, exist_ok=True)
    if cluster is None:
        return Catalogue(folder / "catalogue.sqlite", create=create, read_only=read_only)
    from sosie.catalogue.elastic import ElasticCatalogue

    return ElasticCatalogue(cluster, create=create, read_only=read_only)


def in_folder(store: Store) -> Catalogue:
    """Return a catalogue that is a file of the library's folder; raise UsageError for one on a cluster."""
    if isinstance(store, Catalogue):
        return store
    raise UsageError("this works on the files of a library in a folder, and this one lies on a cluster")


def clustered(store: Store) -> ElasticCatalogue:
    """Return a catalogue that lies on a cluster; raise UsageError for a file."""
    from sosie.catalogue.elastic import ElasticCatalogue

    if isinstance(store, ElasticCatalogue):
        return store
    raise UsageError("only a library on a cluster keeps versions of its index")
