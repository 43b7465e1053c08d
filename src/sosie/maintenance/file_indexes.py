"""The main indexes of a library in a folder: immutable generations of files, for which the catalogue vouches."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sosie.analysis.regions import RegionExtractor
from sosie.catalogue import Catalogue, Space, Store, View, Vouched
from sosie.contracts import Index
from sosie.errors import DamagedIndex, UnknownName, UsageError
from sosie.indexes import store
from sosie.indexes.base import RowIndex
from sosie.indexes.manifest import Manifest
from sosie.indexes.measure import metric_of
from sosie.indexes.params import make_index
from sosie.indexes.tune import EXACT_UNTIL, calibrate, choose
from sosie.maintenance.indexes import Indexes, live_vectors, tuned_record
from sosie.query.snapshot import described
from sosie.query.taking_over import Reader, note_of
from sosie.query.words import segments_in

__all__ = ["FileIndexes", "adopt", "drop_index", "index_stamp", "open_index", "open_trusted", "outline"]


class FileIndexes(Indexes):
    """Builds indexes as files below ``folder``; ``extractor`` knows the kinds of regions that pictures have."""

    def __init__(
        self,
        catalogue: Catalogue,
        folder: Path,
        *,
        space: Space,
        view: Callable[[Space], View],
        extractor: RegionExtractor,
    ) -> None:
        super().__init__(catalogue, space=space, view=view)
        self._files, self._folder, self._extractor = catalogue, folder, extractor

    def build(
        self,
        kind: str = "auto",
        params: Mapping[str, Any] | None = None,
        *,
        recall: float = 0.95,
        space: Space | None = None,
    ) -> Manifest:
        """Build the main index of a space anew, as `Indexes.build` says."""
        if kind == "elasticsearch":
            raise UsageError(
                "a graph on a cluster goes with a library there: `sosie export DIR`, then `sosie import DIR --library "
                "elasticsearch://host:9200/name`"
            )
        space = space or self._space
        with self._files.commits.at_one_moment() as moment:
            note = note_of(moment, self._files.rewrites(space))
            ids, vectors = live_vectors(self._files, space)
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
        return self._write(space, index, meta, {"measured": measured, "note": {**note, "given": given}})

    def _write(self, space: Space, index: Index, meta: Mapping[str, Any], told: Mapping[str, Any]) -> Manifest:
        """Write a generation and make it the current one; ``meta`` is what the catalogue vouches for."""
        root = _root(self._folder, space)
        store.write_generation(root, index, meta={**meta, **told}, vouch=partial(_vouch, self._files, root, meta))
        self._view(space).forget()
        manifest = store.current_manifest(root)
        assert manifest is not None
        return manifest

    def _best_kind(self, count: int, params: Mapping[str, Any] | None, space: Space) -> tuple[str, Mapping[str, Any]]:
        tuned = self._files.record(tuned_record(space))
        kind, chosen = (tuned["winner"]["kind"], tuned["winner"]["params"]) if tuned else choose(count)
        return kind, {**chosen, **(params or {})}

    def trials(self, kinds: Sequence[str] | None) -> Mapping[str, Any]:
        """Return what the tuner tries: index kinds."""
        return {"kinds": kinds}

    def keep_regions(self) -> None:
        """Build the index of each kind of regions that has grown too long for exact search."""
        for kind in self._extractor.kinds:
            space = self._extractor.known_space(kind)
            if space is not None and int(self._view(space).description["tail"]) >= EXACT_UNTIL:
                self.build("auto", space=space)

    @property
    def manifest(self) -> Manifest | None:
        """What the main index of the library's own space says of itself; None without one."""
        return store.current_manifest(_root(self._folder, self._space))

    def drop(self, space: Space | None = None) -> None:
        """Forget the main index of a space, the library's own by default; searches are exact until one is built."""
        space = space or self._space
        drop_index(self._folder, space)
        self._view(space).forget()


def drop_index(folder: Path, space: Space) -> None:
    """Remove the index files of a space."""
    store.drop(_root(folder, space))


def open_trusted(library: Path, catalogue: Catalogue, space: Space) -> tuple[Index, Manifest] | None:
    """Open the main index of a space; raise DamagedIndex for one that the catalogue does not vouch for."""
    root = _root(library, space)
    return store.open_current(root, expect=_expected(space), vouches=partial(_vouches, catalogue, root))


def outline(library: Path, catalogue: Catalogue, space: Space) -> dict[str, Any] | None:
    """Return `View.description` of a space of whole pictures by its manifest and what is counted, without opening it.

    None where that takes opening: of an index that cannot be trusted, or that an older version built. Files that are
    damaged are noticed when they are opened.
    """
    root = _root(library, space)
    try:
        manifest = store.trusted_manifest(root, expect=_expected(space), vouches=partial(_vouches, catalogue, root))
        with catalogue.commits.at_one_moment():
            embedded = catalogue.count_embedded(space)
            if manifest is None:
                return described(None, "dot", embedded)
            gone = Reader(catalogue, space).gone_since_built(manifest, lambda: store.current_ids(root, manifest))
            metric = metric_of(make_index(manifest.kind, manifest.params))
    except (DamagedIndex, UsageError, UnknownName):
        return None
    return None if gone is None else described(manifest, metric, embedded - (manifest.count - gone))


def _expected(space: Space) -> dict[str, Any]:
    return {"spec_hash": space.spec_hash, "dim": space.dim}


def _vouches(catalogue: Catalogue, root: Path, generation: str, digest: str) -> bool:
    return catalogue.vouches(_name(root, generation), digest)


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


def adopt(library: Path, catalogue: Store) -> None:
    """Vouch for the indexes and word segments that an older library has, once; nothing but manifests is read."""
    if not (isinstance(catalogue, Catalogue) and catalogue.adopts):
        return
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
