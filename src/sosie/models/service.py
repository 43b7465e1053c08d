"""The models of one library: what there is, adding and removing one, and the swap."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sosie.catalogue import Space, Store
from sosie.catalogue.opening import in_folder
from sosie.catalogue.specs import spec_hash
from sosie.embedders.bundled import EARLIER
from sosie.embedders.choose import embedder_of, full_name, remembered
from sosie.embedders.onnx import Description
from sosie.embedders.store import ModelStore
from sosie.errors import SosieError, UsageError
from sosie.ingest import AddReport, Progress
from sosie.maintenance.indexes import Indexes
from sosie.models.adding import Adder
from sosie.models.engines import model_in_use
from sosie.models.listing import ModelRow, row_of, row_of_published
from sosie.models.trial import read_trial, require_better
from sosie.networks.published import PUBLISHED
from sosie.registry import EMBEDDERS, plugged_in

__all__ = ["Models", "Upgrade"]

_EARLIER = frozenset(f"bundled-{version}" for version in EARLIER)
_NO_MODELS = {"onnx"}  # of the registry: needs a description


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What answered before and answers now (the same where there was nothing to do), and what was embedded."""

    before: str
    now: str
    report: AddReport


class SeenThrough(Protocol):
    """A library seen through one model."""

    @property
    def model(self) -> str: ...
    @property
    def space(self) -> Space: ...
    @property
    def models(self) -> Models: ...
    @property
    def indexes(self) -> Indexes: ...


