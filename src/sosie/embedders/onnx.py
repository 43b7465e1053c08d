"""Any ONNX network by a small description: a JSON file beside it that says how it is fed and what it gives.

{"name": "mobilenet", "version": "1", "licence": "Apache-2.0", "file": "mobilenet.onnx", "sha256": "…",
 "input": "input", "heads": [{"name": "semantic", "dim": 1280, "output": "embedding"}],
 "featuremap": "featuremap",
 "preprocessing": {"side": 224, "fit": "squash", "scale": 127.5, "mean": [1, 1, 1]}}

``words`` may name a table of single words (`sosie.embedders.vocabulary`): {"file": "words.npz", "sha256": "…"}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from sosie.embedders.preprocessing import to_tensor
from sosie.embedders.text import TextTower, Words, read_text_tower
from sosie.embedders.together import MicroBatcher
from sosie.embedders.vocabulary import OwnWords, WordTable, WordVectors, read_vocabulary
from sosie.errors import NotFound, UntrustedModel, UsageError
from sosie.networks.formats import explain
from sosie.networks.published import WITH_WORDS
from sosie.networks.runtime import open_network, require_outputs
from sosie.types import EmbedderSpec, FloatMatrix, Head, Picture, Preprocessing

__all__ = ["POOLS", "Classes", "Description", "OnnxEmbedder", "pooled", "read_description", "unit"]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that a network tells: the output that holds their probabilities, and their names.

    ``several``: a picture may have several; ``label`` is what they were learned from.
    """

    output: str
    names: tuple[str, ...]
    several: bool
    label: str


@dataclass(frozen=True, slots=True)
class Description:
    """An ONNX file, the spec of what it computes, and the names of its input and outputs."""

    path: Path
    spec: EmbedderSpec
    input: str
    outputs: tuple[str, ...]  # one per head of the spec
    pools: tuple[str, ...]  # how each output becomes one vector a picture: see ``pooled``
    featuremap: str | None = None
    text: TextTower | None = None
    classes: Classes | None = None
    words: WordTable | None = None
    trained_on: Path | None = None  # the digests of pictures and the names of classes that it learned from


