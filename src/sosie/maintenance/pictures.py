"""The pictures of a library themselves: their bytes, from wherever they lie, and their thumbnails."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from sosie.analysis.thumbnails import Thumbnails
from sosie.catalogue import PictureRecord, Store
from sosie.errors import BadPicture, NotFound, SosieError, UnknownName, UsageError, WrongType
from sosie.sources.keeping import original_of
from sosie.sources.reading import open_verified, read_uri
from sosie.sources.uris import place_of
from sosie.types import Hit, Pixels, SearchResult, whole_number

__all__ = ["Pictures"]

_THUMBNAIL_SIDE = 256
_PAGE = 500  # records that are in memory at a time


class Pictures:
    """Lists pictures, reads them and makes their thumbnails, once. Thread-safe.

    ``decode`` gives the pixels (height, width, 3) of a picture's bytes, reduced, for thumbnails.
    """

    def __init__(
        self, catalogue: Store, *, originals: Path, thumbnails: Thumbnails, decode: Callable[[bytes], Pixels]
    ) -> None:
        self._catalogue, self._originals = catalogue, originals
        self._thumbnails, self._decode = thumbnails, decode

    def __call__(self, *, where: str | None = None, limit: int | None = None, after: int = 0) -> list[PictureRecord]:
        """Return live pictures in order of id, those above ``after``, at most ``limit``."""
        ids = self._catalogue.live_ids(self._catalogue.condition(where), after=after, limit=limit)
        return self._catalogue.pictures(ids.tolist())

    def __len__(self) -> int:
        return int(self._catalogue.counts()["pictures"])

    def __iter__(self) -> Iterator[PictureRecord]:
        return self.each()

    def each(self, *, where: str | None = None) -> Iterator[PictureRecord]:
        """Yield live pictures in order of id, a page in memory at a time; those added meanwhile come, too."""
        after = -1
        while page := self(where=where, limit=_PAGE, after=after):
            yield from page
            after = page[-1].id

    def find(self, picture: object) -> int | None:
        """Return the id of a live picture given by id, hit, record, path or URI; None where there is none."""
        if isinstance(picture, str | os.PathLike):
            place = self._catalogue.located(place_of(picture))
            content_id = place.content_id if place else None
        elif isinstance(picture, Hit | PictureRecord):
            content_id = picture.id
        else:
            content_id = whole_number(picture)
        return content_id if content_id is not None and self._catalogue.meeting([content_id]) else None

    def record(self, content_id: int) -> PictureRecord:
        """Return what is known of one picture; raise UnknownName, and WrongType for what is no id."""
        known = whole_number(content_id)
        if known is None:
            raise WrongType(f"a picture is known by its id, a whole number, not by {content_id!r}")
        found = self._catalogue.pictures([known])
        if not found:
            raise UnknownName(f"the library has no picture {content_id}")
        return found[0]

    def read(self, content_id: int, *, here: bool = False) -> bytes:
        """Return the bytes of a picture from wherever it lies; raise NotFound where it is away or has changed.

        ``here`` reads files on this machine alone: no server is asked.
        """
        record = self.record(content_id)
        kept = original_of(self._originals, record.sha256)
        for uri in [*([kept.absolute().as_uri()] if kept.exists() else []), *record.uris]:
            if here and not uri.startswith("file:"):
                continue
            try:
                data = read_uri(uri)
            except (BadPicture, NotFound, UsageError):
                continue
            if hashlib.sha256(data).hexdigest() == record.sha256:
                return data
        raise NotFound(f"picture {content_id} is away or has changed: add its folder again ({', '.join(record.uris)})")

    def open_original(self, content_id: int) -> BinaryIO:
        """Open the file of a picture at its beginning, its digest verified; raise NotFound where it is away or changed.

        Files on this machine are opened where they lie; what lies elsewhere is read into a temporary file.
        """
        record = self.record(content_id)
        kept = original_of(self._originals, record.sha256)
        for uri in [kept.absolute().as_uri(), *record.uris]:
            file = open_verified(uri, record.sha256)
            if file is not None:
                return file
        file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - it is the caller's to close
        file.write(self.read(content_id))
        file.seek(0)
        return file

    def stored_thumbnail(self, content_id: int) -> bytes | None:
        """Return a thumbnail that was made before, None where there is none yet; no source is read."""
        return self._thumbnails.get(self.record(content_id).sha256)

    def thumbnail(self, content_id: int) -> bytes:
        """Return a JPEG of at most 256 px without metadata, made once and kept; raise NotFound, BadPicture."""
        record = self.record(content_id)
        kept = self._thumbnails.get(record.sha256)
        if kept is not None:
            return kept
        data = self.preview(self.read(content_id))
        if not self._catalogue.read_only:
            self._thumbnails.put(record.sha256, data)
        return data

    def preview(self, data: bytes) -> bytes:
        """Return a thumbnail of any picture's bytes; raise BadPicture."""
        return _jpeg(self._decode(data))

    def cards(self, result: SearchResult) -> str:
        """Return an answer as a contact sheet in HTML, for notebooks."""
        from sosie.present.notebook import cards

        return cards(result, thumbnail=lambda hit: _or_none(self.thumbnail, hit.id))

    def forget(self, pictures: Sequence[int | str]) -> list[PictureRecord]:
        """Remove pictures, by id or URI, from the catalogue, and their thumbnails; return those that were known."""
        located = [self._catalogue.located(each) for each in pictures if isinstance(each, str)]
        ids = {each for each in pictures if isinstance(each, int)} | {each.content_id for each in located if each}
        known = self._catalogue.pictures(sorted(ids))
        self._catalogue.remove([record.id for record in known])
        for record in known:
            self._thumbnails.drop(record.sha256)
        return known


def _or_none(thumbnail: Callable[[int], bytes], content_id: int) -> bytes | None:
    try:
        return thumbnail(content_id)
    except SosieError:
        return None


def _jpeg(pixels: Pixels) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
