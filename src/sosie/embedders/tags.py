"""What a picture surely holds: the words whose probability by a classifier is high, told from stored vectors.

The arrays lie in the table of `sosie.embedders.vocabulary`: ``class_rows``, which of its things are classes, with
``class_lengths`` and ``class_biases``, which make the classifier's outputs of them; ``tags``, ``tag_members`` and
``tag_ends``, the classes of each tag. A tag's probability is the sum of theirs by softmax.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sosie.types import FloatMatrix, Ids

__all__ = ["SHARPNESS", "SURE", "Tagger", "tagger_of"]

# docs/reference/bundled-model.md says what these were chosen by: the outputs are sharpened, since the semantic vector
# tells less than all of them, and a picture has the tags whose probability is as high as that
SHARPNESS, SURE = 2.0, 0.998


@dataclass(frozen=True, slots=True)
class Tagger:
    """Tells tags from unit vectors of the semantic head."""

    weight: FloatMatrix  # (classes, dim)
    bias: FloatMatrix  # (classes,)
    names: tuple[str, ...]
    members: Ids  # the classes of each tag, one tag after the other
    begins: Ids  # (tags,): where those of each begin

    def probabilities(self, vectors: FloatMatrix) -> FloatMatrix:
        """Return the probability of each tag (n, tags) by vectors (n, dim)."""
        outputs = SHARPNESS * (np.asarray(vectors, np.float32) @ self.weight.T + self.bias)
        odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        sums = np.add.reduceat(odds[:, self.members], self.begins, axis=1)
        return np.asarray(sums / odds.sum(axis=1, keepdims=True), np.float32)

    def tags(self, vectors: FloatMatrix) -> list[tuple[str, ...]]:
        """Return the tags of each vector (n, dim), the surest first."""
        found = []
        for row in self.probabilities(vectors):
            sure = np.flatnonzero(row >= SURE)
            found.append(tuple(self.names[at] for at in sure[np.argsort(-row[sure], kind="stable")]))
        return found


def tagger_of(things: FloatMatrix, arrays: Mapping[str, FloatMatrix]) -> Tagger | None:
    """Return what tells tags by a table's things (n, dim) and arrays, None where it has none; raise ValueError."""
    if "tags" not in arrays:
        return None
    rows = things[arrays["class_rows"]]
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    names = tuple(bytes(arrays["tags"]).decode("utf-8").split("\n"))
    members, begins = arrays["tag_members"].astype(np.int64), np.r_[0, arrays["tag_ends"][:-1]].astype(np.int64)
    if len(begins) != len(names) or members.max() >= len(rows):
        raise ValueError("its tags do not fit each other")
    return Tagger(unit * arrays["class_lengths"][:, None], arrays["class_biases"], names, members, begins)
