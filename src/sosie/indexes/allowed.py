"""Which rows a filter leaves, in the forms that the kinds want, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sosie.indexes.flat import Rows

__all__ = ["Allowed"]


@dataclass(frozen=True)
class Allowed:
    """The ascending ``rows`` (m,) of ``n`` that may be returned."""

    rows: Rows
    n: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def share(self) -> float:
        """The part of all rows that is allowed."""
        return len(self.rows) / self.n

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """One truth value a row (n,)."""
        mask = np.zeros(self.n, bool)
        mask[self.rows] = True
        return mask
