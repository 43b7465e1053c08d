"""The classifier of a library: a network that `sosie train classifier` made, found and asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosie.embedders.choose import embedder_of
from sosie.embedders.onnx import OnnxEmbedder
from sosie.embedders.store import DESCRIPTION, ModelStore
from sosie.errors import SosieError, UsageError
from sosie.types import Classification, Picture

__all__ = ["RECORD", "Classifier", "find_classifier"]

RECORD = "classifier"  # names the model that the library classifies with, where one was chosen

_HOW = "`sosie train classifier --out runs/mine` makes one, `sosie models add runs/mine` gives it to the library"


class Classifier:
    """A network whose description names classes; the weights are loaded at the first picture."""

    def __init__(self, name: str, network: OnnxEmbedder) -> None:
        classes = network.description.classes
        if classes is None:
            raise UsageError(f"{name} tells no classes: {_HOW}")
        self.name, self._network, self._classes = name, network, classes

    @property
    def sha256(self) -> str | None:
        """The digest of the network, by which one that was replaced is noticed."""
        return self._network.spec.sha256

    def classify(self, pictures: Sequence[tuple[str, Picture]]) -> list[Classification]:
        """Return the classes of named pictures with their probabilities, likeliest first."""
        names = self._classes.names
        rows = self._network.classify([picture for _, picture in pictures])
        return [
            Classification(
                query=query,
                model=self.name,
                label=self._classes.label,
                several=self._classes.several,
                classes=tuple((names[at], float(row[at])) for at in np.argsort(-row, kind="stable")),
            )
            for (query, _), row in zip(pictures, rows, strict=True)
        ]


def find_classifier(name: str | None, *, store: ModelStore, in_use: str, chosen: str | None = None) -> Classifier:
    """Return the classifier of a name: a model of the library, a package's folder, or the path of its description.

    None takes the one that was ``chosen`` for the library, else the model in use where it tells classes, else the only
    model of the library that does. Raises UsageError
    where there is none or where several could be meant, UnknownName, NotFound, UntrustedModel.
    """
    if name is not None:
        path = str(Path(name) / DESCRIPTION) if Path(name).is_dir() else name
        network = embedder_of(path, store)
        if not isinstance(network, OnnxEmbedder):
            raise UsageError(f"{name} tells no classes: {_HOW}")
        return Classifier(name, network)
    found = _classifiers(store, in_use)
    if chosen in (names := [each.name for each in found]):
        return found[names.index(chosen)]
    if not found:
        raise UsageError(f"the library has no classifier: {_HOW}")
    if len(found) > 1 and found[0].name != in_use:
        raise UsageError(f"the library has several classifiers: choose one of {', '.join(each.name for each in found)}")
    return found[0]


def _classifiers(store: ModelStore, in_use: str) -> list[Classifier]:
    """Return the library's classifiers, the model in use first; broken models are the doctor's business."""
    found = []
    for name in dict.fromkeys([in_use, *store.names()]):
        try:
            network = embedder_of(name, store)
        except SosieError:
            continue
        if isinstance(network, OnnxEmbedder) and network.description.classes is not None:
            found.append(Classifier(name, network))
    return found
