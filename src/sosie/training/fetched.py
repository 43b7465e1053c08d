"""Pictures of the web that a library knows and does not keep, fetched once for a run of training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sosie import files
from sosie.catalogue import PictureRecord
from sosie.errors import BadPicture
from sosie.library import Library
from sosie.sources.keeping import original_of
from sosie.sources.reading import read_each
from sosie.sources.web.download import Download
from sosie.sources.web.links import is_web

__all__ = ["FetchedOriginals", "fetch_originals"]


@dataclass(frozen=True)
class FetchedOriginals:
    """Reads pictures by id, those of the web from ``folder``; ``refused`` says why some are not there."""

    library: Library
    folder: Path
    digests: dict[int, str] = field(default_factory=dict)  # of those that only the web has, by id
    refused: dict[str, str] = field(default_factory=dict)  # by digest

    def read(self, content_id: int) -> bytes:
        """Return a picture's bytes; raise NotFound, BadPicture."""
        digest = self.digests.get(content_id)
        if digest is None:
            return self.library.read(content_id)
        if digest in self.refused:
            raise BadPicture(self.refused[digest])
        return (self.folder / digest).read_bytes()


def fetch_originals(
    library: Library,
    ids: Sequence[int],
    folder: Path,
    *,
    download: Download,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> FetchedOriginals:
    """Fetch what of some pictures only the web has; what ``folder`` holds from before is not fetched again.

    Bytes that are not those of the picture any more are refused as ``changed``.
    """
    records = [record for record in library.catalogue.pictures(ids) if _only_on_the_web(library, record)]
    fetched = FetchedOriginals(library, folder, {record.id: record.sha256 for record in records})
    lacking = {record.uris[0]: record.sha256 for record in records if not (folder / record.sha256).exists()}
    if lacking:
        files.make_folder(folder)
    for done, (uri, outcome) in enumerate(read_each(list(lacking), download), 1):
        digest = lacking[uri]
        if isinstance(outcome, BadPicture):
            fetched.refused[digest] = outcome.reason
        elif hashlib.sha256(outcome).hexdigest() != digest:
            fetched.refused[digest] = "changed"
        else:
            files.write(folder / digest, outcome)
        progress(done, len(lacking))
    return fetched


def _only_on_the_web(library: Library, record: PictureRecord) -> bool:
    kept = original_of(library.path / "originals", record.sha256)
    return all(map(is_web, record.uris)) and not kept.exists()
