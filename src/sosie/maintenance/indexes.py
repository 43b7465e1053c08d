"""The main indexes of a library: built to a measured recall, tuned, kept up, dropped."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from sosie.analysis.regions import RegionExtractor
from sosie.catalogue import Catalogue, Space, Store, View, Vouched
from sosie.contracts import Index
from sosie.elastic.vectors import check_search_params
from sosie.errors import DamagedIndex, UsageError
from sosie.indexes import store
from sosie.indexes.base import RowIndex
from sosie.indexes.manifest import Manifest
from sosie.indexes.measure import measure_as_it_is
from sosie.indexes.params import make_index
from sosie.indexes.tune import EXACT_UNTIL, TuneReport, calibrate, choose, tune
from sosie.maintenance.vectors import vectors_of
from sosie.query.words import segments_in
from sosie.types import FloatMatrix, Ids

if TYPE_CHECKING:
    from sosie.catalogue.elastic import ElasticCatalogue
    from sosie.indexes.annoy import AnnoyMetric

__all__ = ["Indexing", "adopt", "index_stamp", "open_index", "open_trusted"]


class _Library(Protocol):
    """What indexes are made from."""

    @property
    def path(self) -> Path: ...
    @property
    def catalogue(self) -> Store: ...
    @property
    def on_cluster(self) -> bool: ...
    @property
    def cluster(self) -> ElasticCatalogue: ...
    @property
    def files(self) -> Catalogue: ...
    @property
    def space(self) -> Space: ...
    @property
    def sight(self) -> RegionExtractor: ...
    def view(self, space: Space | None = None) -> View: ...
    def vectors(self, space: Space | None = None) -> tuple[Ids, FloatMatrix]: ...


class Indexing:
    """Everything that a library does about its indexes, each of which can be made again from the catalogue."""

    def __init__(self, library: _Library) -> None:
        self._library = library

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
        library = self._library
        if library.on_cluster:
            if space is not None and space.id != library.space.id:
                raise UsageError("a cluster indexes parts by itself, along with whole pictures: leave out --space")
            return self._build_version(kind, params or {})
        if kind == "elasticsearch":
            raise UsageError(
                "a graph on a cluster goes with a library there: `sosie export DIR`, then `sosie import DIR --library "
                "elasticsearch://host:9200/name`"
            )
        space = space or library.space
        rewrites = library.files.rewrites(space)
        ids, vectors = library.vectors(space)
        given = dict(params or {})
        if kind == "auto":
            kind, params = self._best_kind(len(ids), params, space)
        index = make_index(kind, params or {})
        if space.regions != "whole" and not isinstance(index, RowIndex):  # regions are scored by their stored vectors
            raise UsageError(f"an index of kind {kind} holds no vectors, which an index of regions has to")
        index.build(ids, vectors)
        measured: dict[str, Any] = {}
        if kind != "exact" and len(ids) > 1:
            index, reached = calibrate(index, vectors, ids, recall=recall, given=given)
            measured = reached.to_json()
        covers = int(ids[-1]) if len(ids) else 0
        meta = {"spec_hash": space.spec_hash, "dim": space.dim, "count": len(ids), "covers": covers}
        root = _root(library.path, space)
        vouch = partial(_vouch, library.files, root, meta)
        note = {"rewrites": rewrites, "given": given}
        store.write_generation(root, index, meta={**meta, "measured": measured, "note": note}, vouch=vouch)
        library.view(space).forget()
        manifest = store.current_manifest(root)
        assert manifest is not None
        return manifest

    def _build_version(self, kind: str, params: Mapping[str, Any]) -> Manifest:
        """Build and measure a version of the cluster's index; ``auto`` takes what was tuned, else the kind there is."""
        library, view, space = self._library, self._library.view(), self._library.space
        check_search_params(params)
        tuned = library.catalogue.record(_tuned(space)) if kind == "auto" else None
        search, k = dict(params), 10
        if tuned:
            kind, k = tuned["winner"]["params"]["vectors"], tuned["target"]["k"]
            search = {name: value for name, value in tuned["winner"]["params"].items() if name != "vectors"} | search
        kept = {space.id: {"candidates": 10 * k, "k": k, **search}} if search else None
        built = library.cluster.rebuild(view.description["kind"] if kind == "auto" else kind, search=kept)
        view.forget()
        ids, vectors = library.vectors()
        measured = measure_as_it_is(view.search, ids, vectors) if len(ids) > 1 else {}
        if measured:
            library.cluster.put_recall(space.id, measured["recall"])
        view.forget()
        return Manifest(
            kind=built.kind,
            params=search,
            generation=str(built.number),
            spec_hash=space.spec_hash,
            dim=space.dim,
            count=built.pictures,
            covers=int(ids[-1]) if len(ids) else 0,
            files={},
            measured=measured,
        )

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
        library = self._library
        ids, vectors = library.vectors()
        there = self._on_cluster(kinds) if library.on_cluster else {"kinds": kinds}
        report = tune(vectors, ids, recall=recall, k=k, memory=memory, latency=latency, progress=progress, **there)
        if report.winner is not None:
            library.catalogue.put_record(_tuned(library.space), report.to_json())
        return report

    def _on_cluster(self, types: Sequence[str] | None) -> dict[str, Any]:
        """Return what the tuner tries on the library's cluster: its types of vectors, each as an index of its own."""
        from sosie.indexes.elasticsearch import ElasticIndex

        connection = self._library.cluster.connection
        return {
            "kinds": ["elasticsearch"],
            "builds": [(ElasticIndex.kind, {"vectors": each}) for each in types or ElasticIndex.build_space["vectors"]],
            "make": lambda _, params: ElasticIndex(**params, connection=connection),
        }

    def keep(self, *, like: Self | None = None) -> Manifest | None:
        """Build the main index where the tail has grown too long for exact search; return what was built, if any.

        One is built, too, where ``like``, the indexes of the library seen through another model, has one and this has
        not, and for each kind of regions that has grown too long.
        """
        library = self._library
        for kind in () if library.on_cluster else library.sight.kinds:
            space = library.sight.known_space(kind)
            if space is not None and int(library.view(space).description["tail"]) >= EXACT_UNTIL:
                self.build("auto", space=space)
        now = library.view().description
        if like is not None and like.generation and not now["generation"]:
            return self.build("auto")
        tail = int(now["tail"])
        covered = int(library.catalogue.counts()["pictures"]) - tail
        if tail < EXACT_UNTIL or 4 * tail < covered:
            return None
        return self.build("auto")

    @property
    def manifest(self) -> Manifest | None:
        """What the main index of the library's own space says of itself; None without one, and on a cluster."""
        library = self._library
        return None if library.on_cluster else store.current_manifest(_root(library.path, library.space))

    @property
    def generation(self) -> str | None:
        """The generation of the main index that answers; None where search is exact."""
        generation: str | None = self._library.view().description["generation"]
        return generation

    def drop(self, space: Space | None = None) -> None:
        """Forget the main index of a space, the library's own by default; searches are exact until one is built."""
        library = self._library
        if library.on_cluster:
            raise UsageError("a cluster always answers from a version of its index: drop another one, by --version")
        space = space or library.space
        store.drop(_root(library.path, space))
        library.view(space).forget()

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

        chosen = space or self._library.space
        found = vectors_of(self._library, chosen)
        index = AnnoyIndex(metric=metric, n_trees=n_trees)
        index.build(found.ids, found.vectors)
        path = index.export(Path(folder))
        if chosen.regions != "whole":
            np.save(Path(folder) / "pictures.npy", found.pictures, allow_pickle=False)
        return path

    def _best_kind(self, count: int, params: Mapping[str, Any] | None, space: Space) -> tuple[str, Mapping[str, Any]]:
        tuned = self._library.catalogue.record(_tuned(space))
        kind, chosen = (tuned["winner"]["kind"], tuned["winner"]["params"]) if tuned else choose(count)
        return kind, {**chosen, **(params or {})}


