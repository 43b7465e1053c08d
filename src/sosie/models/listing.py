"""What `sosie models` says of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sosie.catalogue import Store
from sosie.catalogue.specs import spec_hash
from sosie.contracts import Embedder, HasFiles
from sosie.models.trial import read_figure
from sosie.networks.published import PUBLISHED, Published

__all__ = ["ModelRow", "row_of", "row_of_published"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model as its users see it. ``pictures`` are embedded with it; ``measured`` is its figure on this library.

    One that is not ``here`` has to be downloaded first. ``side`` is in pixels, ``bytes`` what its files take; ``dims``
    are the lengths of its vectors, by head. ``reached`` is the mAP that a published one was measured with where Sosie
    is made, by labelled set: empty where it was never fetched there, None where it is not published.
    """

    name: str
    version: str
    tasks: Sequence[str]
    dims: Mapping[str, int]
    side: int
    licence: str
    bytes: int
    pictures: int
    in_use: bool
    here: bool = True
    measured: Mapping[str, Any] | None = None
    reached: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "tasks": list(self.tasks)}


def row_of(name: str, embedder: Embedder, *, catalogue: Store, in_use: bool) -> ModelRow:
    """Return the row of one model."""
    spec = embedder.spec
    digest = spec_hash(spec)
    spaces = [space for space in catalogue.spaces() if space.spec_hash == digest]
    files = embedder.files if isinstance(embedder, HasFiles) else ()
    return ModelRow(
        name=name,
        version=spec.version,
        tasks=spec.tasks,
        dims={head.name: head.dim for head in spec.heads},
        side=spec.preprocessing.side,
        licence=spec.licence,
        bytes=sum(path.stat().st_size for path in files if path.exists()),
        pictures=catalogue.embedded(spaces[0]) if spaces else 0,
        in_use=in_use,
        measured=read_figure(catalogue, digest),
        reached=PUBLISHED[name].reached if name in PUBLISHED else None,
    )


def row_of_published(model: Published) -> ModelRow:
    """Return the row of a model that is not here yet; its bytes are about what is downloaded."""
    return ModelRow(
        name=model.name,
        version="",
        tasks=model.tasks,
        dims={"semantic": model.dim},
        side=model.spec.preprocessing.side,
        licence=model.licence,
        bytes=model.megabytes * 1_000_000,
        pictures=0,
        in_use=False,
        here=False,
        reached=model.reached,
    )
