"""``evaluate labels``: are the pictures that come back of the same kind?

Queries are the references themselves, each left out of its own answers, or other pictures. Relevance is told by
labels: one label in common, and for pictures with several labels how large the overlap is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sosie.errors import UnknownName, UsageError
from sosie.evaluation.collection import Collection, Search
from sosie.evaluation.intervals import paired_bootstrap
from sosie.evaluation.metrics import Bools, Floats, Ints, mean, ndcg, ranked_measures, ranks_of_answers
from sosie.evaluation.ranking import Blocks, score_blocks, stream_measures
from sosie.evaluation.relevance import LabelSets, choose_keys, label_sets
from sosie.evaluation.runs import Run, open_run, write_csv, write_run
from sosie.registry import nearest
from sosie.types import FloatMatrix, LabelValue

__all__ = ["ASKED", "KS", "SHOWN", "LabelScore", "predict_labels", "score_labels"]

KS = (1, 5, 10, 20, 100)
ASKED = 20  # answers that a search through the library is asked for
_FULL = 20_000_000  # answers that are stored in full; beyond that the vectors are stored and ranked when scored
_DEPTH = 1000  # of stored answers where the full ranking is not
_WORST, _MIDDLE, _BEST = 12, 8, 4  # queries shown in the report
SHOWN = 8  # answers shown to each of them
_MANY = 0.5  # share of relevant pairs from which ranked measures say little
_ROWS = 256  # queries judged at once


def predict_labels(
    folder: Path,
    references: Collection,
    *,
    queries: Collection | None = None,
    search: Search | None = None,
    k: int = ASKED,
    keys: Sequence[str] = (),
    setting: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Run:
    """Answer every query and store the answers in ``folder``; what is stored there already is not computed again.

    ``search`` answers in some other way than by the vectors, ``k`` of them, since an index that is asked for more finds
    others; ``setting`` describes it and the model for the stored
    configuration. Raises UsageError where there is nothing to judge by.
    """
    asked = queries or references
    keys = tuple(keys) or choose_keys(references.labels)
    if not keys:
        raise UsageError("no label is shared by several pictures: add labels (`sosie add --label-from-folders`)")
    known = {name for each in references.labels for name in each}
    for key in keys:
        if key not in known:
            raise UnknownName(f"no picture has a label {key!r}; {nearest(key, known)}")
    config = {
        "protocol": "labels",
        "labels": list(keys),
        "k": list(KS),
        "references": {"count": len(references), "digest": references.digest},
        "queries": {"count": len(asked), "digest": asked.digest, "leave_one_out": queries is None},
        "search": "exact" if search is None else f"library, {k} answers",
        "seed": seed,
        **(setting or {}),
    }
    done = open_run(folder, expect=config)
    if done is not None:
        return done
    own = references.rows_of(asked)
    arrays = {**_answers(asked, references, own, search, k), "own": own}
    judged = label_sets(references.labels, keys)
    values = _ranked(arrays, label_sets(asked.labels, keys, judged.names), judged, own)["mAP"]
    arrays["panels"] = _panels(values, seed)
    return write_run(
        folder,
        config,
        arrays=arrays,
        tables={"queries": asked.table(), "references": references.table()},
        pictures=_small_pictures(asked, references, arrays["panels"], arrays["columns"]),
    )


def _panels(values: Floats, seed: int) -> Ints:
    """Choose queries to show: the worst, the best, and some that nobody chose; worst first."""
    judged = np.flatnonzero(~np.isnan(values))
    order = judged[np.argsort(values[judged], kind="stable")]
    middle = np.random.default_rng(seed).permutation(order[_WORST:-_BEST])[:_MIDDLE]
    chosen = np.unique(np.concatenate([order[:_WORST], middle, order[-_BEST:]]))
    return np.asarray(chosen[np.argsort(values[chosen], kind="stable")], np.int64)


def _answers(asked: Collection, references: Collection, own: Ints, search: Search | None, k: int) -> dict[str, Any]:
    count = len(asked) * len(references)
    depth = len(references) if count <= _FULL else min(_DEPTH, len(references))
    if search is not None:
        columns, scores = search(np.arange(len(asked)), min(k + 1, len(references)))
        return dict(zip(("columns", "scores"), _without_own(columns, scores, own), strict=True))
    columns, scores = score_blocks(Blocks(asked.vectors, references.vectors, own), depth)
    answers: dict[str, Any] = {"columns": columns.astype(np.int32), "scores": scores}
    if depth < len(references):
        answers |= {"query_vectors": asked.vectors, "reference_vectors": references.vectors}
    return answers


def _without_own(columns: Ints, scores: FloatMatrix, own: Ints) -> tuple[Ints, FloatMatrix]:
    """Take the query itself out of its answers, and keep the order of the others."""
    gone = (columns == own[:, None]) & (own[:, None] >= 0)
    scores = np.where(gone | (columns < 0), -np.inf, scores).astype(np.float32)
    order = np.argsort(gone, axis=1, kind="stable")
    columns = np.where(gone, -1, columns)
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _small_pictures(
    asked: Collection, references: Collection, panels: Ints, columns: Ints
) -> Iterator[tuple[str, bytes]]:
    answers = columns[panels, :SHOWN]
    for prefix, collection, rows in (("q", asked, panels), ("r", references, np.unique(answers[answers >= 0]))):
        for row in rows:
            data = collection.picture(int(row))
            if data is not None:
                yield f"{prefix}{row}.jpg", data


# ------------------------------------------------------------------------------------------------ scoring


@dataclass(frozen=True)
class LabelScore:
    """What scoring found: means, values of each query (q,), and tables."""

    metrics: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, float]]
    per_query: Mapping[str, Floats]
    queries: LabelSets
    references: LabelSets
    columns: Ints
    scores: FloatMatrix
    panels: Ints
    per_label: Sequence[Mapping[str, Any]] = ()
    confusion: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def score_labels(run: Run) -> LabelScore:
    """Score stored answers, reading nothing but the run folder, and write score.json and the tables beside them."""
    arrays, keys = run.arrays(), run.config["labels"]
    reference_rows, query_rows = run.table("references"), run.table("queries")
    references = label_sets([_labels(row) for row in reference_rows], keys)
    queries = label_sets([_labels(row) for row in query_rows], keys, references.names)
    columns, scores, own = arrays["columns"].astype(np.int64), arrays["scores"], arrays["own"]
    values = _ranked(arrays, queries, references, own) | _graded(columns, scores, queries, references, own)
    judged = ~np.isnan(values["mAP"])
    score = LabelScore(
        metrics={name: mean(each) for name, each in values.items()},
        intervals={
            name: paired_bootstrap(np.zeros(len(queries)), values[name], clusters=queries.clusters, seed=0).to_json()
            for name in ("mAP", "recall@1")
        },
        per_query=values,
        queries=queries,
        references=references,
        columns=columns,
        scores=scores,
        panels=arrays["panels"],
        per_label=_per_label(queries, values),
        confusion=_confusion(queries, references, columns),
        notes=_notes(judged, _chance(queries, references, own), arrays, len(reference_rows)),
    )
    _write(run, score, query_rows, reference_rows)
    return score


def _labels(row: Mapping[str, str]) -> dict[str, LabelValue]:
    stored = json.loads(row["labels"])
    return {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}


def _ranked(arrays: Mapping[str, Any], queries: LabelSets, references: LabelSets, own: Ints) -> dict[str, Floats]:
    if "query_vectors" in arrays:
        blocks = Blocks(arrays["query_vectors"], arrays["reference_vectors"], own)
        return stream_measures(blocks, lambda rows: queries.take(rows).shared(references), KS)
    parts = []
    for rows in _row_blocks(len(queries)):
        relevant = _relevant(queries.take(rows), references, own[rows])
        columns = arrays["columns"][rows].astype(np.int64)
        right = np.take_along_axis(relevant, np.maximum(columns, 0), axis=1) & (columns >= 0)
        ranks = ranks_of_answers(right, arrays["scores"][rows], relevant.sum(axis=1))
        parts.append(ranked_measures(ranks, KS))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _relevant(queries: LabelSets, references: LabelSets, own: Ints) -> Bools:
    relevant = queries.shared(references)
    there = np.flatnonzero(own >= 0)
    relevant[there, own[there]] = False
    return relevant


def _graded(
    columns: Ints, scores: FloatMatrix, queries: LabelSets, references: LabelSets, own: Ints
) -> dict[str, Floats]:
    """Return nDCG@k where gain is the overlap of label sets."""
    parts: dict[str, list[Floats]] = {f"nDCG@{k}": [] for k in KS}
    for rows in _row_blocks(len(queries)):
        gains, ideal = _gains(columns[rows], queries.take(rows), references, own[rows])
        for k in KS:
            parts[f"nDCG@{k}"].append(ndcg(gains, scores[rows], ideal, k))
    return {name: np.concatenate(each) for name, each in parts.items()}


def _gains(columns: Ints, queries: LabelSets, references: LabelSets, own: Ints) -> tuple[Floats, Floats]:
    """Return the gains of the answers (q, k), and the best gains there are, best first (q, most)."""
    most = min(max(KS), len(references))
    relevant = _relevant(queries, references, own)
    if queries.codes is not None and references.codes is not None:
        overlap = relevant.astype(np.float64)
        ideal = (np.arange(most) < relevant.sum(axis=1)[:, None]).astype(np.float64)
    else:
        overlap = np.where(relevant, queries.overlap(references), 0)
        ideal = -np.sort(np.partition(-overlap, most - 1, axis=1)[:, :most], axis=1)
    gains = np.take_along_axis(overlap, np.maximum(columns, 0), axis=1) * (columns >= 0)
    return gains, ideal


def _row_blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))


def _per_label(queries: LabelSets, values: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """Average each measure over the queries that carry a label; a query with several counts for each."""
    shown = ("mAP", "mAP@20", "recall@1", "precision@10", "R-precision", "nDCG@10")
    table = []
    for at, name in enumerate(queries.names):
        mine = queries.member[:, at] > 0
        if mine.any():
            table.append({"label": name, "queries": int(mine.sum())} | {m: mean(values[m][mine]) for m in shown})
    return sorted(table, key=lambda row: (np.nan_to_num(row["mAP"], nan=2.0), row["label"]))


def _confusion(queries: LabelSets, references: LabelSets, columns: Ints) -> list[dict[str, Any]]:
    """Count which label the first answer has; only where every picture has one label."""
    if queries.codes is None or references.codes is None or not columns.shape[1]:
        return []
    first = columns[:, 0]
    asked = (queries.codes >= 0) & (first >= 0)
    pairs = np.stack([queries.codes[asked], references.codes[first[asked]]], axis=1)
    kinds, counts = np.unique(pairs[pairs[:, 1] >= 0], axis=0, return_counts=True)
    return [
        {"label": queries.names[a], "answered": queries.names[b], "count": int(count)}
        for (a, b), count in zip(kinds, counts, strict=True)
    ]


def _chance(queries: LabelSets, references: LabelSets, own: Ints) -> float:
    """Return the mAP to expect of answers in random order, over the queries that have something relevant.

    Of n answers, R of them relevant, rank i holds one with R / n, and then has (i - 1)(R - 1) / (n - 1) before it: the
    mean over all ranks is the expectation of the average precision.
    """
    blocks = [_relevant(queries.take(rows), references, own[rows]).sum(axis=1) for rows in _row_blocks(len(queries))]
    relevant = np.concatenate(blocks).astype(np.float64) if blocks else np.zeros(0)
    count = np.maximum(len(references) - (own >= 0), 1)
    harmonic = np.cumsum(1 / np.arange(1, len(references) + 1))[count - 1]
    others = (relevant - 1) / np.maximum(count - 1, 1) * (count - harmonic)
    expected = (harmonic + others) / count
    return float(expected[relevant > 0].mean()) if (relevant > 0).any() else 0.0


def _notes(judged: Bools, chance: float, arrays: Mapping[str, Any], references: int) -> tuple[str, ...]:
    notes = [f"a random order would have a mAP of about {chance:.3f}"]
    if chance > _MANY:
        notes.append("most pictures share a label with most others, so only nDCG@k says much")
    if not judged.all():
        notes.append(f"{int((~judged).sum())} of {len(judged)} queries share no label with any reference: left out")
    depth = arrays["columns"].shape[1]
    if depth < references - 1 and "query_vectors" not in arrays:
        notes.append(f"answers are {depth} deep: what lies deeper counts as not found, so mAP is a lower bound")
    return tuple(notes)


def _write(
    run: Run, score: LabelScore, query_rows: Sequence[Mapping[str, str]], reference_rows: Sequence[Mapping[str, str]]
) -> None:
    run.write_score({"metrics": score.metrics, "intervals": score.intervals, "notes": list(score.notes)})
    first = score.columns[:, 0] if score.columns.shape[1] else np.full(len(query_rows), -1)
    per_query = [
        {
            "key": row["key"],
            "uri": row["uri"],
            "labels": "|".join(score.queries.words(at)),
            **{name: values[at] for name, values in score.per_query.items()},
            "first": reference_rows[first[at]]["uri"] if first[at] >= 0 else "",
        }
        for at, row in enumerate(query_rows)
    ]
    for name, rows in (("per_query", per_query), ("per_label", score.per_label), ("confusion", score.confusion)):
        write_csv(run.folder / f"{name}.csv", rows)
