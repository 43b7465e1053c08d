"""Which references are relevant to which queries, told from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sosie.evaluation.metrics import Bools, Floats, Ints
from sosie.types import FloatMatrix, LabelValue

__all__ = ["LabelSets", "choose_keys", "label_sets"]


@dataclass(frozen=True)
class LabelSets:
    """The labels of pictures as rows of 0 and 1: ``member`` (n, labels), and the ``names`` of its columns."""

    member: npt.NDArray[np.uint8]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.member)

    @cached_property
    def sizes(self) -> FloatMatrix:
        """How many labels each picture has (n,)."""
        return np.asarray(self.member.sum(axis=1), np.float32)

    @cached_property
    def _weights(self) -> FloatMatrix:
        return self.member.astype(np.float32)

    @cached_property
    def codes(self) -> Ints | None:
        """The label of each picture as its column (n,), -1 for none; None where some picture has several."""
        if len(self) and self.sizes.max() > 1:
            return None
        if not self.names:
            return np.full(len(self), -1)
        return np.where(self.sizes > 0, self.member.argmax(axis=1), -1).astype(np.int64)

    @property
    def clusters(self) -> Ints:
        """The number of the set of labels that each picture has (n,): of its class, where it has one label."""
        _, numbers = np.unique(self.member, axis=0, return_inverse=True)
        return np.asarray(numbers, np.int64).reshape(-1)

    def words(self, row: int) -> tuple[str, ...]:
        """Return the labels of one picture."""
        return tuple(self.names[at] for at in np.flatnonzero(self.member[row]))

    def take(self, rows: slice | Ints) -> LabelSets:
        """Return the sets of some rows."""
        return LabelSets(self.member[rows], self.names)

    def shared(self, references: LabelSets) -> Bools:
        """Return which references have a label in common with which of these (n, m)."""
        if self.codes is not None and references.codes is not None:
            return np.asarray((self.codes[:, None] == references.codes) & (self.codes[:, None] >= 0))
        return np.asarray(self._weights @ references._weights.T > 0)

    def overlap(self, references: LabelSets) -> Floats:
        """Return the Jaccard overlap of each of these with each reference (n, m); 0 of two empty sets."""
        both = (self._weights @ references._weights.T).astype(np.float64)
        either = self.sizes[:, None] + references.sizes[None, :] - both
        return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def label_sets(
    labels: Sequence[Mapping[str, LabelValue]], keys: Sequence[str], names: Sequence[str] | None = None
) -> LabelSets:
    """Turn what ``keys`` hold into label sets: a word is one label, a tuple several; numbers are no labels.

    With several keys a label is named ``key=value``. ``names`` fixes the columns; other labels are left out.
    """
    rows = [_words(picture, keys) for picture in labels]
    columns = tuple(names if names is not None else sorted({word for row in rows for word in row}))
    place = {name: at for at, name in enumerate(columns)}
    member = np.zeros((len(rows), len(columns)), dtype=np.uint8)
    for at, row in enumerate(rows):
        member[at, [place[word] for word in row if word in place]] = 1
    return LabelSets(member, columns)


def choose_keys(labels: Sequence[Mapping[str, LabelValue]]) -> tuple[str, ...]:
    """Return the key to judge by where nobody said: ``label``, else the one whose words are shared by most."""
    shared: dict[str, int] = {}
    for key in sorted({key for picture in labels for key in picture}):
        sets = label_sets(labels, [key])
        counts = sets.member.sum(axis=0, dtype=np.int64)
        useful = counts[(counts > 1) & (counts < 0.9 * (sets.sizes > 0).sum())]
        # one label alone, or one that nearly every picture has, tells nothing
        shared[key] = int(useful.sum()) if len(useful) > 1 else 0
    if shared.get("label"):
        return ("label",)
    best = max(shared, key=lambda key: shared[key], default=None)
    return (best,) if best is not None and shared[best] else ()


def _words(picture: Mapping[str, LabelValue], keys: Sequence[str]) -> set[str]:
    words: set[str] = set()
    for key in keys:
        value = picture.get(key, ())
        several = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        words |= {word if len(keys) == 1 else f"{key}={word}" for word in several if word}
    return words
