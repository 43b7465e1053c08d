"""How large pictures are, remembered: an answer says it of every hit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.catalogue import Store

__all__ = ["Sizes"]


class Sizes:
    """The width and height of pictures by their ids, which never change; the latest are remembered. Thread-safe."""

    _KEPT = 100_000

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._lock = Lock()

    def known(self, ids: Sequence[int]) -> dict[int, tuple[int, int]] | None:
        """Return the sizes of some pictures; None where not all are remembered."""
        with self._lock:
            found = {i: self._known[i] for i in ids if i in self._known}
        return found if len(found) == len(set(ids)) else None

    def of(self, ids: Sequence[int], catalogue: Store) -> dict[int, tuple[int, int]]:
        """Return the sizes of those of some pictures that are there; what is not remembered is read."""
        found = {one.id: (one.width, one.height) for one in catalogue.pictures(list(ids))}
        with self._lock:
            self._known.update(found)
            while len(self._known) > self._KEPT:
                self._known.popitem(last=False)
        return found
