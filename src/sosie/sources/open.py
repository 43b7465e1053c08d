"""Tell from what a user typed which source is meant."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from sosie.contracts import Source
from sosie.errors import UsageError
from sosie.registry import is_known, resolve
from sosie.sources.image_table import holds_images
from sosie.sources.names import has_picture_suffix
from sosie.sources.options import SourceOptions

__all__ = ["kind_of", "open_source"]

_SUFFIXES = {
    ".zip": "archive",
    ".cbz": "archive",
    ".tar": "archive",
    ".tar.gz": "archive",
    ".tgz": "archive",
    ".tar.bz2": "archive",
    ".tbz2": "archive",
    ".tar.xz": "archive",
    ".txz": "archive",
    ".csv": "url-list",
    ".tsv": "url-list",
    ".jsonl": "url-list",
    ".ndjson": "url-list",
    ".txt": "url-list",
    ".parquet": "url-list",
    ".arrow": "image-table",
    ".sqlite": "sqlite-dataset",
    ".sqlite3": "sqlite-dataset",
    ".db": "sqlite-dataset",
    ".xml": "sitemap",
    ".xml.gz": "sitemap",
}
_ACCEPTED = (
    "a folder, a picture, an archive (.zip, .tar, .tar.gz …), a list of URLs (.csv, .tsv, .jsonl, .txt, .parquet), "
    "a table of pictures (.parquet, .arrow), "
    "a dataset (.sqlite, .db), http(s)://, s3:// or gs://"
)


def open_source(spec: str, options: SourceOptions | None = None) -> Source:
    """Open what ``spec`` stands for: a folder, file, archive, list, dataset, store or web address.

    Raises UsageError for what nothing opens, and for options that mean nothing there; SourceUnreachable comes
    from iterating.
    """
    kind = kind_of(spec)
    make = resolve("sources", kind)
    source: Source = getattr(make, "from_options", make)(spec, options or SourceOptions())
    return source


def kind_of(spec: str) -> str:
    """Return the registry name of the source that ``spec`` stands for; raise UsageError for none."""
    if "\0" in (unquote(spec) if spec.startswith("file:") else spec):
        raise UsageError(f"no path holds a NUL character: {spec!r}")
    scheme, mark, _ = spec.partition("://")
    if mark:
        return _kind_of_url(spec, scheme.lower())
    path = Path(spec)
    if path.is_dir():
        return "folder"
    kind = _by_suffix(spec)
    if spec.lower().endswith(".parquet") and holds_images(path):
        return "image-table"
    if kind is None and path.is_file() and not has_picture_suffix(os.fsencode(spec)):
        raise UsageError(f"nothing opens {spec!r}; accepted: {_ACCEPTED}")
    return kind or "folder"


def _kind_of_url(spec: str, scheme: str) -> str:
    if scheme in ("s3", "gs", "gcs"):
        return "objects"
    if scheme in ("http", "https"):
        return "web"
    if scheme == "file":
        return kind_of(spec[len("file://") :])
    if is_known("sources", scheme):  # of an installed package, by the name of its scheme
        return scheme
    raise UsageError(f"nothing opens {scheme}:// ({spec!r}); accepted: {_ACCEPTED}")


def _by_suffix(spec: str) -> str | None:
    name = os.path.basename(spec).lower()  # noqa: PTH119 - a path or a URL
    endings = ["." + ending for ending in (".".join(name.split(".")[-2:]), name.rpartition(".")[2])]
    return next((_SUFFIXES[ending] for ending in endings if ending in _SUFFIXES), None)
