"""Where a run stands after each epoch, so that it can go on; tensors and numbers, read without running code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sosie.errors import DamagedError, UsageError
from sosie.evaluation.runs import differences
from sosie.training.settings import Settings
from sosie.training.trainee import Trainee

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(folder: Path, settings: Settings, trainee: Trainee, kept: Mapping[str, Any]) -> None:
    """Write last.pt, all or nothing: settings, weights, and what else is ``kept``."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "last.part"
    torch.save({"settings": json.dumps(settings.to_json()), "state": trainee.state(), **kept}, draft)
    draft.replace(folder / "last.pt")


def load_checkpoint(folder: Path, settings: Settings, trainee: Trainee) -> dict[str, Any] | None:
    """Return what was saved, or None; raise UsageError for other settings or another network, DamagedError."""
    path = folder / "last.pt"
    if not path.exists():
        return None
    try:
        known: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        stored = json.loads(known["settings"])
    except Exception as error:
        raise DamagedError(f"{path} cannot be read: remove {folder} and train again") from error
    if changed := differences(stored, settings.to_json()):
        raise UsageError(f"{folder} holds a run of other settings ({'; '.join(changed)}): choose another --out")
    shapes = {name: value.shape for name, value in trainee.extractor.state_dict().items()}
    if {name: value.shape for name, value in known["state"]["extractor"].items()} != shapes:
        raise UsageError(f"{path} is a checkpoint of another network: choose another --out")
    return known
