"""``sosie models try``: what a model would give on this very library, beside the one in use.

Both see the same pictures. They are judged by the library's own labels where it has any, else by altered copies of
its pictures; the difference has a paired bootstrap interval, and what was measured is kept in the catalogue.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sosie.contracts import Embedder
from sosie.embedders.onnx import OnnxEmbedder
from sosie.errors import UsageError
from sosie.evaluation.collection import Collection, from_library, setting_of
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.copies import CopySettings, Sources, predict_copies
from sosie.evaluation.labels import predict_labels
from sosie.evaluation.methods import library_methods
from sosie.evaluation.relevance import choose_keys, label_sets
from sosie.evaluation.runs import Run
from sosie.ingest import Progress
from sosie.library import Library
from sosie.models.trained_on import TrainedOn
from sosie.models.trial import ALL, OUTSIDE, UNSEEN, Figure, Trial, TrialPart, write_trial
from sosie.types import Picture

__all__ = ["compare_spaces", "ms_a_picture", "try_model"]

_TIMED = 15  # pictures
_FEWEST = 2  # queries outside training that can judge a model that was trained here


def try_model(
    library: Library,
    name: str,
    *,
    run: Path | None = None,
    keys: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> Trial | None:
    """Embed the library with a model, measure it beside the one in use, keep and return what was measured.

    Embedding goes on where an earlier run was stopped; None where this one was. ``run`` keeps the answers of both, for
    `sosie evaluate compare`. Raises UnknownName, UsageError where the library has too few pictures.
    """
    with library.with_model(library.models.in_use) as now, library.with_model(name) as other:
        if now.space.spec_hash == other.space.spec_hash:
            raise UsageError(f"{name} is the model in use: name another one (`sosie models` lists them)")
        away = 0
        for each in (now, other):
            report = each.models.catch_up(progress=progress, stop=stop)
            if report.interrupted:
                return None
            away = max(away, report.missing)
        parts, measure, by = _measure([now, other], run, keys=keys, seed=seed, note=note)
        trial = _trial(parts, now, other, measure=measure, by=by, away=away)
        write_trial(library.catalogue, trial)
    return trial


def _trial(
    parts: Sequence[TrialPart], now: Library, other: Library, *, measure: str, by: Sequence[str], away: int
) -> Trial:
    """Judge by the pictures that neither model was trained on, where one was."""
    judge = next((part for part in parts if part.name == OUTSIDE), parts[0])
    fair = judge.queries >= _FEWEST
    judge = judge if fair else parts[0]
    return Trial(
        _figure(other, measure, judge.candidate, by),
        _figure(now, measure, judge.in_use, by),
        judge.difference,
        judge.low,
        judge.high,
        away,
        judged_by=judge.name,
        parts=tuple(parts),
        fair=fair,
    )


def compare_spaces(
    libraries: Sequence[Library], folder: Path, *, keys: Sequence[str] = (), seed: int = 0
) -> Mapping[str, Run]:
    """Judge one library seen through several models by its labels, over the pictures that all have embedded.

    Return one stored run a model, for `compare_runs`. Raises UsageError where there are no labels.
    """
    runs = {}
    for library, references in zip(libraries, _common(libraries), strict=True):
        place = folder / f"{library.embedder.spec.name}-{library.space.spec_hash}"
        runs[library.model] = predict_labels(place, references, keys=keys, seed=seed, setting=setting_of(library))
    return runs


def ms_a_picture(embedder: Embedder) -> float:
    """Return the time of embedding one prepared picture, in ms, with the cores that a call may use.

    The least of some rounds: what else the machine does only ever adds.
    """
    side = embedder.spec.preprocessing.side
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    picture = [Picture(noise, side, side)]
    embedder.embed(picture)
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        embedder.embed(picture)
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def _common(libraries: Sequence[Library]) -> list[Collection]:
    """Return the pictures that every model has embedded, as each sees them, in one order."""
    seen = [from_library(library) for library in libraries]
    shared = set.intersection(*(set(each.keys) for each in seen))
    keys = [key for key in seen[0].keys if key in shared]
    return [each.take(keys) for each in seen]


def _measure(
    libraries: Sequence[Library], run: Path | None, *, keys: Sequence[str], seed: int, note: Callable[[str], None]
) -> tuple[list[TrialPart], str, Sequence[str]]:
    """Return the comparison by each part, the measure, and the labels that it is by (none: altered copies)."""
    references = from_library(libraries[0])
    by = tuple(keys) or choose_keys(references.labels)
    with tempfile.TemporaryDirectory() as scratch:
        folder = run or Path(scratch)
        if by:
            runs = compare_spaces(libraries, folder, keys=by, seed=seed)
            names, measure = list(runs), "mAP"
        else:
            note("the library has no labels: judging by altered copies of its pictures")
            runs = {"copies": _copies(libraries, folder / "copies", seed=seed, note=note)}
            names, measure = [library.model for library in libraries], "micro_ap"
        names_of = references.keys if by else references.uris  # of queries
        groups = {ALL: list(range(len(references)))} | _outside_training(libraries, references, note)
        parts = []
        for part, rows in groups.items():
            queries = frozenset(names_of[row] for row in rows)
            parts.append(_part(part, runs, names, measure, only=queries, seed=seed))
    return parts, measure, by


def _part(
    name: str, runs: Mapping[str, Run], set_ups: Sequence[str], measure: str, *, only: frozenset[str], seed: int
) -> TrialPart:
    compared = compare_runs(runs, only=only, seed=seed)
    rows = {row["set-up"]: row for row in compared.rows if row["measure"] == measure}
    in_use, candidate = (rows[set_up] for set_up in set_ups)
    if not candidate["queries"]:
        return TrialPart(name, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    interval = {key: candidate[key] for key in ("difference", "low", "high")}
    return TrialPart(name, candidate["queries"], candidate["value"], in_use["value"], **interval)


def _outside_training(
    libraries: Sequence[Library], references: Collection, note: Callable[[str], None]
) -> dict[str, list[int]]:
    """Return the rows of pictures that neither model was trained on, and those of them whose classes were not, either.

    Nothing where neither was trained on pictures that are here.
    """
    trained = [_trained_on(library, note) for library in libraries]
    used = frozenset[str]().union(*(each.pictures for each in trained))
    outside = [row for row, key in enumerate(references.keys) if key not in used]
    if len(outside) == len(references):
        return {}
    known = np.zeros(len(references), bool)
    for each in trained:
        known |= label_sets(references.labels, each.labels, sorted(each.classes)).member.any(axis=1)
    labelled = [row for row in outside if not known[row] and references.labels[row]]
    return {OUTSIDE: outside} | ({UNSEEN: labelled} if labelled else {})


def _trained_on(library: Library, note: Callable[[str], None]) -> TrainedOn:
    embedder = library.embedder
    if not isinstance(embedder, OnnxEmbedder):
        return TrainedOn()
    about = embedder.description
    if about.classes is not None and about.trained_on is None:
        note(f"{library.model} does not say which pictures it was trained on: it may have been on those that judge it")
    return TrainedOn.read(about.trained_on)


def _copies(libraries: Sequence[Library], folder: Path, *, seed: int, note: Callable[[str], None]) -> Run:
    first = libraries[0]
    ids = first.vectors()[0]
    settings = CopySettings(seed=seed)
    return predict_copies(
        folder,
        from_library(first),
        methods={
            library.model: library_methods(library, [library.spaces[-1].head], depth=settings.depth)[
                library.spaces[-1].head
            ]
            for library in libraries
        },
        sources=Sources(lambda row: first.engine.analyse(first.read(int(ids[row])))["working"]),
        settings=settings,
        setting={"models": [setting_of(library)["model"] for library in libraries]},
        note=note,
    )


def _figure(library: Library, measure: str, value: float, by: Sequence[str]) -> Figure:
    spec = library.embedder.spec
    return Figure(
        model=library.model,
        version=spec.version,
        spec_hash=library.space.spec_hash,
        measure=measure,
        value=value,
        ms=ms_a_picture(library.embedder),
        pictures=len(library.vectors()[0]),
        by=by,
    )
