"""Names of the things that people add: one line each, imported only when used.

A third party adds its own by an entry point in the group ``sosie.embedders``, ``sosie.indexes`` or ``sosie.sources``,
which is named as what it adds; a source as its scheme (``examples/plugin``).
The idea of a lazy table with an install hint is fsspec's.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sosie.errors import BrokenPlugin, UnknownName, UsageError
from sosie.extras import missing

if TYPE_CHECKING:  # at run time it would bring numpy to `import sosie`
    from importlib.metadata import EntryPoint

    from sosie.contracts import Embedder, Index

__all__ = [
    "EMBEDDERS",
    "INDEXES",
    "SOURCES",
    "Entry",
    "is_known",
    "local_indexes",
    "nearest",
    "plugged_in",
    "resolve",
    "resolve_embedder",
    "resolve_index",
    "usable_indexes",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a named thing lives (``module:attribute``), the extra that installs what it needs."""

    target: str
    extra: str | None = None
    service: bool = False  # whether it needs a server, and so an address


EMBEDDERS: dict[str, Entry] = {
    "bundled": Entry("sosie.embedders.bundled:BundledEmbedder"),
    "bundled-5": Entry("sosie.embedders.bundled:Version5Embedder"),
    "onnx": Entry("sosie.embedders.onnx:OnnxEmbedder"),
    "histogram": Entry("sosie.embedders.histogram:HistogramEmbedder"),
}

INDEXES: dict[str, Entry] = {
    "exact": Entry("sosie.indexes.exact:ExactIndex"),
    "symqg": Entry("sosie.indexes.symqg:SymqgIndex"),
    "hnsw": Entry("sosie.indexes.hnsw:HnswIndex"),
    "ivf": Entry("sosie.indexes.ivf:IvfIndex"),
    "annoy": Entry("sosie.indexes.annoy:AnnoyIndex", extra="annoy"),
    "lsh": Entry("sosie.indexes.lsh:LshIndex"),
    "binary": Entry("sosie.indexes.binary:BinaryIndex"),
    "elasticsearch": Entry("sosie.indexes.elasticsearch:ElasticIndex", extra="elasticsearch", service=True),
}

SOURCES: dict[str, Entry] = {
    "folder": Entry("sosie.sources.folder:FolderSource"),
    "archive": Entry("sosie.sources.archive:open_archive"),
    "url-list": Entry("sosie.sources.url_list:UrlListSource", "parquet"),
    "image-table": Entry("sosie.sources.image_table:ImageTableSource", "parquet"),
    "sqlite-dataset": Entry("sosie.sources.sqlite_dataset:SqliteDatasetSource"),
    "web": Entry("sosie.sources.web.crawl:open_web"),
    "sitemap": Entry("sosie.sources.web.crawl:open_web"),
    "objects": Entry("sosie.sources.objects:ObjectStoreSource", extra="s3"),
}

_TABLES = {"embedders": EMBEDDERS, "indexes": INDEXES, "sources": SOURCES}
_ONE_OF = {"embedders": "embedder", "indexes": "kind of index", "sources": "kind of source"}


def local_indexes() -> tuple[str, ...]:
    """Return Sosie's own index kinds that a library in a folder may have: those that need no server."""
    return tuple(kind for kind, entry in INDEXES.items() if not entry.service)


def usable_indexes() -> tuple[str, ...]:
    """Return the index kinds that can be built here: those whose extra is installed, and those of other packages.

    A package that cannot be loaded is named in a warning, and left out.
    """
    from importlib.util import find_spec

    extras = {kind: INDEXES[kind].extra for kind in local_indexes()}
    return (*(kind for kind, extra in extras.items() if not extra or find_spec(extra)), *_sound("indexes"))


def _sound(table: str) -> Iterator[str]:
    for name, point in sorted(_entry_points(table).items()):
        try:
            _load(point)
        except BrokenPlugin as error:
            warnings.warn(str(error), stacklevel=3)
        else:
            yield name


def resolve(table: str, name: str) -> Any:
    """Import and return what ``name`` stands for in ``table`` (``embedders``, ``indexes`` or ``sources``).

    Raises UnknownName with the nearest known name, MissingExtra with the command that installs it.
    """
    known = _TABLES[table]
    entry = known.get(name)
    if entry is None:
        points = _entry_points(table)
        if name in points:
            return _load(points[name])
        raise UnknownName(f"there is no {_ONE_OF[table]} {name!r}; {nearest(name, [*known, *points])}")
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if entry.extra is None:
            raise
        raise missing(f"{name} needs {error.name}", entry.extra) from error


def resolve_index(kind: str) -> type[Index]:
    """Return the class of an index kind; raise UnknownName, MissingExtra, UsageError for what keeps no contract."""
    found: type[Index] = resolve("indexes", kind)
    _require(found, ("build", "search", "save", "load"), f"the index {kind}")
    return found


def resolve_embedder(name: str) -> Callable[[], Embedder]:
    """Return what makes an embedder; raise UnknownName, MissingExtra, UsageError for what keeps no contract."""
    found: Callable[[], Embedder] = resolve("embedders", name)
    if isinstance(found, type):
        _require(found, ("embed",), f"the embedder {name}")
    return found


def is_known(table: str, name: str) -> bool:
    """Tell whether ``name`` is in a table or among the entry points of installed packages; nothing is imported."""
    return name in _TABLES[table] or name in _entry_points(table)


def plugged_in(table: str) -> tuple[str, ...]:
    """Return the names that installed packages add to a table; nothing of them is imported."""
    return tuple(sorted(_entry_points(table)))


def _entry_points(table: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of installed packages by name; what a table of ours names stays ours."""
    found = _installed(f"sosie.{table}", tuple(sys.path))
    return {name: point for name, point in found.items() if name not in _TABLES[table]}


@functools.lru_cache(maxsize=16)
def _installed(group: str, _path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group, read once for each state of ``sys.path``: all packages are looked at."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {point.name: point for point in entry_points(group=group)}


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever its author overlooked
        package = f" of the package {point.dist.name}" if point.dist else ""
        raise BrokenPlugin(
            f"the plug-in {point.name}{package} cannot be loaded ({type(error).__name__}: {error}): install it again, "
            "or remove it"
        ) from error


def _require(found: type, methods: Sequence[str], what: str) -> None:
    if lacking := [name for name in methods if not hasattr(found, name)]:
        raise UsageError(f"{what} has no {', '.join(lacking)}: sosie.contracts says what it needs")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
