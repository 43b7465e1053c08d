"""What people said of the pictures of a library."""

from __future__ import annotations

from collections.abc import Mapping

from sosie.catalogue import Store
from sosie.errors import UnknownName
from sosie.types import LabelValue

__all__ = ["LabelEditor"]


class LabelEditor:
    """Reads and writes the labels of a library; calling it counts them."""

    def __init__(self, catalogue: Store) -> None:
        self._catalogue = catalogue

    def __call__(self) -> dict[str, dict[str, int]]:
        """Return how many pictures carry each value of each label."""
        return self._catalogue.label_counts()

    def set(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture; raise UnknownName."""
        if not self._catalogue.pictures([content_id]):
            raise UnknownName(f"the library has no picture {content_id}")
        self._catalogue.set_labels(content_id, labels)
