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
from typing import Any

import numpy as np

from sosie.contracts import Embedder
from sosie.errors import UsageError
from sosie.evaluation.collection import Collection, from_library, setting_of
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.copies import CopySettings, Sources, predict_copies
from sosie.evaluation.labels import predict_labels
from sosie.evaluation.methods import library_methods
from sosie.evaluation.relevance import choose_keys
from sosie.evaluation.runs import Run
from sosie.ingest import Progress
from sosie.library import Library
from sosie.models.trial import Figure, Trial, write_trial
from sosie.types import Picture

__all__ = ["compare_spaces", "ms_a_picture", "try_model"]

_TIMED = 15  # pictures


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
        rows, by = _measure([now, other], run, keys=keys, seed=seed, note=note)
        figures = [_figure(each, row, by) for each, row in zip((now, other), rows, strict=True)]
        change = rows[1]
        trial = Trial(figures[1], figures[0], change["difference"], change["low"], change["high"], away)
        write_trial(library.catalogue, trial)
    return trial


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
) -> tuple[list[Mapping[str, Any]], Sequence[str]]:
    """Return one row of the comparison for each library, and the labels that it is by (none: altered copies)."""
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
        rows = {row["set-up"]: row for row in compare_runs(runs, seed=seed).rows if row["measure"] == measure}
    return [rows[name] for name in names], by


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


def _figure(library: Library, row: Mapping[str, Any], by: Sequence[str]) -> Figure:
    spec = library.embedder.spec
    return Figure(
        model=library.model,
        version=spec.version,
        spec_hash=library.space.spec_hash,
        measure=row["measure"],
        value=row["value"],
        ms=ms_a_picture(library.embedder),
        pictures=len(library.vectors()[0]),
        by=by,
    )
