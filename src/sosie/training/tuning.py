"""Tuning a recipe: Optuna draws settings, trials that fall behind are ended, and everything is kept for the next time.

Trials share the stored views, so that one costs only its epochs. The study lies in a journal of text lines beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sosie import files
from sosie.errors import UsageError
from sosie.evaluation.runs import differences, plain
from sosie.library import Library
from sosie.training.logs import Logs
from sosie.training.loop import Epoch, fit
from sosie.training.run import Report, make_trainee, prepare
from sosie.training.settings import Settings
from sosie.training.spaces import INDEX, Choice, space_of
from sosie.training.trained import Prepared

__all__ = ["Trial", "Tuned", "tune_index", "tune_recipe"]

_PATIENT = 3  # trials, and epochs of a trial, before one may be ended for falling behind


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: what was drawn, what it reached (None where it failed), and how it ended."""

    number: int
    drawn: Mapping[str, Any]
    value: float | None
    state: str  # complete, pruned, failed
    seconds: float
    epochs: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tuned:
    """A study: its trials in order, the best, and what was maximised."""

    folder: Path
    measure: str
    trials: Sequence[Trial]
    best: Trial

    def to_json(self) -> dict[str, Any]:
        trials = [trial.to_json() for trial in self.trials]
        return {"measure": self.measure, "best": self.best.to_json(), "trials": trials, "folder": str(self.folder)}


Measure = Callable[[Any, Mapping[str, Any]], Mapping[str, float]]


def tune_recipe(
    library: Library,
    settings: Settings,
    out: Path,
    *,
    trials: int,
    fixed: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Tuned:
    """Try settings of a recipe on held-out pictures until there are ``trials`` of them, and return the table.

    ``fixed`` settings are not drawn. The same call goes on where one broke off. Raises UsageError as training does.
    """
    space = {name: choice for name, choice in space_of(settings).items() if name not in (fixed or {})}
    prepared: dict[int, Prepared] = {}

    def measure(trial: Any, drawn: Mapping[str, Any]) -> Mapping[str, float]:
        chosen = replace(settings, **drawn)
        unfrozen = chosen.unfreeze
        if unfrozen not in prepared:
            prepared[unfrozen] = prepare(library, chosen, out / "work" / f"unfreeze-{unfrozen}", report)
        ready = prepared[unfrozen]

        def told(epoch: Epoch) -> None:
            trial.report(epoch["mAP"], int(epoch["epoch"]))
            if trial.should_prune():
                raise _pruned()

        history = fit(make_trainee(ready, chosen), ready.store, ready.examples, chosen, report=told)
        best = history.epochs[history.best]
        return {"value": best["mAP"], **{name: value for name, value in best.items() if name != "epoch"}}

    return _study(
        out, settings.to_json(), space, measure, measured="mAP", trials=trials, seed=settings.seed, report=report
    )


def tune_index(
    library: Library,
    kind: str,
    out: Path,
    *,
    trials: int,
    recall: float,
    seed: int = 0,
    report: Report = lambda *_: None,
) -> Tuned:
    """Try parameters of an index kind: queries a second where recall@10 reaches ``recall``, else what lacks of it."""
    from sosie.indexes.measure import hold_out
    from sosie.indexes.measure import measure as measure_index
    from sosie.indexes.params import make_index

    if kind not in INDEX:
        raise UsageError(f"{kind} has nothing to tune here: choose one of {', '.join(INDEX)}")
    ids, vectors = library.vectors()
    if len(ids) < 100:
        raise UsageError(f"{len(ids)} vectors are too few to measure an index on: add pictures first")
    bench, rest, rest_ids = hold_out(vectors, ids, queries=min(200, len(ids) // 5), k=10, seed=seed)

    def measure(_trial: Any, drawn: Mapping[str, Any]) -> Mapping[str, float]:
        index = make_index(kind, drawn)
        index.build(rest_ids, rest)
        found = measure_index(index, bench)
        value = found.per_second if found.recall >= recall else found.recall - 1
        return {"value": value, "recall": found.recall, "per_second": found.per_second}

    settings = {"index": kind, "recall": recall, "seed": seed, "vectors": len(ids)}
    measured = f"queries/s at recall ≥ {recall:g}, else recall - 1"
    return _study(out, settings, INDEX[kind], measure, measured=measured, trials=trials, seed=seed, report=report)


# ------------------------------------------------------------------------------------------------ the study


def _study(
    out: Path,
    settings: Mapping[str, Any],
    space: Mapping[str, Choice],
    measure: Measure,
    *,
    measured: str,
    trials: int,
    seed: int,
    report: Report,
) -> Tuned:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    _require_own(out, {**settings, "space": {name: list(map(str, choice.values)) for name, choice in space.items()}})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = JournalFileBackend(str(out / "trials.journal"))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(journal),
        study_name="sosie",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_PATIENT, n_warmup_steps=_PATIENT),
    )

    def once(trial: Any) -> float:
        drawn = {name: choice.draw(trial, name) for name, choice in space.items()}
        found = measure(trial, drawn)
        with Logs(out / "logs" / f"trial-{trial.number:03d}") as logs:
            logs.write_trial(trial.params, {name: value for name, value in found.items() if name != "value"})
        return found["value"]

    while len(done := _ended(study)) < trials:
        report("trials", len(done), trials, _word(study))
        # from seed and number alone, so that a study that broke off draws what it would have drawn
        study.sampler = optuna.samplers.TPESampler(seed=seed * 1009 + len(done), n_startup_trials=_PATIENT)
        study.optimize(once, n_trials=1, catch=(UsageError,))
    report("trials", trials, trials, _word(study))
    return _tuned(study, out, measured)


def _pruned() -> Exception:
    import optuna

    pruned: Exception = optuna.TrialPruned()
    return pruned


def _require_own(out: Path, settings: Mapping[str, Any]) -> None:
    known, plain_settings = out / "settings.json", plain(settings)
    if known.exists():
        if changed := differences(json.loads(known.read_text(encoding="utf-8")), plain_settings):
            raise UsageError(f"{out} holds a study of other settings ({'; '.join(changed)}): choose another --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} holds other files: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(known, plain_settings, indent=1)


def _ended(study: Any) -> list[Any]:
    """Return the trials that came to an end; one that was interrupted is drawn anew."""
    return [trial for trial in study.trials if trial.state.is_finished()]


def _word(study: Any) -> str:
    values = [trial.value for trial in _ended(study) if trial.value is not None and trial.state.name == "COMPLETE"]
    return f"best {max(values):.3f}" if values else ""


def _tuned(study: Any, out: Path, measured: str) -> Tuned:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    trials = [
        Trial(
            number=trial.number,
            drawn=dict(trial.params),
            value=trial.value,
            state=states[trial.state.name],
            seconds=trial.duration.total_seconds() if trial.duration else 0.0,
            epochs=len(trial.intermediate_values),
        )
        for trial in _ended(study)
    ]
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    if not complete:
        raise UsageError("no trial came to a result: see the table, and take a lower --rate")
    best = max(complete, key=lambda trial: trial.value or 0.0)
    return Tuned(out, measured, trials, best)
