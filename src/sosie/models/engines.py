"""The engines of a library: the one that answers, and the one before it, whose questions may not have ended."""

from __future__ import annotations

import threading

from sosie.catalogue import Store
from sosie.contracts import SharesCores
from sosie.embedders.bundled import bundled_name
from sosie.embedders.choose import embedder_of, full_name, remembered
from sosie.embedders.store import ModelStore
from sosie.models.engine import Engine, EngineSetting

__all__ = ["Engines", "model_in_use"]


def model_in_use(catalogue: Store) -> str:
    """Return the name of the model that a library answers with."""
    record = catalogue.record("library") or {}
    name = str(record.get("model") or "bundled")
    return bundled_name(record, [space.name for space in catalogue.spaces()]) if name == "bundled" else name


class Engines:
    """Gives the engine of the model in use, which another process may change, or of the one ``model`` given.

    ``setting`` is what every engine of the library gets; ``threads`` is how many cores the network may use.
    Thread-safe. Raises UnknownName, and NotFound where the given model has to be downloaded first.
    """

    def __init__(
        self,
        setting: EngineSetting,
        store: ModelStore,
        *,
        model: str | None = None,
        threads: int | None = None,
    ) -> None:
        self._setting, self._catalogue, self._store, self._threads = setting, setting.catalogue, store, threads
        self._given = None if model is None else full_name(model)
        self._lock = threading.RLock()
        self._opened: list[Engine] = []  # the one in use last
        self._epoch = -1
        self._remember()

    def _remember(self) -> None:
        """Make a new library with the given model."""
        if self._given is not None:
            embedder_of(self._given, self._store)  # an unknown name is not remembered
        known = self._catalogue.record("library") or {}
        if "model" not in known and not self._catalogue.read_only:
            self._catalogue.put_record("library", {**known, **remembered(self._given or "bundled")})

    @property
    def current(self) -> Engine:
        """The engine that answers now."""
        epoch = self._catalogue.epoch()
        with self._lock:
            if not self._opened or (self._given is None and epoch != self._epoch):
                self._open(self._given or model_in_use(self._catalogue))
                self._epoch = epoch
            return self._opened[-1]

    @property
    def latest(self) -> Engine:
        """The engine that answered last, without a look at the catalogue where there is one."""
        with self._lock:
            opened = self._opened[-1:]
        return opened[0] if opened else self.current

    def _open(self, name: str) -> None:
        kept = [engine for engine in self._opened if engine.name != name]
        same = [engine for engine in self._opened if engine.name == name]
        while len(kept) > 1:  # a question lives shorter than two swaps
            kept.pop(0).close()
        self._opened = kept + (same or [self._new(name)])

    def _new(self, name: str) -> Engine:
        embedder = embedder_of(name, self._store)
        if self._threads is not None and isinstance(embedder, SharesCores):
            embedder.share_cores(self._threads)
        return Engine(name, embedder, self._setting)

    def close(self) -> None:
        """End the decode workers of all engines."""
        with self._lock:
            while self._opened:
                self._opened.pop().close()
