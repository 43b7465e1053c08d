"""Classes told by a trained network, stored as labels: ``predicted.class`` and ``predicted.confidence``.

They can be used in ``--where`` like any other label, so a search can go by class first and by likeness then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sosie.embedders.onnx import Classes, OnnxEmbedder, read_description
from sosie.embedders.store import DESCRIPTION
from sosie.library import Library
from sosie.training.pictures import inputs_of
from sosie.types import FloatMatrix, Ids, LabelValue, Picture

__all__ = ["find_package", "labels_of", "store_predictions"]

_BATCH, _COMMIT = 64, 1024
_LIKELY = 0.5  # a class is told of a picture that may have several from this probability on


def find_package(library: Library, name: str) -> Path:
    """Return the description of a package: a folder, a JSON file, or the name of one of the library's models."""
    path = Path(name)
    if path.is_dir():
        return path / DESCRIPTION
    if path.suffix == ".json":
        return path
    return library.models.store.folder / name / DESCRIPTION


def store_predictions(
    library: Library,
    description: Path,
    *,
    where: str | None = None,
    prefix: str = "predicted",
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Label pictures with the classes that a package tells; return how many. Those that cannot be read are left out."""
    embedder = OnnxEmbedder(read_description(description))
    embedder.classify([])  # a network that tells no classes is refused before anything is read
    ids = library.catalogue.live_ids(library.catalogue.condition(where))
    found: dict[int, dict[str, LabelValue]] = {}
    stored = 0
    with library.catalogue.writing("sosie labels predict"):
        for content_ids, probabilities in _told(library, ids, embedder):
            classes = embedder.description.classes
            assert classes is not None
            found |= {i: labels_of(row, classes, prefix) for i, row in zip(content_ids, probabilities, strict=True)}
            stored += len(content_ids)
            if len(found) >= _COMMIT:
                library.catalogue.set_labels_of_each(found)
                found = {}
            progress(stored, len(ids))
        library.catalogue.set_labels_of_each(found)
    return stored


def _told(library: Library, ids: Ids, embedder: OnnxEmbedder) -> Iterator[tuple[Sequence[int], FloatMatrix]]:
    how = embedder.spec.preprocessing
    batch: list[tuple[int, Picture]] = []
    for row, pixels in inputs_of(library, ids, how):
        if not isinstance(pixels, str):
            batch.append((int(ids[row]), Picture(pixels, how.side, how.side)))
        if len(batch) == _BATCH or (batch and row == len(ids) - 1):
            yield [each for each, _ in batch], embedder.classify([picture for _, picture in batch])
            batch = []


def labels_of(probabilities: FloatMatrix, classes: Classes, prefix: str = "predicted") -> dict[str, LabelValue]:
    """Return the labels for the probabilities (classes,) of one picture; the best class where none is likely."""
    best = int(np.argmax(probabilities))
    told: LabelValue = classes.names[best]
    if classes.several:
        likely = tuple(name for name, p in zip(classes.names, probabilities, strict=True) if p >= _LIKELY)
        told = likely or (classes.names[best],)
    return {f"{prefix}.class": told, f"{prefix}.confidence": round(float(probabilities[best]), 4)}
