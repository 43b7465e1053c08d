"""The main indexes of a library: built to a measured recall, tuned, kept up, dropped."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sosie.catalogue import Space, Store, View
from sosie.errors import UsageError
from sosie.indexes.manifest import Manifest
from sosie.indexes.tune import EXACT_UNTIL, TuneReport, tune
from sosie.maintenance.vectors import live_vectors, vectors_of

if TYPE_CHECKING:
    from sosie.catalogue.elastic.versions import Version
    from sosie.indexes.annoy import AnnoyMetric

__all__ = ["Indexes", "live_vectors", "tuned_record"]


class Indexes(ABC):
    """Everything that a library does about its indexes, each of which can be made again from the catalogue.

    ``space`` is the library's own, ``view`` gives the searchable view of a space.
    """

    def __init__(self, catalogue: Store, *, space: Space, view: Callable[[Space], View]) -> None:
        self._catalogue, self._space, self._view = catalogue, space, view

    @abstractmethod
    def build(
        self,
        kind: str = "auto",
        params: Mapping[str, Any] | None = None,
        *,
        recall: float = 0.95,
        space: Space | None = None,
    ) -> Manifest:
        """Build the main index of a space (the library's own) anew, measure it, and make it the current one.

        ``auto`` takes what `tune` found best, else what suits the number of pictures. The search parameters are set to
        reach ``recall`` at 10, measured against exact search on the library's own vectors; those that ``params`` give
        stay as they are, and the manifest's note keeps them as ``given``.
        On a cluster a new version of its index is built, with vectors of that kind, and swapped without a gap.
        """

    @abstractmethod
    def trials(self, kinds: Sequence[str] | None) -> Mapping[str, Any]:
        """Return what the tuner tries, as arguments of `sosie.indexes.tune.tune`."""

    @abstractmethod
    def keep_regions(self) -> None:
        """Build the index of each kind of regions that has grown too long for exact search."""

    @abstractmethod
    def drop(self, space: Space | None = None) -> None:
        """Forget the main index of a space, the library's own by default; searches are exact until one is built."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest | None:
        """What the main index of the library's own space says of itself; None without one, and on a cluster."""

    @property
    def generation(self) -> str | None:
        """The generation of the main index that answers; None where search is exact."""
        generation: str | None = self._view(self._space).description["generation"]
        return generation

    def tune(
        self,
        *,
        recall: float = 0.95,
        k: int = 10,
        memory: int | None = None,
        latency: float | None = None,
        kinds: Sequence[str] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> TuneReport:
        """Measure index kinds and parameters on the library's own vectors and remember the winner for `build`.

        On a cluster the kinds are its types of vectors; each is built there, beside the library, for as long as it
        is measured.
        """
        ids, vectors = live_vectors(self._catalogue, self._space)
        tried = self.trials(kinds)
        report = tune(vectors, ids, recall=recall, k=k, memory=memory, latency=latency, progress=progress, **tried)
        if report.winner is not None:
            self._catalogue.put_record(tuned_record(self._space), report.to_json())
        return report

    def keep(self, *, like: Self | None = None) -> Manifest | None:
        """Build the main index where the tail has grown too long for exact search; return what was built, if any.

        One is built, too, where ``like``, the indexes of the library seen through another model, has one and this has
        not, and for each kind of regions that has grown too long.
        """
        self.keep_regions()
        now = self._view(self._space).description
        if like is not None and like.generation and not now["generation"]:
            return self.build("auto")
        tail = int(now["tail"])
        covered = int(self._catalogue.counts()["pictures"]) - tail
        if tail < EXACT_UNTIL or 4 * tail < covered:
            return None
        return self.build("auto")

    def export_annoy(
        self,
        folder: str | os.PathLike[str],
        *,
        metric: AnnoyMetric = "angular",
        n_trees: int = 50,
        space: Space | None = None,
    ) -> Path:
        """Write ``{dim}-{metric}-{trees}.ann`` for plain Annoy, with ids.npy and vectors.npy; return its path.

        Annoy's item i is row i of both arrays; ids are the library's. Of a ``space`` of regions they are those of
        regions, and pictures.npy beside says the picture of each; pictures without any are left out. Raises
        MissingExtra, UsageError.
        """
        from sosie.indexes.annoy import AnnoyIndex

        chosen = space or self._space
        found = vectors_of(self._catalogue, chosen)
        index = AnnoyIndex(metric=metric, n_trees=n_trees)
        index.build(found.ids, found.vectors)
        path = index.export(Path(folder))
        if chosen.regions != "whole":
            np.save(Path(folder) / "pictures.npy", found.pictures, allow_pickle=False)
        return path

    def versions(self) -> list[Version]:
        """Return the versions that a cluster keeps; raise UsageError for a library in a folder."""
        raise UsageError(_NO_VERSIONS)

    def use_version(self, number: int) -> Version:
        """Let an older version of a cluster's index answer again; raise UsageError for a library in a folder."""
        raise UsageError(_NO_VERSIONS)

    def drop_version(self, number: int) -> None:
        """Remove a version of a cluster's index; raise UsageError for a library in a folder."""
        raise UsageError(_NO_VERSIONS)


_NO_VERSIONS = "only a library on a cluster keeps versions of its index"


def tuned_record(space: Space) -> str:
    """Return the key under which the catalogue keeps what was tuned for a space."""
    return f"tuned/{space.id}"
