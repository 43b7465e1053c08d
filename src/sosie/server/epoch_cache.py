"""What is computed of the whole library, once for each of its states: orders of all pictures, counts, labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

__all__ = ["EpochCache"]

T = TypeVar("T")


class EpochCache:
    """What was asked for last, by the epoch of the library that it is of. Thread-safe.

    Pages are cut from an order at any place at once; one of 100,000 pictures takes 800 kB. Whoever reads on in an order
    of an earlier epoch meets each picture once, whatever has been added meanwhile, as long as it is kept.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def at(self, epoch: int, key: Hashable, make: Callable[[], T]) -> T:
        """Return what belongs to a key at an epoch, made by ``make`` where it is not kept."""
        found: T | None = self.kept(epoch, key)
        if found is None:
            found = make()
            with self._lock:
                self._kept[epoch, key] = found
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return found

    def kept(self, epoch: int, key: Hashable) -> Any:
        """Return what belongs to a key at an epoch; None where it is not kept."""
        with self._lock:
            if (epoch, key) not in self._kept:
                return None
            self._kept.move_to_end((epoch, key))
            return self._kept[epoch, key]
