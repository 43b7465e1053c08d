"""The models of one library: what there is, adding and removing one, and the swap."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sosie.catalogue import Catalogue, Space, Store
from sosie.catalogue.specs import spec_hash
from sosie.embedders.choose import embedder_of, full_name
from sosie.embedders.onnx import Description
from sosie.embedders.store import ModelStore
from sosie.errors import SosieError, UsageError
from sosie.ingest import AddReport, Progress
from sosie.maintenance.indexes import Indexing
from sosie.models.listing import ModelRow, row_of, row_of_published
from sosie.models.trial import read_trial, require_better
from sosie.networks.published import PUBLISHED
from sosie.registry import EMBEDDERS

__all__ = ["Models"]

_NO_MODELS = {"onnx"}  # of the registry: needs a description


class _Seen(Protocol):
    """A library seen through one model."""

    @property
    def model(self) -> str: ...
    @property
    def space(self) -> Space: ...
    def catch_up(self, *, progress: Callable[[Progress], None] | None = None) -> AddReport: ...
    @property
    def indexes(self) -> Indexing: ...


class _Library(Protocol):
    @property
    def catalogue(self) -> Store: ...
    @property
    def files(self) -> Catalogue: ...
    @property
    def shelf(self) -> ModelStore: ...
    @property
    def model_in_use(self) -> str: ...
    def with_model(self, name: str) -> AbstractContextManager[_Seen]: ...
    @property
    def indexes(self) -> Indexing: ...


class Models:
    """Everything that a library does about its models."""

    def __init__(self, library: _Library) -> None:
        self._library = library

    def list(self) -> list[ModelRow]:
        """Return the models that can be used here, those that come with Sosie first, then the library's own."""
        library = self._library
        names = [*(name for name in EMBEDDERS if name not in _NO_MODELS), *PUBLISHED]
        names += [name for name in (*library.shelf.names(), library.model_in_use) if name not in names]
        return [row for row in map(self._row, dict.fromkeys(names)) if row is not None]

    def _row(self, name: str) -> ModelRow | None:
        library = self._library
        in_use = name == library.model_in_use
        if name in PUBLISHED and name not in library.shelf.names():
            return row_of_published(PUBLISHED[name])
        try:
            embedder = embedder_of(name, library.shelf)
        except SosieError:  # a description that was moved away; `sosie doctor` tells
            return None
        return row_of(name, embedder, catalogue=library.catalogue, in_use=in_use)

    def get(self, name: str, *, progress: Callable[[int, int], None] = lambda _done, _all: None) -> None:
        """Download a published model into the library, unless it is there or is no published one.

        ``progress`` gets bytes done and bytes in all, file by file. Raises ServiceAway, UntrustedModel, MissingExtra.
        """
        if name in PUBLISHED and self._library.shelf.find(name) is None:
            with self._library.catalogue.writing("sosie models get"):
                self._library.shelf.install(PUBLISHED[name], progress=progress)

    def add(self, package: str | os.PathLike[str], *, name: str | None = None) -> str:
        """Copy a model package into the library and return its name; see `ModelStore.add` for what it raises.

        A package is a folder with a JSON description and the ONNX file that it names, or that description.
        """
        with self._library.catalogue.writing("sosie models add"):
            return self._library.shelf.add(Path(package), name=name).spec.name

    def remove(self, name: str) -> None:
        """Forget one of the library's own models, its vectors and indexes; raise UsageError for the one in use."""
        if name == self._library.model_in_use:
            raise UsageError(f"{name} is in use: `sosie models use bundled` first")
        catalogue = self._library.files
        with catalogue.writing("sosie models remove"):
            described = self._described(name)
            self._library.shelf.remove(name)
            gone = described and spec_hash(described.spec)
            for space in (each for each in catalogue.spaces() if each.spec_hash == gone):
                self._library.indexes.drop(space)
                catalogue.drop_space(space)

    def _described(self, name: str) -> Description | None:
        try:
            return self._library.shelf.find(name)
        except SosieError:  # broken: its space stays, and a model of the same weights finds it again
            return None

    @contextmanager
    def _through(self, name: str) -> Iterator[_Seen | None]:
        """Give the library seen through a model; None where that model is gone or broken."""
        try:
            seen = self._library.with_model(name)
        except SosieError:
            yield None
            return
        with seen as opened:
            yield opened

    def use(self, name: str, *, force: bool = False, progress: Callable[[Progress], None] | None = None) -> AddReport:
        """Answer with another model from now on; running servers follow. Return what had to be embedded for it.

        It must have measured better on this library than the one in use (`sosie models try`), or have been in use
        before, or that one is broken; ``force`` takes it all the same. Its vectors are completed and its index is built
        before the swap.
        Raises UsageError, UnknownName.
        """
        library, now = self._library, self._library.model_in_use
        with library.with_model(full_name(name)) as other, self._through(now) as before:
            used = [now, *(library.catalogue.record("library") or {}).get("used", [])]
            if not force and before is not None and other.model not in used:
                trial = read_trial(library.catalogue, other.space.spec_hash)
                require_better(trial, name=name, in_use=now, spec_hash=before.space.spec_hash)
            report = other.catch_up(progress=progress)
            if report.missing and not force:
                raise UsageError(
                    f"{report.missing} pictures are away and would not be found by {name}: "
                    "bring their folders back, or add --force"
                )
            other.indexes.keep(like=before.indexes if before is not None else None)
            report.indexed += other.catch_up().indexed  # what was added in the meantime
            known = library.catalogue.record("library") or {}
            library.catalogue.put_record("library", {**known, "model": other.model, "used": list(dict.fromkeys(used))})
        return report
