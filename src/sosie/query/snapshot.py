"""What a view knows at one moment of the catalogue: the main index, the exact tail beside it, and what is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.arrays import Bits
from sosie.catalogue import Held
from sosie.catalogue.changes import Moment
from sosie.contracts import Index, Tunable
from sosie.errors import UsageError
from sosie.indexes.allowed import Allowed
from sosie.indexes.base import RowIndex
from sosie.indexes.exact import ExactIndex
from sosie.indexes.filtered import recall_at_share
from sosie.indexes.manifest import Manifest
from sosie.query import rank
from sosie.regions.table import Table
from sosie.types import FloatMatrix, Ids

__all__ = ["Part", "Snapshot", "described"]

_NONE: Ids = np.empty(0, np.int64)


@dataclass(frozen=True)
class Part:
    """An index, and those of its ids that belong to no live picture any more, ascending."""

    index: Index
    gone: Ids = field(default_factory=lambda: _NONE)
    _last: dict[str, tuple[Bits, Ids | Allowed]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.index.ids) - len(self.gone)

    def has(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Return a truth value for each of some ids."""
        mine = self.index.ids
        if not len(mine):
            return np.zeros(len(ids), bool)
        found: npt.NDArray[np.bool_] = mine[np.minimum(np.searchsorted(mine, ids), len(mine) - 1)] == ids
        return found

    def after(self, changed: Ids, live: Ids) -> Part:
        """Return this part where, of the ids that changed, those of ``live`` belong to a live picture."""
        gone = np.setdiff1d(changed, live, assume_unique=True)
        gone = np.union1d(np.setdiff1d(self.gone, changed, assume_unique=True), gone[self.has(gone)])
        return self if np.array_equal(gone, self.gone) else replace(self, gone=gone)

    def allowed(self, allow: Ids | Bits | None) -> Ids | Allowed | None:
        """Return what the index may return: of ``allow``, or of all, what is not gone."""
        if allow is None:
            return self._live
        if isinstance(allow, Bits):
            return self._of_bits(allow)
        return np.setdiff1d(allow, self.gone, assume_unique=True) if len(self.gone) else allow

    def _of_bits(self, bits: Bits) -> Ids | Allowed:
        """Return what a set allows, worked out once as long as the same set is asked for."""
        known, found = self._last.get("bits", (None, None))
        if known is not bits or found is None:
            found = self._worked_out(bits)
            self._last["bits"] = (bits, found)
        return found

    def _worked_out(self, bits: Bits) -> Ids | Allowed:
        index = self.index
        if not isinstance(index, RowIndex) or not len(index):
            return np.setdiff1d(bits.ids, self.gone, assume_unique=True)
        if len(bits) <= index.few:
            ids = np.setdiff1d(bits.ids, self.gone, assume_unique=True)
            return Allowed.of_rows(np.searchsorted(index.ids, ids[self.has(ids)]), len(index))
        first, last = int(index.ids[0]), int(index.ids[-1])
        no_gaps = last - first == len(index) - 1
        mask = bits.mask(first, last) if no_gaps else bits.has(index.ids)
        mask[np.searchsorted(index.ids, self.gone)] = False
        return Allowed.of_mask(mask)

    @cached_property
    def _live(self) -> Ids | Allowed | None:
        if not len(self.gone):
            return None
        if isinstance(self.index, RowIndex):
            mask = np.ones(len(self.index), bool)
            mask[np.searchsorted(self.index.ids, self.gone)] = False
            return Allowed.of_mask(mask)
        return np.setdiff1d(self.index.ids, self.gone, assume_unique=True)


