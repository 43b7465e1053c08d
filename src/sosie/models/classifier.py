"""The classifier of a library: a network that `sosie train classifier` made, found and asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sosie.analysis.regions import Parts
from sosie.catalogue import Store
from sosie.embedders.choose import embedder_of
from sosie.embedders.onnx import OnnxEmbedder
from sosie.embedders.store import DESCRIPTION, ModelStore
from sosie.errors import SosieError, UsageError
from sosie.models.engines import model_in_use
from sosie.query.encode import Asked, QueryEncoder
from sosie.types import Classification, Picture

__all__ = ["RECORD", "Classifier", "Classifiers", "find_classifier"]

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


class Classifiers:
    """The classifiers of a library, each loaded once. Thread-safe.

    ``encoder`` gives what decodes queries with the model that answers.
    """

    def __init__(self, catalogue: Store, store: ModelStore, *, encoder: Callable[[], QueryEncoder]) -> None:
        self._catalogue, self._store, self._encoder = catalogue, store, encoder
        self._lock = threading.Lock()
        self._loaded: dict[str, Classifier] = {}

    def named(self, name: str | None = None) -> Classifier:
        """Return a classifier as `find_classifier` finds it."""
        chosen = (self._catalogue.record(RECORD) or {}).get("model")
        found = find_classifier(name, store=self._store, in_use=model_in_use(self._catalogue), chosen=chosen)
        with self._lock:  # one that is loaded already is kept, unless its file is another by now
            known = self._loaded.get(found.name)
            if known is None or known.sha256 != found.sha256:
                known = self._loaded[found.name] = found
        return known

    def classify(
        self, queries: Sequence[Asked], name: str | None = None, *, parts: Parts | None = None
    ) -> list[Classification]:
        """Classify several pictures with one run of the network, in their order."""
        classifier, encoder = self.named(name), self._encoder()
        return classifier.classify(encoder.pictures(encoder.begin(queries), parts or Parts()))

    def of_pictures(self, name: str | None, pictures: Sequence[tuple[str, Picture]]) -> list[Classification]:
        """Return the classes of named, decoded pictures by the classifier of a name."""
        return self.named(name).classify(pictures)


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
