"""Rows that grow at their end without being copied each time."""

from __future__ import annotations

import threading

import numpy as np

from sosie.types import FloatMatrix, Ids

__all__ = ["Room"]

_LEAST = 1024  # rows of a new room
_MORE = 1.5  # times as many rows as are needed


class Room:
    """Memory for ids and vectors. Whoever has its first rows keeps them, while others are written behind these."""

    def __init__(self, ids: Ids, vectors: FloatMatrix) -> None:
        self._ids, self._vectors, self._used = ids, vectors, len(ids)
        self._lock = threading.Lock()

    def after(self, n: int, ids: Ids, vectors: FloatMatrix) -> tuple[Ids, FloatMatrix, Room]:
        """Return the first ``n`` rows and these behind them, and the room where they lie."""
        end = n + len(ids)
        with self._lock:
            if self._used != n:  # somebody has written there already
                return Room(self._ids[:n].copy(), self._vectors[:n].copy()).after(n, ids, vectors)
            if end > len(self._ids):
                self._move(max(_LEAST, int(_MORE * end)))
            self._ids[n:end], self._vectors[n:end] = ids, vectors
            self._used = end
            return self._ids[:end], self._vectors[:end], self

    def _move(self, capacity: int) -> None:
        """Take a larger place; who has rows of the old one keeps it."""
        ids, vectors = self._ids, self._vectors
        self._ids = np.empty(capacity, np.int64)
        self._vectors = np.empty((capacity, vectors.shape[1]), np.float32)
        self._ids[: self._used], self._vectors[: self._used] = ids[: self._used], vectors[: self._used]
