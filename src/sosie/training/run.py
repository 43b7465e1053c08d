"""One training run from a library to a package; only this file knows the order of things.

library ─→ examples ─→ store ─→ fit ─→ export ─→ measure ─→ report, model card
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sosie import files
from sosie.embedders.store import TRAINED_ON
from sosie.errors import DiskFull, UsageError
from sosie.evaluation.runs import differences
from sosie.library import Library
from sosie.models.trained_on import TrainedOn
from sosie.sources.web.download import Download
from sosie.training.card import write_card, write_summary
from sosie.training.examples import Examples, gather
from sosie.training.export import describe, export
from sosie.training.extractor import Exported, make_extractor
from sosie.training.fetched import fetch_originals
from sosie.training.logs import Logs
from sosie.training.loop import Epoch, History, fit
from sosie.training.measure import Gain, measure_gain, neighbour_accuracies
from sosie.training.objectives import Classes, make_objective
from sosie.training.report import sections, write_report
from sosie.training.settings import Settings
from sosie.training.starts import open_start
from sosie.training.store import Store, make_store
from sosie.training.trained import Prepared, Trained
from sosie.training.trainee import Trainee, embeddings
from sosie.training.ways import Ways, as_they_are
from sosie.types import Preprocessing

__all__ = ["Report", "make_trainee", "prepare", "train"]

_LEFT = (
    "work",
    "logs",
    "measured",
    "model.onnx",
    "model.part",
    "model.json",
    TRAINED_ON,
    "MODEL_CARD.md",
    "report.json",
    "report.html",
    "settings.json",
)

Report = Callable[[str, int, int, str], None]  # stage, done, all, a word on how it goes


def train(
    library: Library,
    settings: Settings,
    out: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
    download: Download | None = None,
    report: Report = lambda *_: None,
) -> Trained:
    """Train on a library's pictures and write a package into ``out``; the same call goes on where one broke off.

    Pictures that only the web has are fetched by ``download``, by default from public addresses alone.
    ``overwrite`` begins anew where ``out`` holds a run; one that broke off before its first epoch is no obstacle.
    Raises UsageError for what cannot be learned, before anything is decoded; DiskFull, NotFound.
    """
    _require_own(out, settings, overwrite=overwrite)
    name = name or out.name
    try:
        prepared = prepare(library, settings, out / "work", report, download=download)
        trainee = make_trainee(prepared, settings)
        history = _fit(trainee, prepared, settings, out, report)
        report("export", 0, 1, "")
        difference = _export(trainee, prepared, settings, out, name)
        report("measures", 0, 1, "")
        trained = Trained(
            folder=out,
            name=name,
            settings=settings,
            examples=prepared.examples,
            start=prepared.start,
            history=history,
            gains=_gains(library, trainee, prepared, settings, out),
            accuracy=_accuracy(library, trainee, prepared, history),
            difference=difference,
            refused=dict(prepared.store.refused),
        )
        write_card(trained)
        write_report(trained, extra=sections(library, trained, trainee, prepared))
        write_summary(trained)
        shutil.rmtree(out / "work", ignore_errors=True)
        report("measures", 1, 1, "")
        return trained
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"the disk of {out} is full: make room and run the same command, which goes on") from error
        raise


def _require_own(out: Path, settings: Settings, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: --out is a folder")
    known = out / "settings.json"
    if known.exists():
        changed = differences(_stored(known), settings.to_json())
        done, begun = (out / "report.json").exists(), (out / "work" / "last.pt").exists()
        if overwrite or (changed and not (done or begun)):
            _clear(out)
        elif changed:
            what = f"{out} holds a run of other settings ({'; '.join(changed)})"
            raise UsageError(f"{what}: choose another --out, or add --overwrite to begin anew")
        elif done:
            what = f"{out} holds this very run, done: see {out / 'report.html'}"
            raise UsageError(f"{what}, choose another --out, or add --overwrite")
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds other files: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(known, settings.to_json(), indent=1)


def _stored(path: Path) -> dict[str, Any]:
    """Return the settings of a run; raise UsageError where the file is no run's."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["recipe"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not of a run of `sosie train`: choose another --out") from error
    return dict(stored)


def _clear(out: Path) -> None:
    """Remove what runs leave in their folder, and nothing else."""
    for name in _LEFT:
        path = out / name
        if path.is_dir():
            files.remove_tree(path)
        else:
            files.remove(path)