def open_trusted(library: Path, catalogue: Catalogue, space: Space) -> tuple[Index, Manifest] | None:
    """Open the main index of a space; raise DamagedIndex for one that the catalogue does not vouch for."""
    root = _root(library, space)

    def vouches(generation: str, digest: str) -> bool:
        return catalogue.vouches(_name(root, generation), digest)

    return store.open_current(root, expect={"spec_hash": space.spec_hash, "dim": space.dim}, vouches=vouches)


def open_index(library: Path, catalogue: Catalogue, space: Space) -> tuple[Index, Manifest] | None:
    """Open the main index of a space; where it cannot be trusted, search exactly and say so."""
    try:
        return open_trusted(library, catalogue, space)
    except DamagedIndex as error:
        warnings.warn(f"searching without an index: {error}", stacklevel=2)
        return None


def index_stamp(library: Path, space: Space) -> Callable[[], object]:
    """Return what gives a value that changes whenever `open_index` would give another index."""
    return partial(store.pointer_stamp, os.fspath(_root(library, space) / store.CURRENT))


def adopt(library: Path, catalogue: Catalogue) -> None:
    """Vouch for the indexes and word segments that an older library has, once; nothing but manifests is read."""
    files = []
    for root in sorted((library / "indexes").glob("[0-9]*-*")):
        with suppress(DamagedIndex):
            if pointer := store.current_pointer(root):
                files.append(Vouched(_name(root, pointer[0]), "index", pointer[1]))
    catalogue.adopt([*files, *segments_in(library / "indexes" / "copies")])


def _vouch(catalogue: Catalogue, root: Path, meta: Mapping[str, Any], generation: str, digest: str) -> None:
    """Record a generation that is about to become the current one, and forget those that are not there any more."""
    there = {_name(root, name) for name in store.generations(root)}
    gone = [name for name in catalogue.vouched(below=_name(root, "")) if name not in there]
    detail = {"count": meta["count"], "covers": meta["covers"]}
    catalogue.vouch([Vouched(_name(root, generation), "index", digest, detail)], withdraw=gone)


def _name(root: Path, generation: str) -> str:
    return f"indexes/{root.name}/{generation}"


def _root(library: Path, space: Space) -> Path:
    return library / "indexes" / f"{space.id}-{space.head}"


def _tuned(space: Space) -> str:
    return f"tuned/{space.id}"
