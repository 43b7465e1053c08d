"""A library as Python's own containers are: sized, iterable, asked with ``in`` and ``[id]``, shown in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sosie.catalogue import PictureRecord, Store
from sosie.errors import LibraryClosed, SosieError
from sosie.maintenance.labels import LabelEditor
from sosie.maintenance.pictures import Pictures
from sosie.present.notebook import library_card
from sosie.types import LabelValue, Tabular, columns_of

__all__ = ["Browsable"]


class Browsable(Tabular):
    """The pictures of a library, by id. Nothing but ``columns`` and what is made of them has all in memory."""

    path: Path
    pictures: Pictures
    labels: LabelEditor
    catalogue: Store

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.pictures)

    def __bool__(self) -> bool:
        return True  # an empty library is one, too

    def __contains__(self, picture: object) -> bool:
        return self.pictures.find(picture) is not None

    def __getitem__(self, content_id: int) -> PictureRecord:
        return self.pictures.record(content_id)

    def __iter__(self) -> Iterator[PictureRecord]:
        return iter(self.pictures)

    def columns(self, *, where: str | None = None) -> dict[str, list[object]]:
        """Return what is known of the pictures, or of those that meet ``where``, as columns."""
        rows = [
            {"id": record.id, "uri": next(iter(record.uris), None), **record.to_json()}
            for record in self.pictures.each(where=where)
        ]
        return columns_of(rows)

    def picture(self, content_id: int) -> PictureRecord:
        """Return what is known of one picture; raise UnknownName."""
        return self.pictures.record(content_id)

    def read(self, content_id: int) -> bytes:
        """Return the bytes of a picture from wherever it lies; raise NotFound where it is away or has changed."""
        return self.pictures.read(content_id)

    def thumbnail(self, content_id: int) -> bytes:
        """Return a JPEG of at most 256 px without metadata, made once and kept; raise NotFound, BadPicture."""
        return self.pictures.thumbnail(content_id)

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | Sequence[str] | None]) -> None:
        """Set or, with None, take away labels of one picture: texts, numbers, lists of texts."""
        self.labels.set(content_id, labels)

    def __repr__(self) -> str:
        try:
            return f"<Library {str(self.path)!r}: {len(self):,} pictures>"
        except LibraryClosed:
            return f"<Library {str(self.path)!r}, closed>"
        except SosieError as error:
            return f"<Library {str(self.path)!r}: {error}>"

    def _repr_html_(self) -> str | None:
        try:
            return library_card(str(self.path), self.model, self.catalogue.counts())
        except SosieError:
            return None