@dataclass(frozen=True)
class Snapshot:
    """What is searched at one moment."""

    moment: Moment
    stamp: object  # of the main index
    main: Part | None
    manifest: Manifest | None
    tail: Part  # of all vectors that are not in the main index
    regions: Table | None  # whose they are; None in a space of whole pictures
    unembedded: int = 0  # live pictures without a vector in this space
    search_params: Mapping[str, Any] = field(default_factory=dict)  # those of this question alone

    @property
    def opened(self) -> tuple[Index, Manifest] | None:
        """The main index as it was opened."""
        return None if self.main is None or self.manifest is None else (self.main.index, self.manifest)

    @property
    def exact_tail(self) -> ExactIndex:
        """The index of the tail."""
        assert isinstance(self.tail.index, ExactIndex)
        return self.tail.index

    @property
    def description(self) -> dict[str, Any]:
        """Say what kind of index answers, what recall it was measured to have, and how much lies in the tail."""
        about = described(self.manifest, self.exact_tail.metric, len(self.tail))
        if not self.search_params:
            return about
        about.pop("recall_interval", None)
        return {**about, "recall": None, "params": dict(self.search_params)}  # nobody measured these

    def with_params(self, params: Mapping[str, Any]) -> Snapshot:
        """Return this with other search parameters of the main index; raise UsageError for those it does not take."""
        if self.main is None or isinstance(self.main.index, ExactIndex):
            raise UsageError(
                f"search is exact here, and takes no {next(iter(params))!r}: `sosie index build --kind KIND` first"
            )
        index = self.main.index
        if not isinstance(index, Tunable):
            raise UsageError(f"an index of kind {index.kind} takes no parameters at a query")
        return replace(self, main=replace(self.main, index=index.tuned(params)), search_params=params)

    def recall_filtered(self, allow: Ids | Bits) -> float | None:
        """Return the recall to expect of a filter: the least measured of those about as wide; 1 where exact."""
        index = self.main.index if self.main else None
        exact = isinstance(index, RowIndex) and len(allow) <= index.few
        if index is None or isinstance(index, ExactIndex) or exact:
            return 1.0
        measured = self.manifest.measured.get("filtered", ()) if self.manifest and not self.search_params else ()
        return recall_at_share(measured, len(allow) / max(1, self.count()))

    @property
    def may_fall_short(self) -> bool:
        """Whether fewer than k may be the answer of the main index."""
        return self.main is not None and isinstance(self.main.index, RowIndex) and not self.main.index.fills_up

    def count(self, allow: Ids | Bits | None = None) -> int:
        """Return how many live vectors there are, of those that are allowed."""
        if allow is not None:
            return len(allow)
        return len(self.tail) + (len(self.main) if self.main else 0)

    def search(
        self, queries: FloatMatrix, k: int, allow: Ids | Bits | None = None, *, exactly: bool = False
    ) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf."""
        parts = []
        if self.main is not None:
            parts.append(_search(self.main, queries, k, allow, exactly=exactly))
        if len(self.tail):
            if self.main is not None and isinstance(self.main.index, RowIndex):
                # what is merged is scored by one arithmetic
                parts[0] = parts[0][0], self.main.index.score(queries, parts[0][0])
            parts.append(_search(self.tail, queries, k, allow, exactly=exactly))
        if not parts:
            return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        return rank.merge(parts, k)

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions of some live pictures, which ascend, and their vectors, from wherever those lie."""
        assert self.regions is not None
        rows = self.regions.rows_of(pictures)
        ids, vectors = self.regions.ids[rows], np.empty((len(rows), self.exact_tail.vectors.shape[1]), np.float32)
        found = np.zeros(len(rows), bool)
        for part in (self.tail, self.main):
            if part is None or not isinstance(part.index, RowIndex) or not len(part.index):
                continue
            here = part.has(ids) & ~np.isin(ids, part.gone)
            vectors[here] = part.index.vectors[np.searchsorted(part.index.ids, ids[here])]
            found |= here
        rows = rows[found]
        return Held(self.regions.ids[rows], self.regions.owners[rows], self.regions.sure[rows], vectors[found])


def described(manifest: Manifest | None, metric: str, tail: int) -> dict[str, Any]:
    """Say what kind of index answers, by its manifest, and how much lies in the tail."""
    interval = manifest.recall_interval if manifest else None
    return {
        "kind": manifest.kind if manifest else "exact",
        "metric": metric,
        "recall": manifest.recall if manifest else 1.0,
        **({"recall_interval": interval} if interval else {}),
        "generation": manifest.generation if manifest else None,
        "tail": tail,
    }


def _search(
    part: Part, queries: FloatMatrix, k: int, allow: Ids | Bits | None, *, exactly: bool
) -> tuple[Ids, FloatMatrix]:
    index, allowed = part.index, part.allowed(allow)
    if isinstance(index, RowIndex):
        return index.search_exactly(queries, k, allowed) if exactly else index.search(queries, k, allowed)
    assert not isinstance(allowed, Allowed)
    return index.search(queries, k, allowed)
