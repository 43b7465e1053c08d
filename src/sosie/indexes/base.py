"""What all index kinds share: ids beside rows, filters, padding, and the vectors for exact re-ranking."""

from __future__ import annotations

import copy
import mmap
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sosie.arrays import load_array
from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.checks import check_allow, check_build, check_k, check_queries
from sosie.indexes.flat import Metric, Rows, Vectors, pad, score_rows, top_k, top_k_of
from sosie.indexes.params import check_params
from sosie.types import FloatMatrix, Ids

__all__ = ["IDS", "RowIndex", "threads"]

IDS = "ids.npy"

_DEEPEST = 2_000  # candidates of a search with a filter
_WIDEST = 20_000  # candidates; beyond that a pass over the allowed rows is cheaper

Space = Mapping[str, tuple[Any, ...]]


class RowIndex(ABC):
    """An index over rows 0..n-1, which stand in ascending order of their ids.

    A kind supplies ``_build``, ``_search``, ``_save`` and ``_load`` in terms of rows; ids, checks, filters
    and padding are done here. Below ``least`` rows nothing is built and search is exact. ``vectors`` are
    kept beside the structure and mapped from their file after ``load``, so that several processes share
    them.

    ``build_space`` and ``search_space`` list the values that the tuner tries, from cheap to thorough.
    """

    kind: ClassVar[str]
    least: ClassVar[int] = 0
    few: int = 20_000  # so many allowed rows are gone through exactly: a filtered graph search takes as long
    build_space: ClassVar[Space] = {}
    search_space: ClassVar[Space] = {}

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = dict(params)
        self._ids: Ids = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, 0), np.float32)
        self._last_allow: tuple[Ids | None, Allowed] = (None, Allowed.of_rows(self._ids, 0))
        self._mapping: mmap.mmap | None = None  # of the vectors, after load

    @classmethod
    def stored_params(cls, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the constructor takes for a stored index, which an earlier version may have built."""
        return params

    @property
    def params(self) -> Mapping[str, Any]:
        """Every parameter that building or searching depends on; the constructor takes the same names."""
        return dict(self._params)

    @property
    def metric(self) -> Metric:
        """What a score is."""
        return "dot"

    @property
    def dim(self) -> int | None:
        """The length of a vector; None before anything was built."""
        return self._vectors.shape[1] or None

    @property
    def ids(self) -> Ids:
        """The ids held, ascending."""
        return self._ids

    @property
    def vectors(self) -> Vectors:
        """The vectors (n, dim) as they were given, in the order of ``ids``."""
        return self._vectors

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def fills_up(self) -> bool:
        """Whether a query for which the structure finds fewer than k is answered exactly; else fewer are the answer."""
        return True

    @property
    def knobs(self) -> Space:
        """The search parameters that this index has, and the values that the tuner tries of each."""
        return {name: values for name, values in self.search_space.items() if name in self._params}

    def tuned(self, changes: Mapping[str, Any]) -> Self:
        """Return this index with other search parameters; what was built is shared."""
        check_params(type(self), changes, only=self.search_space)
        type(self)(**{**self._params, **changes})  # which refuses what is out of range
        other = copy.copy(self)
        other._params = {**self._params, **changes}
        return other

    def build(self, ids: Ids, vectors: FloatMatrix) -> None:
        """Index ``vectors`` (n, dim) under ``ids`` (n,), unique and >= 0; raise UsageError otherwise."""
        ids, vectors = check_build(ids, vectors)
        if not bool((ids[1:] > ids[:-1]).all()):
            order = np.argsort(ids)
            ids, vectors = ids[order], vectors[order]
        self._ids, self._vectors, self._last_allow = ids, vectors, (None, Allowed.of_rows(ids, 0))
        if self._has_structure:
            self._build(vectors)

    def search(self, queries: FloatMatrix, k: int, allow: Ids | Allowed | None = None) -> tuple[Ids, FloatMatrix]:
        """Return ids and scores, both (q, k), best first; -1 and -inf fill up what is not there.

        ``allow`` holds the ids that may be returned, or says which rows; k come back whenever k match. An array that is
        marked read-only (``allow.flags.writeable = False``) is worked out once for all searches in a row that pass it.
        Thread-safe.
        """
        queries, k = check_queries(queries, self.dim), check_k(k)
        wanted = min(k, len(self))
        if wanted == 0 or len(queries) == 0:
            nothing = np.empty((len(queries), 0))
            return pad(nothing.astype(np.int64), nothing.astype(np.float32), k)
        allowed = None if allow is None else self._allowed(allow)
        if allowed is None or len(allowed) == len(self):
            return self._answer(*self._search_all(queries, wanted), k)
        if len(allowed) <= max(self.few, k) or not self._has_structure:
            return self._answer(*top_k_of(self._vectors, queries, k, allowed.rows, self.metric), k)
        return self._answer(*self._search_among(queries, k, allowed), k)

    def search_exactly(
        self, queries: FloatMatrix, k: int, allow: Ids | Allowed | None = None
    ) -> tuple[Ids, FloatMatrix]:
        """Return what ``search`` would, had it looked at every vector: the truth that recall is measured against."""
        queries, k = check_queries(queries, self.dim), check_k(k)
        if len(self) == 0 or len(queries) == 0:
            return pad(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32), k)
        if allow is None:
            return self._answer(*top_k(self._vectors, queries, k, self.metric), k)
        return self._answer(*top_k_of(self._vectors, queries, k, self._allowed(allow).rows, self.metric), k)

    def score(self, queries: FloatMatrix, ids: Ids) -> FloatMatrix:
        """Return the exact scores (q, m) of some ids (q, m) that this index holds or -1, which scores -inf.

        What two indexes answer can be merged by these: they are one arithmetic, whatever found the ids.
        """
        if len(self) == 0:
            return np.full(ids.shape, -np.inf, np.float32)
        rows = np.where(ids >= 0, np.searchsorted(self._ids, ids), -1)
        return score_rows(self._vectors, queries, rows, self.metric)

    def _rows_of(self, ids: Ids) -> Rows:
        """Return the rows of those of some ids, ascending, that this index holds."""
        if not len(self):
            return np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        rows: Rows = at[self._ids[at] == ids]
        return rows

    def save(self, folder: str) -> None:
        """Write ids.npy, vectors.npy and the kind's own files into an existing folder."""
        target = Path(folder)
        np.save(target / IDS, self._ids, allow_pickle=False)
        np.save(target / "vectors.npy", self._vectors, allow_pickle=False)
        if self._has_structure:
            self._save(target)

    def load(self, folder: str) -> None:
        """Read what ``save`` wrote, the vectors mapped; only for files whose digests were checked."""
        source = Path(folder)
        ids = load_array(source / IDS)
        vectors = load_array(source / "vectors.npy", mapped=True)
        if ids.dtype != np.int64 or ids.ndim != 1 or vectors.ndim != 2 or len(ids) != len(vectors):
            raise UsageError(f"{source} does not hold an index of Sosie")
        # A plain view: indexing a memmap costs a Python call more, each time.
        self._ids, self._vectors, self._mapping = ids, vectors.view(np.ndarray), getattr(vectors, "_mmap", None)
        if self._has_structure:
            self._load(source)

    def structure_size(self) -> int:
        """Return the bytes that a search keeps in memory: the structure, or else the vectors."""
        with tempfile.TemporaryDirectory(prefix="sosie-size-") as folder:
            if self._has_structure:
                self._save(Path(folder))
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
        return size or self._vectors.nbytes

    @abstractmethod
    def _build(self, vectors: FloatMatrix) -> None:
        """Build over ``vectors`` (n, dim), n >= least."""

    @abstractmethod
    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        """Return rows and scores, both (q, k), best first; row -1 where nothing was found; 1 <= k <= n."""

    @abstractmethod
    def _save(self, folder: Path) -> None: ...

    @abstractmethod
    def _load(self, folder: Path) -> None: ...

    @property
    def _has_structure(self) -> bool:
        return len(self) >= max(1, self.least)

    def _search_all(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        # Much of the library is asked for: going through all of it is both faster and right.
        if not self._has_structure or k > min(_WIDEST, len(self) // 4):
            return top_k(self._vectors, queries, k, self.metric)
        rows, scores = self._search(queries, k)
        if not self.fills_up:
            return rows, scores
        # Few kinds promise k answers. Where one fell short, those queries are answered exactly.
        if rows.shape[1] < k:
            return top_k(self._vectors, queries, k, self.metric)
        fell_short = rows[:, k - 1] < 0
        if fell_short.any():
            rows[fell_short], scores[fell_short] = top_k(self._vectors, queries[fell_short], k, self.metric)
        return rows, scores

    def _search_deeper(self, queries: FloatMatrix, k: int, fetch: int) -> tuple[Rows, FloatMatrix]:
        """Return ``fetch`` of the nearest, as surely as ``search`` finds k; a kind whose effort is set widens it."""
        return self._search(queries, fetch)

    def _search_among(self, queries: FloatMatrix, k: int, allowed: Allowed) -> tuple[Rows, FloatMatrix]:
        """Return the best of ``allowed``, which are many.

        So many of the nearest are looked through that k of them are allowed, were what is allowed spread evenly. A
        query that has fewer lies far from what is allowed; deeper an index gives those that it happens to meet, not the
        nearest, so all that is allowed is gone through. The last third of what was fetched is its least sure.
        """
        found = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        unanswered = np.arange(len(queries))
        fetch = int(3 * k / allowed.share) + k
        if fetch <= min(max(_DEEPEST, 8 * k), len(self) // 4):
            near, values = (each[:, : 2 * fetch // 3] for each in self._search_deeper(queries, k, fetch))
            keep = (near >= 0) & allowed.mask[near]
            enough = keep.sum(axis=1) >= k
            for at in np.flatnonzero(enough):
                mine = np.flatnonzero(keep[at])[:k]
                found[at], scores[at] = near[at, mine], values[at, mine]
            unanswered = unanswered[~enough]
        if len(unanswered):
            found[unanswered], scores[unanswered] = top_k_of(
                self._vectors, queries[unanswered], k, allowed.rows, self.metric
            )
        return found, scores

    def _allowed(self, allow: Ids | Allowed) -> Allowed:
        if isinstance(allow, Allowed):
            return allow
        before, answer = self._last_allow
        if before is allow:
            return answer
        ids = check_allow(allow)
        answer = Allowed.of_rows(self._rows_of(ids), len(self._ids))
        if isinstance(allow, np.ndarray) and not allow.flags.writeable:
            self._last_allow = (allow, answer)
        return answer

    def _answer(self, rows: npt.NDArray[Any], scores: FloatMatrix, k: int) -> tuple[Ids, FloatMatrix]:
        first, last = self._ids[0], self._ids[-1]
        no_gaps = last - first == len(self._ids) - 1  # then adding is cheaper than looking up
        ids = rows + first if no_gaps else self._ids[rows]
        if not self.fills_up:  # the others have filled what was not found
            ids[rows < 0] = -1
        return pad(ids, scores, k)


def threads() -> int:
    """Return how many threads a batch of queries or a build may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
