"""The field's measures, as pure functions of arrays.

Ranked measures start from ``Ranks``: where the relevant references of each query stand, the best place being 1. Ties
are put in the worst order (the irrelevant first), so that a model that gives every picture the same score earns
nothing by it. A query without relevant references has no value (NaN) and is left out of means. Pooled measures
start from (score, truth) of many pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.indexes.recall import count_found, count_true

__all__ = [
    "Ranks",
    "average_precision",
    "calibration_error",
    "found",
    "hits",
    "index_recall",
    "mean",
    "micro_average_precision",
    "ndcg",
    "precision",
    "r_precision",
    "ranked_measures",
    "ranks_of_answers",
    "recall_at_precision",
    "recall_before_false",
    "reciprocal_rank",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where relevant references stand: ``rank`` (m,) from 1, ``query`` (m,) whose they are, both ascending.

    ``total`` (q,) counts the relevant references of each query, found or not.
    """

    rank: Ints
    query: Ints
    total: Ints

    def count(self, k: int | Ints | None = None) -> Floats:
        """Return how many stand within the first ``k`` (all, one number, or one for each query)."""
        within = (
            np.ones(len(self.rank), dtype=bool)
            if k is None
            else self.rank <= np.broadcast_to(np.asarray(k), self.total.shape)[self.query]
        )
        return np.bincount(self.query[within], minlength=len(self.total)).astype(np.float64)

    def share(self, values: Floats, of: Ints | Floats) -> Floats:
        """Divide per query; NaN where there is nothing relevant."""
        result = np.full(len(self.total), np.nan)
        np.divide(values, of, out=result, where=self.total > 0)
        return result


def ranks_of_answers(relevant: Bools, scores: npt.NDArray[np.floating], total: Ints) -> Ranks:
    """Return the ranks of the relevant among stored answers.

    ``relevant`` and ``scores`` are (q, k), in any order; a score of -inf is no answer. ``total`` (q,).
    """
    order = np.lexsort((relevant, -scores), axis=1)
    there = np.take_along_axis(relevant & (scores > -np.inf), order, axis=1)
    query, place = np.nonzero(there)
    return Ranks(place.astype(np.int64) + 1, query.astype(np.int64), np.asarray(total, dtype=np.int64))


def average_precision(ranks: Ranks, k: int | None = None) -> Floats:
    """Return the average precision of each query (q,); its mean is the mAP.

    With ``k`` it is cut: only the first k answers count, and the divisor is min(relevant, k), so that a perfect
    answer has 1 (as in Google Landmarks, Weyand et al., 2020; trec_eval divides by all relevant).
    """
    starts = np.searchsorted(ranks.query, np.arange(len(ranks.total)))
    place = np.arange(len(ranks.rank)) - starts[ranks.query] + 1
    at = place / ranks.rank
    if k is not None:
        at = np.where(ranks.rank <= k, at, 0.0)
    summed = np.bincount(ranks.query, weights=at, minlength=len(ranks.total)).astype(np.float64)
    return ranks.share(summed, ranks.total if k is None else np.minimum(ranks.total, k))


def precision(ranks: Ranks, k: int) -> Floats:
    """Return the share of the first ``k`` places that is relevant (q,); empty places count as wrong."""
    return ranks.share(ranks.count(k), np.full(len(ranks.total), k))


def found(ranks: Ranks, k: int) -> Floats:
    """Return the share of the relevant references that is among the first ``k`` (q,)."""
    return ranks.share(ranks.count(k), ranks.total)


def hits(ranks: Ranks, k: int) -> Floats:
    """Return 1 where at least one relevant reference is among the first ``k``, else 0 (q,).

    Its mean is what metric learning calls recall@k (Jégou et al., 2011; Song et al., 2016).
    """
    return ranks.share(np.minimum(ranks.count(k), 1.0), np.ones(len(ranks.total)))


def r_precision(ranks: Ranks) -> Floats:
    """Return the precision at as many places as there are relevant references (q,)."""
    return ranks.share(ranks.count(ranks.total), ranks.total)


def reciprocal_rank(ranks: Ranks) -> Floats:
    """Return 1 / the rank of the first relevant reference, 0 where none was found (q,)."""
    first = np.zeros(len(ranks.total))
    np.maximum.at(first, ranks.query, 1.0 / ranks.rank)
    return ranks.share(first, np.ones(len(ranks.total)))


def ndcg(
    gains: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    ideal: npt.NDArray[np.floating],
    k: int,
    *,
    averaged_ties: bool = False,
) -> Floats:
    """Return the normalised discounted cumulative gain of each query (q,) (Järvelin and Kekäläinen, 2002).

    ``gains`` and ``scores`` (q, n) are of the answers; ``ideal`` (q, m) holds the best gains there are, best first.
    Ties stand in the worst order, or count as the mean over all orders (McSherry and Najork, 2008). NaN where
    nothing has gain.
    """
    weights = _discounts(gains.shape[1], k)
    if averaged_ties:
        earned = np.array([_tied_gain(g, s, weights) for g, s in zip(gains, scores, strict=True)])
    else:
        order = np.lexsort((gains, -scores), axis=1)
        earned = np.take_along_axis(gains, order, axis=1) @ weights
    best = ideal @ _discounts(ideal.shape[1], k)
    result = np.full(len(gains), np.nan)
    np.divide(earned, best, out=result, where=best > 0)
    return result


