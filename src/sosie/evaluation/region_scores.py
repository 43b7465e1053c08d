"""What the parts of pictures give: every picture of a library against every other, and the weights that serve best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from sosie.errors import UsageError
from sosie.evaluation.metrics import Bools, Floats, Ints, average_precision
from sosie.evaluation.ranking import nearest, ranks_of_scores
from sosie.library import Library
from sosie.regions.fusion import Weights, combine, part_weights
from sosie.types import FloatMatrix, Ids, Region

__all__ = ["Fit", "RegionScores", "fit_weights", "ranked"]

FOLDS = 5
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_AREAS, _SURES, _TRUSTS = (0.0, 0.25, 0.5, 1.0), (0.0, 0.5, 1.0), (0.0, 0.1, 0.25, 0.5)
_MOST = 5_000  # pictures; all pairs of them are compared


class RegionScores:
    """Scores (n, n) of the pictures of a library, in order of id, by whole pictures and by kinds of regions."""

    def __init__(self, library: Library, kinds: Sequence[str]) -> None:
        ids, vectors = library.vectors()
        if len(ids) > _MOST:
            raise UsageError(f"all pairs of {len(ids)} pictures are too many: measure on a library of up to {_MOST}")
        self.whole: FloatMatrix = vectors @ vectors.T
        self._kinds = {kind: _Kind.of(library, kind, ids) for kind in kinds}

    def __len__(self) -> int:
        return len(self.whole)

    def by_kind(self, kind: str, weights: Weights) -> FloatMatrix:
        """Return the scores of one kind alone (n, n)."""
        return self._kinds[kind].scores(weights)

    def fused(self, weights: Mapping[str, Weights]) -> FloatMatrix:
        """Return the scores of whole pictures and some kinds together (n, n)."""
        return combine(self.whole, [(self.by_kind(kind, each), each.share) for kind, each in weights.items()])


class _Kind:
    """The regions of one kind of all pictures; ``owners`` (r,) are rows of pictures, ascending."""

    def __init__(self, name: str, regions: Sequence[Region], vectors: FloatMatrix, owners: Ints) -> None:
        self._name, self._regions, self._vectors, self._owners = name, regions, vectors, owners
        self._best: dict[float, list[FloatMatrix]] = {}  # by trust; for each picture (its regions, n)

    @classmethod
    def of(cls, library: Library, kind: str, ids: Ids) -> _Kind:
        rows, vectors = library.catalogue.regions_of(library.extractor.existing_space(kind), ids.tolist())
        owners = np.searchsorted(ids, [row.content_id for row in rows])
        if len(np.unique(owners)) < len(ids):
            raise UsageError(f"some pictures have no {kind} regions yet: `sosie add` their folders again")
        return cls(kind, [row.region for row in rows], vectors, owners)

    def scores(self, weights: Weights) -> FloatMatrix:
        found = []
        for row, best in enumerate(self._best_by_picture(weights.trust)):
            asked = (
                [self._regions[at] for at in np.flatnonzero(self._owners == row).tolist()]
                if self._name == "objects"
                else []
            )
            counted = part_weights(asked, len(best), weights)
            found.append((counted[:, None] * best).sum(axis=0) / counted.sum())
        return np.stack(found).astype(np.float32)

    def _best_by_picture(self, trust: float) -> list[FloatMatrix]:
        if trust not in self._best:
            sure = np.array([r.confidence if r.label else 1.0 for r in self._regions], np.float32) ** trust
            starts = np.searchsorted(self._owners, np.arange(self._owners[-1] + 1))
            ends = [*starts[1:], len(self._owners)]
            self._best[trust] = [
                np.maximum.reduceat((self._vectors[a:b] @ self._vectors.T) * sure, starts, axis=1)
                for a, b in zip(starts, ends, strict=True)
            ]
        return self._best[trust]


def ranked(scores: FloatMatrix, rows: Ints, k: int) -> tuple[Ints, FloatMatrix]:
    """Answer as `sosie.evaluation.collection.Search` does: the best k columns and scores of some rows."""
    return nearest(scores[rows], k)


@dataclass(frozen=True, slots=True)
class Fit:
    """The weights of one kind: fitted on all queries, and for each fold on those of the others."""

    weights: Weights
    folds: Sequence[Weights]
    fold_of: Ints  # (n,)

    def honest(self, scores: RegionScores, kind: str) -> FloatMatrix:
        """Return fused scores (n, n) in which no query had a say in its own weights."""
        found = np.empty_like(scores.whole)
        for number, weights in enumerate(self.folds):
            mine = self.fold_of == number
            found[mine] = scores.fused({kind: weights})[mine]
        return found


def fit_weights(scores: RegionScores, kind: str, relevant: Bools, *, seed: int = 0) -> Fit:
    """Choose the weights of a kind by mAP over ``relevant`` (n, n), on all queries and in each fold on the others."""
    powers = product(_AREAS, _SURES) if kind == "objects" else [(0.0, 0.0)]
    settings, values = [], []
    for (area, sure), trust in product(powers, _TRUSTS if kind == "objects" else (0.0,)):
        alone = scores.by_kind(kind, Weights(0.0, area, sure, trust))
        for share in _SHARES:
            settings.append(Weights(share, area, sure, trust))
            values.append(_precisions(combine(scores.whole, [(alone, share)]), relevant))
    table = np.stack(values)  # (settings, n), NaN where nothing is relevant
    fold_of = np.random.default_rng(seed).permutation(len(scores)) % FOLDS
    folds = [settings[int(np.nanmean(table[:, fold_of != fold], axis=1).argmax())] for fold in range(FOLDS)]
    return Fit(settings[int(np.nanmean(table, axis=1).argmax())], folds, fold_of)


def _precisions(scores: FloatMatrix, relevant: Bools) -> Floats:
    """Return the average precision of each picture as a query, itself left out (n,)."""
    scores, relevant = scores.copy(), relevant.copy()
    np.fill_diagonal(scores, -np.inf)
    np.fill_diagonal(relevant, False)
    return average_precision(ranks_of_scores(scores, relevant))
