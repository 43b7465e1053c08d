"""A library's own models: LIBRARY/models/NAME holds a description and the files that it names."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sosie import files
from sosie.embedders.exported import export_timm, export_torchscript
from sosie.embedders.lite import network_of
from sosie.embedders.lite_onnx import write_lite
from sosie.embedders.onnx import Description, OnnxEmbedder, read_description
from sosie.errors import NotFound, UnknownName, UntrustedModel, UsageError
from sosie.networks.checkpoint import read_checkpoint
from sosie.networks.hub import Fetched, Lock, fetch
from sosie.networks.installed import installed_file
from sosie.networks.published import PUBLISHED, Published
from sosie.networks.runtime import digest_of
from sosie.registry import is_known, nearest
from sosie.types import Picture

__all__ = ["DESCRIPTION", "ModelStore", "package_of"]

DESCRIPTION, TRAINED_ON = "model.json", "trained_on.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ModelStore:
    """The models in a folder. Reading it makes nothing; what is put there was checked and has run once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of the models that are there."""
        return sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{DESCRIPTION}"))

    def find(self, name: str) -> Description | None:
        """Return the description of a model, or None; raise UntrustedModel where it is not one."""
        path = self.folder / name / DESCRIPTION
        return read_description(path) if _NAME.fullmatch(name) and path.is_file() else None

    def add(self, package: Path, *, name: str | None = None) -> Description:
        """Copy a model package (a folder, or a JSON description) here, under its own name or ``name``.

        The network's digest is checked before anything reads it, and it embeds one picture before it is kept. The same
        package may be added again. Raises NotFound, UntrustedModel, UsageError for a name that is taken.
        """
        source = _description_in(package)
        described = read_description(source)
        raw = json.loads(source.read_text(encoding="utf-8"))
        raw["name"] = name or described.spec.name
        _check_name(raw["name"])
        there = self._sound(raw["name"])
        if there is not None:
            if there.spec.sha256 == described.spec.sha256 and there.spec.version == described.spec.version:
                return there
            raise UsageError(
                f"the library has another model called {raw['name']}: add this one as another name with --name, "
                f"or `sosie models remove {raw['name']}` first"
            )
        return self._keep(raw, source.parent)

    def install(
        self, model: Published, *, progress: Callable[[int, int], None] = lambda _done, _all: None
    ) -> Description:
        """Fetch a published model here, unless it is; return its description.

        An interrupted download goes on. Each file is held to its known digest, or to that of the first time. Raises
        ServiceAway, NotFound, UntrustedModel, MissingExtra.
        """
        there = self._sound(model.name)
        if there is not None:
            return there
        downloads = self.folder / ".downloads"
        fetched = self._fetched(model, downloads, progress)
        try:
            network = _network_of(model, fetched[0].path, downloads / f"{model.name}.onnx")
            return self._keep(package_of(model, network, fetched), downloads)
        finally:
            shutil.rmtree(downloads, ignore_errors=True)

    def _fetched(self, model: Published, downloads: Path, progress: Callable[[int, int], None]) -> list[Fetched]:
        if model.kind == "package":
            files.make_folder(downloads)  # where the network is written to
            return [installed_file(file) for file in model.files]
        lock = Lock(self.folder / "lock.json")
        program = model.kind == "torchscript"
        return [fetch(file, downloads, lock, known_only=program, progress=progress) for file in model.files]

    def _keep(self, raw: dict[str, Any], origin: Path) -> Description:
        place, draft = self.folder / raw["name"], self.folder / f".{raw['name']}.{os.getpid()}.part"
        shutil.rmtree(draft, ignore_errors=True)
        files.make_folder(draft)
        try:
            _copy_files(raw, origin, draft)
            files.write_json(draft / DESCRIPTION, raw)
            _try_once(read_description(draft / DESCRIPTION))
            if place.exists():
                files.remove_tree(place)  # what is there was found broken
            files.publish(draft, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return read_description(place / DESCRIPTION)

    def remove(self, name: str) -> None:
        """Delete a model, also a broken one; raise UnknownName."""
        if not _NAME.fullmatch(name) or not (self.folder / name).is_dir():
            raise UnknownName(f"no model of this library's own is called {name!r}; {nearest(name, self.names())}")
        files.remove_tree(self.folder / name)

    def _sound(self, name: str) -> Description | None:
        """Return the description of a model whose files are what it says; None where it is broken or not there."""
        try:
            there = self.find(name)
            return there if there is None or digest_of(there.path) == there.spec.sha256 else None
        except (UntrustedModel, NotFound):
            return None


def _description_in(package: Path) -> Path:
    """Return the description that a path means: itself, or the one in the folder."""
    if package.is_dir():
        found = [path for path in sorted(package.glob("*.json")) if _describes(path)]
        if len(found) != 1:
            what = "no description of a model" if not found else f"{len(found)} descriptions: name one of them"
            raise NotFound(f"{package} holds {what} (a JSON file, see docs/how-to/choose-a-model.md)")
        return found[0]
    if package.suffix == ".onnx":
        raise UsageError(f"write a description beside {package} and add that (see docs/how-to/choose-a-model.md)")
    return package


def _describes(path: Path) -> bool:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(raw, Mapping) and {"heads", "file", "sha256"} <= raw.keys()


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"a model's name is letters, digits, dots and dashes, not {name!r}: choose one with --name")
    if is_known("embedders", name) or name in PUBLISHED:
        raise UsageError(f"{name} is the name of a model that Sosie knows: choose another with --name")


def _network_of(model: Published, file: Path, target: Path) -> Path:
    """Return the ONNX network of a published model's first file, exported to ``target`` where it is none."""
    side = model.spec.preprocessing.side
    if model.kind == "timm":
        export_timm(model.architecture, file, target, side=side)
    elif model.kind == "package":
        write_lite(network_of(read_checkpoint(file)), target)
    elif model.kind == "torchscript":
        export_torchscript(file, target, side=side)
    else:
        return file
    return target


