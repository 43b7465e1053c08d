"""What training changed, on pictures that took no part in it: the library's own vectors before, the package's after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sosie.embedders.onnx import OnnxEmbedder, read_description
from sosie.errors import SosieError
from sosie.evaluation.collection import Collection
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.labels import predict_labels
from sosie.library import Library
from sosie.training.examples import Examples, Rows
from sosie.training.pictures import inputs_of
from sosie.training.ways import Ways, as_they_are
from sosie.types import FloatMatrix, Ids, Picture

if TYPE_CHECKING:
    from sosie.training.store import Store

__all__ = ["Gain", "embed_with", "measure_gain", "neighbour_accuracies", "neighbour_accuracy"]

_BATCH = 64
_VOTERS = 5


@dataclass(frozen=True)
class Gain:
    """Measures of one set of pictures before and after: rows with value, difference and its 95 % interval."""

    what: str
    pictures: int
    rows: Sequence[Mapping[str, Any]]

    def value(self, measure: str, set_up: str) -> float:
        """Return one measure (``mAP``, ``nDCG@10`` …) ``before`` or ``after``."""
        return next(float(r["value"]) for r in self.rows if (r["measure"], r["set-up"]) == (measure, set_up))

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "pictures": self.pictures, "rows": [dict(row) for row in self.rows]}


def embed_with(
    library: Library, ids: Ids, description: Path, *, read: Callable[[int], bytes] | None = None
) -> tuple[Rows, FloatMatrix]:
    """Return which of some pictures could be read, and their vectors by the package, as `sosie add` would make them."""
    embedder = OnnxEmbedder(read_description(description))
    how = embedder.spec.preprocessing
    rows: list[int] = []
    parts: list[FloatMatrix] = []
    batch: list[Picture] = []
    for row, found in inputs_of(library, ids, how, read=read):
        if isinstance(found, str):
            continue
        rows.append(row)
        batch.append(Picture(found, how.side, how.side))
        if len(batch) == _BATCH:
            parts.append(embedder.embed(batch))
            batch = []
    parts.append(embedder.embed(batch))
    return np.array(rows, np.int64), np.concatenate(parts)


def measure_gain(
    library: Library,
    examples: Examples,
    rows: Rows,
    description: Path,
    *,
    what: str,
    folder: Path,
    ways: Ways = as_they_are,
    read: Callable[[int], bytes] | None = None,
    seed: int = 0,
) -> Gain:
    """Let held-out pictures find each other with the library's vectors and with the package's, and compare.

    The answers are stored in ``folder`` as `sosie evaluate labels` stores them. Pictures without a vector of the
    library's model are left out.
    """
    known, vectors = library.vectors()
    there = rows[np.isin(examples.ids[rows], known)]
    readable, after = embed_with(library, examples.ids[there], description, read=read)
    there = there[readable]
    before = vectors[np.searchsorted(known, examples.ids[there])]
    runs = {}
    for name, each in ways(before, after).items():
        asked = _collection(library, examples.ids[there], each)
        setting = {"model": {"set-up": name, "space": library.space.name}}
        runs[name] = predict_labels(folder / name, asked, keys=examples.keys, setting=setting, seed=seed)
    return Gain(what, len(there), compare_runs(runs, seed=seed).rows)


def _collection(library: Library, ids: Ids, vectors: FloatMatrix) -> Collection:
    records = {record.id: record for record in library.catalogue.pictures(ids.tolist())}
    ordered = [records[each] for each in ids.tolist()]
    return Collection(
        keys=tuple(record.sha256 for record in ordered),
        uris=tuple(record.uris[0] for record in ordered),
        labels=tuple(dict(record.labels) for record in ordered),
        vectors=vectors,
        picture=lambda row: _thumbnail(library, ordered[row].id),
    )


def _thumbnail(library: Library, content_id: int) -> bytes | None:
    try:
        return library.thumbnail(content_id)
    except SosieError:  # of a picture of the web, say: reports show its place without it
        return None


def neighbour_accuracies(
    library: Library, examples: Examples, store: Store, after: Callable[[Rows], FloatMatrix]
) -> dict[str, float]:
    """Return how often neighbours tell a held-out picture's class, with the library's vectors and with ``after``."""
    if not examples.keys:
        return {}
    known, vectors = library.vectors()
    training, held = (
        rows[np.isin(examples.ids[rows], known)]
        for rows in map(store.readable, (examples.training, examples.validation))
    )
    if not len(training) or not len(held):
        return {}
    place = np.searchsorted(known, examples.ids)

    def before(rows: Rows) -> FloatMatrix:
        return np.asarray(vectors[place[rows]])

    ways: dict[str, Callable[[Rows], FloatMatrix]] = {"before": before, "after": after}
    member = examples.targets
    return {
        f"by neighbours, {name}": neighbour_accuracy(
            of(training), member[training], of(held), member[held], several=examples.several
        )
        for name, of in ways.items()
    }


def neighbour_accuracy(
    training: FloatMatrix, training_member: Any, held: FloatMatrix, held_member: Any, *, several: bool
) -> float:
    """Return how often the five nearest training pictures tell a held-out picture's class, or each of its labels."""
    nearest = np.argsort(-(held @ training.T), axis=1, kind="stable")[:, :_VOTERS]
    votes = training_member[nearest].mean(axis=1)
    if several:
        return float(((votes > 0.5) == (held_member > 0.5)).mean())
    return float((votes.argmax(axis=1) == held_member.argmax(axis=1)).mean())
