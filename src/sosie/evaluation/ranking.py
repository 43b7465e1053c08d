"""Rank references by their vectors, block by block, keeping only what the measures need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sosie.evaluation.metrics import Bools, Floats, Ints, Ranks, ranked_measures
from sosie.types import FloatMatrix

__all__ = [
    "Blocks",
    "nearest",
    "ranks_of_scores",
    "same_label",
    "score_blocks",
    "stream_measures",
]

_BLOCK_BYTES = 64 * 2**20  # of one block of scores; a few of them live at a time


@dataclass(frozen=True, slots=True)
class Blocks:
    """Queries against references, and who is who.

    ``own`` (q,) is the row of the reference that the query itself is, or -1: it is never an answer.
    """

    queries: FloatMatrix
    references: FloatMatrix
    own: Ints

    def __iter__(self) -> Iterator[tuple[slice, FloatMatrix]]:
        """Yield rows and their scores (rows, references), the query itself at -inf."""
        step = max(1, _BLOCK_BYTES // max(1, 4 * len(self.references)))
        for start in range(0, len(self.queries), step):
            rows = slice(start, min(start + step, len(self.queries)))
            scores = self.queries[rows] @ self.references.T
            own = self.own[rows]
            there = np.flatnonzero(own >= 0)
            scores[there, own[there]] = -np.inf
            yield rows, scores


def ranks_of_scores(scores: FloatMatrix, relevant: Bools) -> Ranks:
    """Return the ranks of the relevant references in a full row of scores; both (q, n), -inf is not there.

    In the worst order the i-th best of the relevant has rank i + (the irrelevant that score as high or higher), so
    that one sort of plain numbers is enough and nothing has to be ranked but the relevant.
    """
    relevant = relevant & (scores > -np.inf)
    every = np.sort(scores, axis=1)
    total = relevant.sum(axis=1)
    ranks = np.empty(int(total.sum()), dtype=np.int64)
    done = 0
    for row, ascending, chosen in zip(scores, every, relevant, strict=True):
        mine = np.sort(row[chosen])
        as_high = len(row) - np.searchsorted(ascending, mine, side="left")
        mine_as_high = len(mine) - np.searchsorted(mine, mine, side="left")
        place = np.arange(len(mine), 0, -1)
        ranks[done : done + len(mine)] = (as_high - mine_as_high + place)[::-1]
        done += len(mine)
    return Ranks(ranks, np.repeat(np.arange(len(scores)), total), total.astype(np.int64))


def stream_measures(blocks: Blocks, relevant: Callable[[slice], Bools], ks: Sequence[int]) -> dict[str, Floats]:
    """Return every ranked measure of each query over the full ranking.

    ``relevant`` says for some rows of queries which references are relevant (rows, n). Memory is that of a few blocks
    of scores whatever the number of queries.
    """
    parts = [ranked_measures(ranks_of_scores(scores, relevant(rows)), ks) for rows, scores in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def same_label(queries: Ints, references: Ints) -> Callable[[slice], Bools]:
    """Return relevance by equal numbers, -1 being no label, for ``stream_measures``."""
    return lambda rows: (queries[rows, None] == references) & (queries[rows, None] >= 0)


def nearest(scores: FloatMatrix, k: int) -> tuple[Ints, FloatMatrix]:
    """Return the columns and scores of the ``k`` best of each row, best first, equal ones by column.

    Missing answers (-inf) have column -1.
    """
    k = min(k, scores.shape[1])
    if 4 * k < scores.shape[1]:
        some = np.sort(np.argpartition(scores, -k, axis=1)[:, -k:], axis=1)
    else:
        some = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    values = np.take_along_axis(scores, some, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(values, order, axis=1)
    columns = np.take_along_axis(some, order, axis=1).astype(np.int64)
    return np.where(best > -np.inf, columns, -1), best


def score_blocks(blocks: Blocks, k: int) -> tuple[Ints, FloatMatrix]:
    """Return the ``k`` best references of every query: rows of the references (q, k) and scores (q, k)."""
    k = min(k, len(blocks.references))
    columns = np.full((len(blocks.queries), k), -1, dtype=np.int64)
    best = np.full((len(blocks.queries), k), -np.inf, dtype=np.float32)
    for rows, scores in blocks:
        columns[rows], best[rows] = nearest(scores, k)
    return columns, best
