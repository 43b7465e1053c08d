"""Any ONNX network by a small description: a JSON file beside it that says how it is fed and what it gives.

{"name": "mobilenet", "version": "1", "licence": "Apache-2.0", "file": "mobilenet.onnx", "sha256": "…",
 "input": "input", "heads": [{"name": "semantic", "dim": 1280, "output": "embedding"}],
 "featuremap": "featuremap",
 "preprocessing": {"side": 224, "fit": "squash", "scale": 127.5, "mean": [1, 1, 1]}}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from sosie.embedders.preprocessing import to_tensor
from sosie.errors import NotFound, UntrustedModel
from sosie.networks import open_network, require_outputs
from sosie.types import EmbedderSpec, FloatMatrix, Head, Picture, Preprocessing

__all__ = ["Description", "OnnxEmbedder", "read_description", "unit"]


@dataclass(frozen=True, slots=True)
class Description:
    """An ONNX file, the spec of what it computes, and the names of its input and outputs."""

    path: Path
    spec: EmbedderSpec
    input: str
    outputs: tuple[str, ...]  # one per head of the spec
    featuremap: str | None = None


def read_description(path: Path) -> Description:
    """Read a model description; raise NotFound or UntrustedModel with what is wrong in it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"no model description at {path}: write one beside the .onnx file") from error
    except ValueError as error:
        raise UntrustedModel(f"{path} is not JSON: {error}") from error
    try:
        return _description(raw, path)
    except (KeyError, TypeError, ValueError) as error:
        raise UntrustedModel(f"{path} does not describe a model: {error!r}") from error


def _description(raw: dict[str, Any], path: Path) -> Description:
    known = {field.name for field in fields(Preprocessing)}
    if unknown := set(raw["preprocessing"]) - known:
        raise ValueError(f"unknown preprocessing keys {sorted(unknown)}")
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw["preprocessing"].items()}
    spec = EmbedderSpec(
        name=raw["name"],
        version=str(raw["version"]),
        heads=tuple(Head(head["name"], int(head["dim"])) for head in raw["heads"]),
        preprocessing=Preprocessing(**how),
        licence=raw["licence"],
        tasks=tuple(raw.get("tasks", ("image",))),
        url=raw.get("url"),
        sha256=raw["sha256"],
    )
    outputs = tuple(head["output"] for head in raw["heads"])
    return Description(
        path=path.parent / raw["file"],
        spec=spec,
        input=raw["input"],
        outputs=outputs,
        featuremap=raw.get("featuremap"),
    )


class OnnxEmbedder:
    """Runs a described ONNX network with ONNX Runtime on the CPU.

    The file's SHA-256 is checked before the runtime parses it. ``threads`` is the number of cores one call may
    use; None leaves it to the runtime.
    """

    def __init__(self, description: Description, *, threads: int | None = None) -> None:
        self._description = description
        self._threads = threads
        self._session: Any = None
        self._lock = Lock()

    @property
    def spec(self) -> EmbedderSpec:
        return self._description.spec

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it runs from."""
        return (self._description.path,)

    @property
    def description(self) -> Description:
        """What it runs: with the file, all that another machine needs to run it too."""
        return self._description

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, dim) float32: each head's vectors of unit length, side by side."""
        if not pictures:
            return np.empty((0, self.spec.dim), np.float32)
        heads = self._run(pictures, self._description.outputs)
        return np.concatenate([unit(head.reshape(len(head), -1)) for head in heads], axis=1)

    def feature_maps(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return the last feature maps (n, channels, height, width), for pooled regions."""
        if self._description.featuremap is None:
            raise UntrustedModel(f"the description of {self.spec.name} names no feature map")
        return np.asarray(self._run(pictures, (self._description.featuremap,))[0], np.float32)

    @property
    def has_feature_map(self) -> bool:
        """Whether `feature_maps` works."""
        return self._description.featuremap is not None

    def embed_with_maps(self, pictures: Sequence[Picture]) -> tuple[FloatMatrix, FloatMatrix]:
        """Return ``embed`` and ``feature_maps`` of the same pictures for one run of the network."""
        if self._description.featuremap is None:
            raise UntrustedModel(f"the description of {self.spec.name} names no feature map")
        *heads, maps = self._run(pictures, (*self._description.outputs, self._description.featuremap))
        return np.concatenate([unit(head.reshape(len(head), -1)) for head in heads], axis=1), np.asarray(
            maps, np.float32
        )

    def warm_up(self) -> None:
        """Load the network now rather than at the first picture."""
        self._loaded()

    def _run(self, pictures: Sequence[Picture], outputs: tuple[str, ...]) -> list[FloatMatrix]:
        tensor = to_tensor(pictures, self.spec.preprocessing)
        result: list[FloatMatrix] = self._loaded().run(list(outputs), {self._description.input: tensor})
        return result

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                about = self._description
                session = open_network(about.path, sha256=str(about.spec.sha256), threads=self._threads)
                require_outputs(session, about.outputs, about.path)
                self._session = session
            return self._session


def unit(vectors: FloatMatrix) -> FloatMatrix:
    """Scale rows to unit length; a row of zeros stays zero."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)
