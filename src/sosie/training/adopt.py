"""From settings to a model that the library answers with: tune, train, add, and adopt where it is better."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sosie.embedders.onnx import read_description
from sosie.evaluation.trial import try_model
from sosie.library import Library
from sosie.models.classifier import RECORD
from sosie.training.layers import read_head
from sosie.training.run import Report, train
from sosie.training.settings import Settings
from sosie.training.tuning import Tuned, tune_recipe

__all__ = ["Adopt", "Adopted", "train_and_adopt"]

Adopt = Literal["if-better", "always", "never"]


@dataclass(frozen=True, slots=True)
class Adopted:
    """A trained model that the library has, whether it answers with it, why, and the figures of its run."""

    model: str
    folder: Path
    adopted: bool
    reason: str
    report: Mapping[str, Any]
    tuned: Tuned | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document of `sosie run --json`."""
        figures = {name: self.report[name] for name in ("gains", "accuracy", "pictures", "settings")}
        tuned = {"tuned": self.tuned.to_json()} if self.tuned else {}
        known = {"model": self.model, "run": str(self.folder), "adopted": self.adopted, "reason": self.reason}
        return {**known, **figures, **tuned}


def train_and_adopt(
    library: Library,
    settings: Settings,
    runs: Path,
    *,
    name: str,
    adopt: Adopt = "if-better",
    trials: int = 0,
    trial_epochs: int = 10,
    fixed: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
    note: Callable[[str], None] = lambda _text: None,
) -> Adopted:
    """Train, give the library the model, and answer with it where that is wanted.

    Runs lie below ``runs`` under a name that depends on their settings: one that is done is not done again, one that
    was interrupted goes on. With ``trials`` the settings that are not ``fixed`` are tuned first. A classifier becomes
    the library's own whether or not its vectors are adopted. Raises UsageError where there is nothing to learn from.
    """
    tuned = None
    if trials:
        draft = replace(settings, epochs=trial_epochs)
        folder = runs / _name("tuning", draft)
        tuned = tune_recipe(library, draft, folder, trials=trials, fixed=fixed, report=report)
        settings = replace(settings, **_settings_of(tuned.best.drawn))
    folder = runs / _name(settings.recipe, settings)
    if (folder / "report.json").exists():
        note(f"trained before with these settings: remove {folder} to train anew")
    else:
        train(library, settings, folder, name=name, report=report)
    figures = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    model = _add(library, folder, name)
    if settings.recipe == "classifier":
        library.catalogue.put_record(RECORD, {"model": model})
    adopted, reason = _adopt(library, model, figures, adopt, note)
    return Adopted(model, folder, adopted, reason, figures, tuned)


def _name(what: str, settings: Settings) -> str:
    text = json.dumps(settings.to_json(), sort_keys=True)
    return f"{what}-{settings.recipe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".replace(
        f"{settings.recipe}-{settings.recipe}", settings.recipe
    )


def _settings_of(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial drew as settings; a journal holds a head as its text."""
    chosen = dict(drawn)
    if "head" in chosen:
        text = str(chosen["head"])
        chosen["head"] = () if text == "own" else read_head(text)
    return chosen


def _add(library: Library, folder: Path, name: str) -> str:
    """Give the library the model; beside another one of that name it gets its digest into its own."""
    sha256 = str(read_description(folder / "model.json").spec.sha256)
    there = library.models.store.find(name)
    if there is not None and there.spec.sha256 != sha256:
        name = f"{name}-{sha256[:8]}"
    return library.models.add(folder, name=name)


def _adopt(
    library: Library, model: str, figures: Mapping[str, Any], adopt: Adopt, note: Callable[[str], None]
) -> tuple[bool, str]:
    if library.models.in_use == model:
        return True, "in use already"
    if adopt == "never":
        return False, "adopt: never"
    if adopt == "always":
        library.models.use(model, force=True)
        return True, "adopt: always"
    better, reason = _gain(figures)
    if not better:
        return False, reason
    trial = try_model(library, model, keys=tuple(figures["settings"]["labels"]), note=note)
    if trial is None or not trial.better:
        return False, f"{reason}, and not better on the whole library"
    library.models.use(model)
    return True, reason


def _gain(figures: Mapping[str, Any]) -> tuple[bool, str]:
    """Tell whether pictures that were held out are clearly better found than before."""
    rows = [row for gain in figures["gains"][:1] for row in gain["rows"] if row["measure"] == "mAP"]
    after = next((row for row in rows if row["set-up"] in ("after", "learned")), None)
    if after is None or after["difference"] is None:
        return False, "no label to judge by"
    words = f"held-out mAP {after['difference']:+.3f} [{after['low']:+.3f}, {after['high']:+.3f}]"
    return bool(after["low"] > 0), words if after["low"] > 0 else f"{words} is not clearly better"