def _discounts(n: int, k: int) -> Floats:
    places = np.arange(n)
    return np.where(places < k, 1 / np.log2(places + 2), 0.0)


def _tied_gain(gains: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], weights: Floats) -> float:
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=gains) / size
    return float((np.repeat(mean, size) * weights).sum())


# ------------------------------------------------------------------------------------------------ pooled pairs


def _worst_first(scores: Floats, truth: Bools) -> tuple[Floats, Bools]:
    order = np.lexsort((truth, -scores))
    return scores[order], truth[order]


def micro_average_precision(
    scores: npt.NDArray[np.floating], truth: Bools, total: int, *, grouped_ties: bool = False
) -> float:
    """Return micro-AP: all pairs of all queries in one ranking (Perronnin et al., 2009; DISC21, Douze et al., 2021).

    ``total`` counts the true pairs, found or not. Ties are in the worst order, or share one threshold.
    """
    if total == 0:
        return float("nan")
    ordered, right = _worst_first(np.asarray(scores, np.float64), truth)
    at = np.cumsum(right) / np.arange(1, len(right) + 1)
    if grouped_ties and len(ordered):
        last = np.searchsorted(-ordered, -ordered, side="right") - 1
        at = at[last]
    return float(at[right].sum() / total)


def recall_at_precision(
    scores: npt.NDArray[np.floating], truth: Bools, total: int, least: float = 0.9
) -> tuple[float, float]:
    """Return the best recall of a threshold whose precision is at least ``least``, and that threshold.

    Where no threshold reaches it the recall is 0 and the threshold infinite.
    """
    if total == 0:
        return float("nan"), float("inf")
    ordered, right = _worst_first(np.asarray(scores, np.float64), truth)
    # the last of equal scores: no threshold can part them
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])
    true = np.cumsum(right)[ends]
    good = np.flatnonzero((true / (ends + 1) >= least) & (true > 0))
    if len(good) == 0:
        return 0.0, float("inf")
    best = good[np.argmax(true[good])]
    return float(true[best] / total), float(ordered[ends[best]])


def recall_before_false(scores: npt.NDArray[np.floating], truth: Bools, total: int) -> float:
    """Return the share of the true pairs that score higher than every false one."""
    if total == 0:
        return float("nan")
    highest = np.max(scores[~truth], initial=-np.inf)
    return float((scores[truth] > highest).sum() / total)


def calibration_error(probabilities: npt.NDArray[np.floating], truth: Bools, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width (Naeini et al., 2015; Guo et al., 2017)."""
    if len(probabilities) == 0:
        return float("nan")
    at = np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)
    stated = np.bincount(at, weights=probabilities, minlength=bins)
    came_true = np.bincount(at, weights=truth, minlength=bins)
    return float(np.abs(stated - came_true).sum() / len(probabilities))


def index_recall(
    found_ids: Ints,
    found_scores: npt.NDArray[np.floating],
    exact_scores: npt.NDArray[np.floating],
    *,
    k: int,
    tolerance: float = 1e-6,
) -> float:
    """Return the share of the ``k`` nearest that an index found, ties allowed (as faiss contrib/evaluation does).

    ``found_scores`` (q, ≥k) are the true scores of ``found_ids``, not the index's own; ``exact_scores`` (q, ≥k)
    those of exact search, best first, -inf where there are fewer than k. What is nearer than the k-th nearest has to
    be found itself, what ties with it stands for one another; -1 and repeated ids never count.
    """
    ids, scores, exact = found_ids[:, :k], found_scores[:, :k], exact_scores[:, :k]
    wanted = count_true(exact)
    if wanted.sum() == 0:
        return float("nan")
    ordered = np.sort(ids, axis=1)
    order = np.argsort(ids, axis=1, kind="stable")
    repeated = np.zeros(ids.shape, dtype=bool)
    again = np.zeros(ids.shape, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    np.put_along_axis(repeated, order, again, axis=1)
    good = np.where((ids >= 0) & ~repeated, scores, -np.inf)
    return float(count_found(good, exact, np.full(len(ids), tolerance)).sum() / wanted.sum())


def mean(values: Floats) -> float:
    """Return the mean over the queries that have a value; NaN where none has."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def ranked_measures(ranks: Ranks, ks: Sequence[int]) -> dict[str, Floats]:
    """Return every ranked measure of each query by the name it has in reports."""
    values = {"mAP": average_precision(ranks)}
    values |= {f"mAP@{k}": average_precision(ranks, k) for k in ks}
    values |= {f"recall@{k}": hits(ranks, k) for k in ks}
    values |= {f"found@{k}": found(ranks, k) for k in ks}
    values |= {f"precision@{k}": precision(ranks, k) for k in ks}
    return values | {"R-precision": r_precision(ranks), "MRR": reciprocal_rank(ranks)}
