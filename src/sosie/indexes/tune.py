"""Choose an index for a library by measuring, not by belief.

Queries are held out of the library's own vectors, the truth is exact search, and each kind's declared parameters go
through successive halving (Jamieson and Talwalkar, AISTATS 2016): all of them on a sample, the best third on ten times
as many vectors, and so on up to all. The value that trades time for recall (``ef``, ``probes`` …) is bisected.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sosie.contracts import Index, Tunable
from sosie.errors import UsageError
from sosie.indexes.checks import check_build, check_k
from sosie.indexes.filtered import measure_filtered
from sosie.indexes.measure import Bench, Measured, hold_out, measure, meets, memory_of, metric_of
from sosie.indexes.params import make_index
from sosie.registry import resolve_index, usable_indexes
from sosie.types import FloatMatrix, Ids

__all__ = ["EXACT_UNTIL", "Trial", "TuneReport", "calibrate", "choose", "tune"]

EXACT_UNTIL = 50_000  # vectors; up to here one exact query takes a few milliseconds, and recall is 1
_RUNGS = (10_000, 100_000)  # vectors; the last rung is all of them
_KEEP = 3  # one in so many goes on to the next rung
_QUERIES = (200, 1_000)  # on the first rungs, on the last
_LEAST = 100  # vectors, below which there is nothing to tune

Progress = Callable[[str], None]
Make = Callable[[str, Mapping[str, Any]], Index]


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind at one setting, measured over ``n`` vectors; ``memory`` in bytes, ``build_s`` in seconds."""

    kind: str
    params: Mapping[str, Any]
    n: int
    measured: Measured
    memory: int
    build_s: float
    fits: bool
    pareto: bool = False
    winner: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return one row of the table."""
        return {
            "kind": self.kind,
            "params": dict(self.params),
            "n": self.n,
            **self.measured.to_json(),
            "memory": self.memory,
            "build_s": round(self.build_s, 2),
            "fits": self.fits,
            "pareto": self.pareto,
            "winner": self.winner,
        }


@dataclass(frozen=True, slots=True)
class TuneReport:
    """All trials, the last rung first and the fastest first within it; ``winner`` None where no setting fits."""

    trials: tuple[Trial, ...]
    winner: Trial | None
    n: int
    recall: float
    k: int
    limits: Mapping[str, float | None]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as one document."""
        return {
            "n": self.n,
            "target": {"recall": self.recall, "k": self.k, **self.limits},
            "winner": self.winner.to_json() if self.winner else None,
            "trials": [trial.to_json() for trial in self.trials],
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class _Goal:
    recall: float
    limits: Mapping[str, float | None]
    n: int


def choose(n: int) -> tuple[str, Mapping[str, Any]]:
    """Return the kind and parameters for ``n`` vectors before anything was tuned: exact while that is fast enough."""
    return ("exact", {}) if n < EXACT_UNTIL else ("symqg", {})


def tune(
    vectors: FloatMatrix,
    ids: Ids,
    *,
    recall: float = 0.95,
    k: int = 10,
    memory: int | None = None,
    latency: float | None = None,
    kinds: Sequence[str] | None = None,
    builds: Sequence[tuple[str, Mapping[str, Any]]] | None = None,
    make: Make | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TuneReport:
    """Measure the kinds on ``vectors`` (n, dim) and return the fastest setting that surely reaches ``recall`` at ``k``.

    ``memory`` bounds the structure in bytes, ``latency`` the 99th percentile of one query in milliseconds. A kind named
    in ``kinds`` is followed to the end even where another is faster. ``builds`` are (kind, build parameters) to try in
    place of those that the kinds declare; ``make`` makes an index of a kind that needs more than its parameters.
    Deterministic apart from times. Raises UsageError for a target out of range, for fewer than 100 vectors, and for
    unknown kinds.
    """
    ids, vectors = check_build(ids, vectors)
    _check(len(vectors), recall, kinds)
    say = progress or (lambda _: None)
    started = time.perf_counter()
    goal = _Goal(recall, {"memory": memory, "latency": latency}, len(vectors))
    contenders = list(builds or _contenders(kinds or usable_indexes()))
    make = make or make_index
    trials: list[Trial] = []
    for size in _rungs(len(vectors)):
        last = size == len(vectors)
        asked = min(_QUERIES[last], size // 10)
        some = np.sort(np.random.default_rng(seed).choice(len(vectors), size, replace=False))
        bench, rest, rest_ids = hold_out(vectors[some], ids[some], queries=asked, k=check_k(k), seed=seed)
        results = []
        for kind, build in contenders:
            say(f"{kind} {_words(build)} on {size} vectors")
            results.append(_try(make(kind, build), (rest_ids, rest), bench, goal))
        trials = [trial for result in results for trial in result] + trials
        if not last:
            contenders = _survivors(contenders, results, named=kinds or (), goal=goal)
    return _report(trials, goal, k=k, seconds=time.perf_counter() - started)


def calibrate(
    index: Index,
    vectors: FloatMatrix,
    ids: Ids,
    *,
    recall: float = 0.95,
    k: int = 10,
    queries: int = 500,
    seed: int = 0,
    given: Collection[str] = (),
) -> tuple[Index, Measured]:
    """Return a built ``index`` at the cheapest search setting that surely reaches ``recall``, and what it reaches.

    The parameters named in ``given`` were set by a person and stay as they are; the others are open.
    A twin is built without the queries and measured in its place: in a graph a query that is a node of its own leads
    straight to its neighbours, and recall at a narrow search came out eight points too high. Where no setting
    reaches the target, the most thorough one is returned.
    """
    held = max(1, min(queries, len(ids) // 10))
    bench, rest, rest_ids = hold_out(vectors, ids, queries=held, k=k, seed=seed, metric=metric_of(index))
    twin = type(index)(**index.params)
    twin.build(rest_ids, rest)
    knobs = _open_knobs(index, given)
    settings = list(_ascend(twin, bench, recall, given))
    main = next(iter(knobs), None)
    cheapest = {}
    for tuned, found in settings:
        if found.low >= recall:  # bisection comes to the cheapest last
            others = tuple(value for name, value in tuned.params.items() if name != main)
            cheapest[others] = (tuned, found)
    if cheapest:
        best, measured = min(cheapest.values(), key=lambda setting: setting[1].p50_ms)
    else:
        best, measured = max(settings, key=lambda setting: setting[1].recall)
    measured = replace(measured, filtered=tuple(measure_filtered(best, bench, seed=seed)))
    return _tuned(index, {name: best.params[name] for name in knobs}), measured


# ------------------------------------------------------------------------------------------------ the search


def _check(n: int, recall: float, kinds: Sequence[str] | None) -> None:
    if not 0 < recall <= 1:
        raise UsageError(f"recall is a share above 0 and up to 1, not {recall}")
    if n < _LEAST:
        raise UsageError(f"{n} vectors are too few to tune on; up to {EXACT_UNTIL} exact search serves well")
    for kind in kinds or ():
        resolve_index(kind)


def _contenders(kinds: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in kinds:
        space = getattr(resolve_index(kind), "build_space", {})
        for values in itertools.product(*space.values()):
            yield kind, dict(zip(space, values, strict=True))


def _rungs(n: int) -> list[int]:
    return [size for size in _RUNGS if size < n / 2] + [n]


def _try(index: Index, data: tuple[Ids, FloatMatrix], bench: Bench, goal: _Goal) -> list[Trial]:
    """Build one contender and measure it at the settings that bisection visits."""
    started = time.perf_counter()
    index.build(*data)
    took = time.perf_counter() - started
    memory = memory_of(index)
    trials = []
    for tuned, found in _ascend(index, bench.by(metric_of(index)), goal.recall):
        expected = memory * goal.n / len(index.ids)
        fits = meets(found, recall=goal.recall, size=expected, limits=goal.limits)
        trials.append(Trial(index.kind, tuned.params, len(index.ids), found, memory, took, fits))
    return trials


def _open_knobs(index: Index, given: Collection[str]) -> Mapping[str, tuple[Any, ...]]:
    knobs = index.knobs if isinstance(index, Tunable) else {}
    return {name: values for name, values in knobs.items() if name not in given}


def _tuned(index: Index, changes: Mapping[str, Any]) -> Index:
    return index.tuned(changes) if changes and isinstance(index, Tunable) else index


def _ascend(index: Index, bench: Bench, recall: float, given: Collection[str] = ()) -> Iterator[tuple[Index, Measured]]:
    """Measure ``index`` at the settings on the way to the cheapest that reaches ``recall``.

    The first open search parameter is taken to trade time for recall in one direction; the others are tried in full.
    """
    space = _open_knobs(index, given)
    if not space:
        yield index, measure(index, bench)
        return
    main, *others = space
    for values in itertools.product(*(space[name] for name in others)):
        fixed = dict(zip(others, values, strict=True))
        low, high = 0, len(space[main]) - 1
        while low <= high:
            middle = (low + high) // 2
            tuned = _tuned(index, {main: space[main][middle], **fixed})
            found = measure(tuned, bench)
            yield tuned, found
            low, high = (low, middle - 1) if found.low >= recall else (middle + 1, high)


def _survivors(
    contenders: Sequence[tuple[str, Mapping[str, Any]]],
    results: Sequence[Sequence[Trial]],
    *,
    named: Sequence[str],
    goal: _Goal,
) -> list[tuple[str, Mapping[str, Any]]]:
    """Keep the best third, exact search as the yardstick, and the best of each kind that was asked for by name."""
    order = sorted(range(len(contenders)), key=lambda at: _rank(results[at], goal))
    kept = set(order[: -(-len(order) // _KEEP)])
    for kind in {*named, "exact"}:
        kept.update([at for at in order if contenders[at][0] == kind][:1])
    return [contender for at, contender in enumerate(contenders) if at in kept]


def _rank(trials: Sequence[Trial], goal: _Goal) -> tuple[bool, float]:
    fitting = [trial.measured.p50_ms for trial in trials if trial.fits]
    if fitting:
        return (False, min(fitting))
    return (True, goal.recall - max(trial.measured.recall for trial in trials))


# ------------------------------------------------------------------------------------------------ the report


def _report(trials: Sequence[Trial], goal: _Goal, *, k: int, seconds: float) -> TuneReport:
    full = max(trial.n for trial in trials)
    final = [trial for trial in trials if trial.n == full]
    fitting = sorted((trial for trial in final if trial.fits), key=lambda trial: trial.measured.p50_ms)
    best = fitting[0] if fitting else None
    marked = [replace(trial, pareto=_on_front(trial, final), winner=trial is best) for trial in trials]
    marked.sort(key=lambda trial: (-trial.n, trial.measured.p50_ms))
    return TuneReport(
        trials=tuple(marked),
        winner=next((trial for trial in marked if trial.winner), None),
        n=goal.n,
        recall=goal.recall,
        k=k,
        limits=goal.limits,
        seconds=seconds,
    )


def _on_front(trial: Trial, final: Sequence[Trial]) -> bool:
    """Say whether no trial of the last rung is at least as good in recall, time and memory, and better in one."""
    if trial not in final:
        return False
    mine = _costs(trial)
    theirs = [_costs(other) for other in final]
    return not any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in theirs)


def _costs(trial: Trial) -> tuple[float, float, int]:
    return -trial.measured.recall, trial.measured.p50_ms, trial.memory


def _words(params: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
