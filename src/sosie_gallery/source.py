"""The gallery as a source: its files with what the manifest says is on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sosie.sources.folder import FolderSource
from sosie.types import ImageRef
from sosie_gallery.gallery import Gallery

__all__ = ["GallerySource"]


class GallerySource:
    """Iterates a drawn gallery; every picture is labelled with its medium, subject and mood."""

    def __init__(self, gallery: Gallery) -> None:
        self._folder = FolderSource(gallery.folder)
        self._labels = {self._folder.root + item.path: item.labels for item in gallery.items}

    @property
    def root(self) -> str:
        return self._folder.root

    def __iter__(self) -> Iterator[ImageRef]:
        for ref in self._folder:
            yield replace(ref, labels=self._labels.get(ref.uri, {}))

    def read(self, ref: ImageRef) -> bytes:
        return self._folder.read(ref)
