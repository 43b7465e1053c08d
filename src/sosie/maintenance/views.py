"""The searchable views of a library's spaces, one each, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sosie.catalogue import Space, Store, View
from sosie.catalogue.opening import in_folder
from sosie.maintenance.file_indexes import index_stamp, open_index, outline
from sosie.query.view import SpaceView

__all__ = ["Views"]


class Views:
    """Views by space: the store's own, else one over the index files in ``folder``. Thread-safe.

    ``check_recall`` is the share of searches whose recall is checked in the background.
    """

    def __init__(self, catalogue: Store, folder: Path, *, check_recall: float = 0.0) -> None:
        self._catalogue, self._folder, self._check_recall = catalogue, folder, check_recall
        self._lock = threading.Lock()
        self._views: dict[int, View] = {}

    def of(self, space: Space) -> View:
        """Return the view of a space."""
        with self._lock:
            if space.id not in self._views:
                self._views[space.id] = self._catalogue.view(space) or self._over_files(space)
            return self._views[space.id]

    def describe(self, space: Space) -> Mapping[str, Any]:
        """Return `View.description` of a space of whole pictures; an index that nobody searched is not opened."""
        view = self.of(space)
        told = None
        if isinstance(view, SpaceView) and not view.opened:
            told = outline(self._folder, in_folder(self._catalogue), space)
        return view.description if told is None else told

    def _over_files(self, space: Space) -> SpaceView:
        catalogue = in_folder(self._catalogue)
        return SpaceView(
            catalogue,
            space,
            partial(open_index, self._folder, catalogue, space),
            stamp=index_stamp(self._folder, space),
            check_recall=self._check_recall,
        )

    def close(self) -> None:
        """End what runs in the background."""
        with self._lock:
            for view in self._views.values():
                if isinstance(view, SpaceView):
                    view.close()
