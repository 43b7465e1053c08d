"""Which rows a filter leaves, in the forms that the kinds want, each worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sosie.indexes.flat import Rows

__all__ = ["Allowed"]


@dataclass(frozen=True)
class Allowed:
    """The rows of ``n`` that may be returned."""

    n: int
    _rows: Rows | None = None
    _mask: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of_rows(cls, rows: Rows, n: int) -> Allowed:
        """Allow ``rows`` (m,), which ascend."""
        return cls(n, rows)

    @classmethod
    def of_mask(cls, mask: npt.NDArray[np.bool_]) -> Allowed:
        """Allow the rows whose truth value (n,) is set."""
        return cls(len(mask), None, mask)

    @cached_property
    def _count(self) -> int:
        return len(self._rows) if self._rows is not None else int(np.count_nonzero(self.mask))

    def __len__(self) -> int:
        return self._count

    @property
    def share(self) -> float:
        """The part of all rows that is allowed."""
        return len(self) / self.n

    @cached_property
    def rows(self) -> Rows:
        """The allowed rows (m,), ascending."""
        return self._rows if self._rows is not None else np.flatnonzero(self.mask)

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """One truth value a row (n,)."""
        if self._mask is not None:
            return self._mask
        mask = np.zeros(self.n, bool)
        mask[self.rows] = True
        return mask