def prepare(
    library: Library,
    settings: Settings,
    folder: Path,
    report: Report = lambda *_: None,
    *,
    download: Download | None = None,
) -> Prepared:
    """Find out what there is to learn, open the start, decode the pictures and run the still blocks over them."""
    examples = gather(library, settings)
    fetched = fetch_originals(
        library,
        examples.ids.tolist(),
        folder / "fetched",
        download=download or Download(),
        progress=lambda done, every: report("fetch", done, every, ""),
    )
    start = open_start(settings.start, settings.weights, settings.pooling)
    extractor = make_extractor(start, settings).eval().to(_device())
    views = np.ones(len(examples.ids), np.int64)
    views[examples.training] = settings.views
    used = np.sort(np.concatenate([examples.training, examples.validation]))
    views[np.setdiff1d(np.arange(len(views)), used)] = 1
    store = make_store(
        library,
        examples.ids,
        views=views.tolist(),
        extractor=extractor,
        preprocessing=Preprocessing(side=start.side),
        folder=folder,
        key=settings.views_key(),
        seed=settings.seed,
        read=fetched.read,
        progress=lambda done, every: report("pictures", done, every, ""),
    )
    for what, rows in (("learn from", examples.training), ("judge by", examples.validation)):
        if len(store.readable(rows)) < 2:
            raise UsageError(f"fewer than two pictures to {what} could be read: add their folders again")
    return Prepared(examples, start, store, folder, _trained_on(library, examples, store), fetched.read)


def make_trainee(prepared: Prepared, settings: Settings) -> Trainee:
    """Return a fresh network and objective on the device that is there."""
    torch.manual_seed(settings.seed)
    start = open_start(settings.start, settings.weights, settings.pooling)
    extractor = make_extractor(start, settings)
    objective = make_objective(extractor.dim, prepared.examples, settings)
    return Trainee(extractor.to(_device()), objective.to(_device()))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _fit(trainee: Trainee, prepared: Prepared, settings: Settings, out: Path, report: Report) -> History:
    with Logs(out / "logs") as logs:

        def told(epoch: Epoch) -> None:
            logs.write(epoch)
            report("epochs", int(epoch["epoch"]), settings.epochs, f"mAP {epoch['mAP']:.3f}")

        return fit(trainee, prepared.store, prepared.examples, settings, folder=prepared.folder, report=told)


def _export(trainee: Trainee, prepared: Prepared, settings: Settings, out: Path, name: str) -> float:
    objective, examples, start = trainee.objective, prepared.examples, prepared.start
    classes = objective if isinstance(objective, Classes) else None
    noise = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    pictures = torch.nn.functional.interpolate(noise, size=(start.side, start.side), mode="bicubic").clamp(0, 255)
    exported = Exported(trainee.extractor, classes).cpu().eval()
    difference = export(exported, out / "model.onnx", side=start.side, pictures=pictures.numpy())
    said = {"names": list(examples.names), "several": examples.several, "label": " ".join(examples.keys)}
    describe(
        out / "model.onnx",
        name=name,
        start=start,
        dim=trainee.extractor.dim,
        recipe=settings.recipe,
        classes=said if classes is not None else None,
        trained_on=prepared.trained_on,
    )
    return difference


def _trained_on(library: Library, examples: Examples, store: Store) -> TrainedOn:
    learned = library.catalogue.pictures(examples.ids[store.readable(examples.training)].tolist())
    return TrainedOn(frozenset(each.sha256 for each in learned), examples.keys, frozenset(examples.names))


def _gains(library: Library, trainee: Trainee, prepared: Prepared, settings: Settings, out: Path) -> tuple[Gain, ...]:
    examples, store = prepared.examples, prepared.store
    if not examples.keys:
        return ()
    ways = _ways_of(library, examples, settings)
    sets = {
        "held-out": ("pictures held out, of classes that were trained on", examples.validation),
        "unseen": ("pictures of classes that were never trained on", examples.unseen),
    }
    return tuple(
        measure_gain(
            library,
            examples,
            store.readable(rows),
            out / "model.json",
            what=what,
            folder=out / "measured" / folder,
            ways=ways,
            read=prepared.read,
            seed=settings.seed,
        )
        for folder, (what, rows) in sets.items()
        if len(store.readable(rows)) > 1
    )


def _accuracy(library: Library, trainee: Trainee, prepared: Prepared, history: History) -> dict[str, float]:
    examples, store = prepared.examples, prepared.store
    found = neighbour_accuracies(
        library, examples, store, lambda rows: trainee.objective.vectors(embeddings(trainee, store, rows)).numpy()
    )
    best = history.epochs[history.best]
    return found | ({"by the classifier": best["accuracy"]} if "accuracy" in best else {})


def _ways_of(library: Library, examples: Examples, settings: Settings) -> Ways:
    """Return what a recipe is compared by."""
    if settings.recipe != "hash":
        return as_they_are
    from sosie.training.codes import code_ways

    return code_ways(library, examples, settings.bits)