def package_of(model: Published, network: Path, fetched: Sequence[Fetched]) -> dict[str, Any]:
    """Return the description of a published model whose files are here."""
    about = dict(model.description)
    head = {"name": "semantic", "dim": model.dim, "output": about["output"], "pool": about.get("pool", "none")}
    described: dict[str, Any] = {
        "name": model.name,
        "version": fetched[0].commit[:12],
        "licence": model.licence,
        "tasks": list(model.tasks),
        "url": f"{model.files[0].repo}@{fetched[0].commit}",
        "file": network.name,
        "sha256": digest_of(network),
        "input": about["input"],
        "heads": [head],
        "preprocessing": dict(model.preprocessing),
    }
    if "text" in about:
        tower, tokenizer = fetched[1:]
        files = {"file": tower.path.name, "sha256": tower.sha256}
        words = {"tokenizer": tokenizer.path.name, "tokenizer_sha256": tokenizer.sha256}
        described["text"] = {**about["text"], **files, **words}
    return described


def _copy_files(raw: dict[str, Any], origin: Path, draft: Path) -> None:
    """Copy the files that a description names, and have it name the copies."""
    parts = [(raw, "file", "model.onnx")]
    parts += [(raw, "trained_on", TRAINED_ON)] if raw.get("trained_on") else []
    if raw.get("text"):
        raw["text"] = dict(raw["text"])
        parts += [(raw["text"], "file", "text.onnx"), (raw["text"], "tokenizer", "tokenizer.json")]
    if raw.get("words"):
        raw["words"] = dict(raw["words"])
        parts += [(raw["words"], "file", "words.npz")]
    for part, key, name in parts:
        source = origin / part[key]
        if not source.is_file():
            raise NotFound(f"the file {source} of the model is not there")
        shutil.copyfile(source, draft / name)
        part[key] = name


def _try_once(description: Description) -> None:
    """Run a network once; raise UntrustedModel where it does not give what its description says."""
    spec = description.spec
    side = spec.preprocessing.side
    grey = Picture(np.full((side, side, 3), 128, np.uint8), side, side)
    embedder = OnnxEmbedder(description, threads=1)
    vectors = embedder.embed([grey, grey])
    if description.text is not None and (words := embedder.embed_text(["a picture"]).shape[1]) != spec.heads[0].dim:
        raise UntrustedModel(
            f"{spec.name} gives {words} numbers a text, {spec.heads[0].dim} a picture: towers of two models"
        )
    if description.words is not None:
        _ = embedder.vocabulary
    if vectors.shape != (2, spec.dim):
        raise UntrustedModel(
            f"{spec.name} gives {vectors.shape[1]} numbers a picture, its description says {spec.dim}: correct `heads`"
        )
