"""The training and tuning that an application.yaml asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sosie
from sosie.cli.output import note
from sosie.cli.train import needs_torch, stages
from sosie.errors import SettingsError
from sosie.settings import Application

if TYPE_CHECKING:
    from sosie.training.settings import Settings

__all__ = ["check_training", "train_from_file"]

_OF_HASH = {"unfreeze": 0, "rate": 1e-3}  # as `sosie train hash` has them
_OURS = {"name", "adopt"}


def check_training(application: Application) -> None:
    """Refuse what cannot be done before anything is added; raise SettingsError, UsageError, MissingExtra."""
    if application.training is not None:
        _settings(application)
        with needs_torch():
            import sosie.training.run  # noqa: F401 - to know now whether all that it needs is there
    elif application.tuning.trials:
        raise SettingsError("tuning.trials tunes the recipe under training:, and there is none")
    if application.tuning.index and application.index.kind != "auto":
        kind = application.index.kind
        raise SettingsError(f"tuning.index chooses the kind, and index.kind says {kind}: leave out one")


def train_from_file(application: Application, lib: sosie.Library, here: Path, *, quiet: bool) -> dict[str, Any] | None:
    """Train what the file asks for, and adopt it as it says."""
    section, tuning = application.training, application.tuning
    if section is None:
        return None
    with needs_torch(), stages(quiet=quiet) as report:
        from sosie.training.adopt import train_and_adopt

        return train_and_adopt(
            lib,
            _settings(application),
            here / application.evaluation.runs,
            name=section.name or section.recipe,
            adopt=section.adopt,
            trials=tuning.trials,
            trial_epochs=tuning.epochs,
            fixed=_given(application),
            report=report,
            note=note,
        ).to_json()


def _settings(application: Application) -> Settings:
    from sosie.training.settings import Settings

    given = _given(application)
    return Settings(**({**_OF_HASH, **given} if given["recipe"] == "hash" else given))


def _given(application: Application) -> dict[str, Any]:
    assert application.training is not None
    return application.training.model_dump(exclude=_OURS, exclude_unset=True, exclude_none=True)