def read_description(path: Path) -> Description:
    """Read a model description; raise NotFound or UntrustedModel with what is wrong in it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"no model description at {path}: write one beside the .onnx file") from error
    except ValueError as error:
        raise UntrustedModel(explain(path) or f"{path} is not JSON: {error}") from error
    try:
        return _description(raw, path)
    except (KeyError, TypeError, ValueError) as error:
        raise UntrustedModel(f"{path} does not describe a model: {error!r}") from error


def _description(raw: dict[str, Any], path: Path) -> Description:
    known = {field.name for field in fields(Preprocessing)}
    if unknown := set(raw["preprocessing"]) - known:
        raise ValueError(f"unknown preprocessing keys {sorted(unknown)}")
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw["preprocessing"].items()}
    pools = tuple(head.get("pool", "none") for head in raw["heads"])
    if unknown := set(pools) - POOLS.keys():
        raise ValueError(f"unknown pool {sorted(unknown)}; known: {sorted(POOLS)}")
    spec = EmbedderSpec(
        name=raw["name"],
        # another pool gives other vectors, and so is another version
        version="+".join([str(raw["version"]), *sorted(set(pools) - {"none"})]),
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
        pools=pools,
        featuremap=raw.get("featuremap"),
        text=read_text_tower(raw["text"], path.parent) if raw.get("text") else None,
        classes=_classes(raw["classes"]) if "classes" in raw else None,
        words=WordTable(path.parent / raw["words"]["file"], raw["words"]["sha256"]) if raw.get("words") else None,
        trained_on=path.parent / raw["trained_on"] if raw.get("trained_on") else None,
    )


def _classes(raw: dict[str, Any]) -> Classes:
    return Classes(raw["output"], tuple(map(str, raw["names"])), bool(raw["several"]), str(raw["label"]))


class OnnxEmbedder:
    """Runs a described ONNX network with ONNX Runtime on the CPU.

    The file's SHA-256 is checked before the runtime parses it. ``threads`` is the number of cores one call may
    use; None leaves it to the runtime.
    """

    def __init__(self, description: Description, *, threads: int | None = None) -> None:
        self._description = description
        self._threads = threads
        self._session: Any = None
        self._words: Words | None = None
        self._vocabulary: WordVectors | None = None
        self._lock = Lock()
        self._together: MicroBatcher | None = None

    def share_cores(self, threads: int) -> None:
        """Serve many callers: embed what they ask for together, on so many cores; before the first call."""
        self._threads = threads
        self._together = MicroBatcher(self._embed)

    @property
    def spec(self) -> EmbedderSpec:
        return self._description.spec

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it runs from."""
        text, words = self._description.text, self._description.words
        towers = (text.network, text.tokenizer) if text else ()
        return (self._description.path, *towers, *((words.path,) if words else ()))

    @property
    def description(self) -> Description:
        """What it runs: with the file, all that another machine needs to run it too."""
        return self._description

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return (n, dim) float32: each head's vectors of unit length, side by side."""
        if not pictures:
            return np.empty((0, self.spec.dim), np.float32)
        return self._together(pictures) if self._together else self._embed(pictures)

    def _embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        return self._vectors(self._run(pictures, self._description.outputs))

    def embed_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Return (n, dim of the first head) float32 unit vectors of texts; raise UsageError without a text tower.

        Where there is none, a table of single words does.
        """
        if self.knows_words:
            return np.stack([self.embed_words(text) for text in texts])
        tower = self._description.text
        if tower is None:
            raise UsageError(f"{self.spec.name} knows no words: {WITH_WORDS}")
        with self._lock:
            if self._words is None:
                self._words = Words(tower, threads=self._threads)
        return unit(self._words.embed(texts))

    @property
    def knows_words(self) -> bool:
        """Whether it embeds texts by a table of single words."""
        return self._description.words is not None and self._description.text is None

    def embed_words(self, text: str, own: OwnWords = lambda _keys: None) -> FloatMatrix:
        """Return the unit vector (dim of the first head) of the words of a text; see `WordVectors.embed`."""
        return self.vocabulary.embed(text, own)

    @property
    def vocabulary(self) -> WordVectors:
        """The single words that it knows, read when they are first needed; raise UsageError where it knows none."""
        table = self._description.words
        if table is None:
            raise UsageError(f"{self.spec.name} knows no words: {WITH_WORDS}")
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = read_vocabulary(table, name=self.spec.name, dim=self.spec.heads[0].dim)
            return self._vocabulary

    def tags_of(self, vectors: FloatMatrix) -> list[tuple[str, ...]]:
        """Return what pictures surely hold, by vectors (n, dim of the first head); nothing where it tells no tags."""
        tagger = self.vocabulary.tagger if self._description.words is not None else None
        return [()] * len(vectors) if tagger is None else tagger.tags(vectors)

    @property
    def tags_version(self) -> str | None:
        """What tags are told by, another one where they may differ; None where none are told."""
        words = self._description.words
        return None if words is None else words.sha256[:12]

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
        return self._vectors(heads), np.asarray(maps, np.float32)

    def _vectors(self, heads: Sequence[FloatMatrix]) -> FloatMatrix:
        rows = [pooled(head, pool) for head, pool in zip(heads, self._description.pools, strict=True)]
        return np.concatenate([unit(row) for row in rows], axis=1)

    def classify(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return the probability of each class for each picture (n, classes); the network has to tell classes."""
        classes = self._description.classes
        if classes is None:
            raise UsageError(f"{self.spec.name} tells no classes: take a model that `sosie train classifier` made")
        if not pictures:
            return np.empty((0, len(classes.names)), np.float32)
        return np.asarray(self._run(pictures, (classes.output,))[0], np.float32)

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


def pooled(output: FloatMatrix, pool: str) -> FloatMatrix:
    """Return one row (n, dim) a picture of an output (n, dim), of tokens (n, t, dim) or of a map (n, dim, h, w).

    ``first`` takes the first token (a transformer's class token), ``mean`` the mean, ``gem`` the generalised mean with
    p = 3 (Radenović et al. 2018), ``none`` every number as it is.
    """
    output = np.asarray(output, np.float32)
    if pool == "none" or output.ndim == 2:
        return output.reshape(len(output), -1)
    tokens = output if output.ndim == 3 else output.reshape(*output.shape[:2], -1).transpose(0, 2, 1)
    return POOLS[pool](tokens)


POOLS: dict[str, Callable[[FloatMatrix], FloatMatrix]] = {
    "none": lambda tokens: tokens.reshape(len(tokens), -1),
    "first": lambda tokens: tokens[:, 0],
    "mean": lambda tokens: tokens.mean(axis=1),
    "gem": lambda tokens: np.cbrt((np.maximum(tokens, 1e-6) ** 3).mean(axis=1)),
}


def unit(vectors: FloatMatrix) -> FloatMatrix:
    """Scale rows to unit length; a row of zeros stays zero."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)