class Models:
    """Everything that a library does about its models.

    ``through`` opens the library seen through another model, ``adder`` gives what embeds pictures with the one that
    answers, ``drop_index`` forgets the index of a space.
    """

    def __init__(
        self,
        catalogue: Store,
        store: ModelStore,
        *,
        through: Callable[[str], AbstractContextManager[SeenThrough]],
        adder: Callable[[], Adder],
        drop_index: Callable[[Space], None],
    ) -> None:
        self._catalogue, self._store = catalogue, store
        self._through, self._adder, self._drop_index = through, adder, drop_index

    @property
    def store(self) -> ModelStore:
        """The files of the library's own models."""
        return self._store

    @property
    def in_use(self) -> str:
        """The name of the model that the library answers with, whatever it was opened with."""
        return model_in_use(self._catalogue)

    def lacking(self) -> int:
        """Return how many pictures the model has not embedded yet."""
        return self._adder().lacking()

    def catch_up(
        self,
        *,
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> AddReport:
        """Embed the pictures that the model has not seen; those that are away count as missing and stay as they are.

        A run that was stopped goes on where it ended.
        """
        return self._adder().catch_up(workers=workers, progress=progress, stop=stop)

    def list(self) -> list[ModelRow]:
        """Return the models that can be used here, those that come with Sosie first, then the library's own."""
        names = [*(name for name in EMBEDDERS if name not in _NO_MODELS), *PUBLISHED, *plugged_in("embedders")]
        names += [name for name in (*self._store.names(), self.in_use) if name not in names]
        rows = [row for row in map(self._row, dict.fromkeys(names)) if row is not None]
        return [row for row in rows if row.name not in _EARLIER or row.pictures or row.in_use]

    def _row(self, name: str) -> ModelRow | None:
        in_use = name == self.in_use
        if name in PUBLISHED and name not in self._store.names():
            return row_of_published(PUBLISHED[name])
        try:
            embedder = embedder_of(name, self._store)
        except SosieError:  # a description that was moved away; `sosie doctor` tells
            return None
        return row_of(name, embedder, catalogue=self._catalogue, in_use=in_use)

    def get(self, name: str, *, progress: Callable[[int, int], None] = lambda _done, _all: None) -> None:
        """Download a published model into the library, unless it is there or is no published one.

        ``progress`` gets bytes done and bytes in all, file by file. Raises ServiceAway, UntrustedModel, MissingExtra.
        """
        if name in PUBLISHED and self._store.find(name) is None:
            with self._catalogue.writing("sosie models get"):
                self._store.install(PUBLISHED[name], progress=progress)

    def add(self, package: str | os.PathLike[str], *, name: str | None = None) -> str:
        """Copy a model package into the library and return its name; see `ModelStore.add` for what it raises.

        A package is a folder with a JSON description and the ONNX file that it names, or that description.
        """
        with self._catalogue.writing("sosie models add"):
            return self._store.add(Path(package), name=name).spec.name

    def upgrade(
        self,
        *,
        undo: bool = False,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Upgrade:
        """Answer with the newest bundled network where an earlier one was in use, or with that again (``undo``).

        Each picture is embedded anew first, and until then the library answers as before; what is embedded stays, so
        that the same call goes on after a stop, and an undo costs nothing. Raises UsageError where there is nothing to
        undo, or pictures are away.
        """
        now = self.in_use
        wanted = _before_upgrade(self._catalogue, now) if undo else "bundled"
        if now == wanted or (not undo and now not in _EARLIER):
            return Upgrade(now, now, AddReport())
        # of pictures that are away no version can make vectors: they must come back first
        report = self.use(wanted, measured=True, progress=progress, stop=stop)
        return Upgrade(now, self.in_use, report)

    def remove(self, name: str) -> None:
        """Forget one of the library's own models, its vectors and indexes; raise UsageError for the one in use."""
        if name == self.in_use:
            raise UsageError(f"{name} is in use: `sosie models use bundled` first")
        catalogue = in_folder(self._catalogue)
        with catalogue.writing("sosie models remove"):
            described = _described(self._store, name)
            self._store.remove(name)
            gone = described and spec_hash(described.spec)
            for space in (each for each in catalogue.spaces() if each.spec_hash == gone):
                self._drop_index(space)
                catalogue.drop_space(space)

    @contextmanager
    def _or_none(self, name: str) -> Iterator[SeenThrough | None]:
        """Give the library seen through a model; None where that model is gone or broken."""
        try:
            seen = self._through(name)
        except SosieError:
            yield None
            return
        with seen as opened:
            yield opened

    def use(
        self,
        name: str,
        *,
        force: bool = False,
        measured: bool = False,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> AddReport:
        """Answer with another model from now on; running servers follow. Return what had to be embedded for it.

        It must have measured better on this library than the one in use (`sosie models try`), have been in use before,
        be known to be better (``measured``), or that one is broken; ``force`` takes it all the same, and with pictures
        that are away. Its vectors are completed and its index is built before the swap, which does not come about where
        ``stop`` was set: the same call goes on from there. Raises UsageError, UnknownName.
        """
        now = self.in_use
        with self._through(full_name(name)) as other, self._or_none(now) as before:
            used = [now, *(self._catalogue.record("library") or {}).get("used", [])]
            if not (force or measured or before is None or other.model in used):
                trial = read_trial(self._catalogue, other.space.spec_hash)
                require_better(trial, name=name, in_use=now, spec_hash=before.space.spec_hash)
            report = other.models.catch_up(progress=progress, stop=stop)
            if stop is not None and stop.is_set():
                return report
            if report.missing and not force:
                raise UsageError(
                    f"{report.missing} pictures are away and would not be found by {name}: "
                    "bring their folders back, or add --force"
                )
            other.indexes.keep(like=before.indexes if before is not None else None)
            report.indexed += other.models.catch_up().indexed  # what was added in the meantime
            known = self._catalogue.record("library") or {}
            now_used = {**remembered(other.model), "used": list(dict.fromkeys(used))}
            self._catalogue.put_record("library", {**known, **now_used})
        return report


def _before_upgrade(catalogue: Store, now: str) -> str:
    used = (catalogue.record("library") or {}).get("used", [])
    earlier = [name for name in used if name in _EARLIER]
    if now != "bundled" or not earlier:
        raise UsageError(f"the library answers with {now}, and was not upgraded to it: there is nothing to undo")
    return str(earlier[0])


def _described(store: ModelStore, name: str) -> Description | None:
    try:
        return store.find(name)
    except SosieError:  # broken: its space stays, and a model of the same weights finds it again
        return None
