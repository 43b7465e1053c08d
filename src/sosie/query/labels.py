"""Labels of a library as words to search by: the mean of the pictures that carry one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np

from sosie.catalogue import Space, Store
from sosie.catalogue.where import quoted
from sosie.embedders.vocabulary import key_of
from sosie.types import FloatMatrix

__all__ = ["FEWEST", "LabelWords"]

FEWEST = 5  # pictures of a label whose mean tells what it is
_MOST = 256  # of which the mean is taken: more change nothing


class LabelWords:
    """Gives the mean of a label's pictures by the spellings of its value. Thread-safe.

    Values that are numbers are no words. Where two labels have values of one spelling, that of more pictures counts.
    """

    def __init__(self, catalogue: Store, space: Space) -> None:
        self._catalogue, self._space = catalogue, space
        self._lock = Lock()
        self._known: tuple[int, Mapping[str, tuple[str, str]]] = (-1, {})  # the epoch that it was read in

    def __call__(self, keys: Sequence[str]) -> FloatMatrix | None:
        """Return the mean (dim,) of the pictures whose label has one of these spellings (`keys_of`), or None."""
        values = self._values()
        found = next((values[key] for key in keys if key in values), None)
        return None if found is None else self._mean(*found)

    def _values(self) -> Mapping[str, tuple[str, str]]:
        """Return (label, value) by spelling, read anew after a commit."""
        epoch = self._catalogue.epoch()
        with self._lock:
            if self._known[0] != epoch:
                self._known = (epoch, self._read())
            return self._known[1]

    def _read(self) -> dict[str, tuple[str, str]]:
        counted = [
            (count, name, value)
            for name, values in self._catalogue.label_counts().items()
            for value, count in values.items()
            if count >= FEWEST and any(map(str.isalpha, value))
        ]
        return {key_of(value): (name, value) for _, name, value in sorted(counted)}

    def _mean(self, name: str, value: str) -> FloatMatrix | None:
        ids = self._catalogue.live_ids(self._catalogue.condition(f"{quoted(name)} = {quoted(value)}"))
        some = ids[:: max(1, len(ids) // _MOST)][:_MOST]
        _, vectors = self._catalogue.vectors_of(self._space, some.tolist())
        if len(vectors) < FEWEST:
            return None
        mean = np.asarray(vectors, np.float32).mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)
