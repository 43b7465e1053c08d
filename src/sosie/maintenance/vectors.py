"""The vectors of a space as files for other programs: NumPy or Parquet, ids and pictures beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie import files
from sosie.catalogue import Space, Store
from sosie.catalogue.opening import in_folder
from sosie.errors import UsageError
from sosie.types import FloatMatrix, Ids

__all__ = ["FORMATS", "Vectors", "live_vectors", "vectors_of", "write_vectors"]


class Vectors:
    """Vectors (n, dim) under ``ids`` (n,), ascending, and the picture of each; of whole pictures both are the same."""

    def __init__(self, ids: Ids, pictures: Ids, vectors: FloatMatrix) -> None:
        self.ids, self.pictures, self.vectors = ids, pictures, vectors


def live_vectors(catalogue: Store, space: Space) -> tuple[Ids, FloatMatrix]:
    """Return ids (n,) and vectors (n, dim) of all live pictures in a space, or of their regions, in order of id."""
    ids, vectors = catalogue.vectors(space)
    live = catalogue.live_ids() if space.regions == "whole" else in_folder(catalogue).live_rows(space)
    alive = np.isin(ids, live, assume_unique=True)
    return ids[alive], vectors[alive]


def vectors_of(catalogue: Store, space: Space) -> Vectors:
    """Return the live vectors of a space; pictures in which nothing was found have none in one of regions."""
    ids, vectors = live_vectors(catalogue, space)
    if space.regions == "whole":
        found = Vectors(ids, ids, vectors)
    else:
        regions, owners, sure = in_folder(catalogue).region_facts(space)
        at = np.searchsorted(regions, ids)
        seen = sure[at] > 0  # what stands for a picture without any is the whole of it, and of no use elsewhere
        found = Vectors(ids[seen], owners[at][seen], vectors[seen])
    if not len(found.ids):
        raise UsageError(f"{space.name} holds no vectors yet, so there is nothing to export: `sosie add FOLDER`")
    return found


def write_vectors(found: Vectors, path: Path, form: str, *, uris: Callable[[], Mapping[int, str]]) -> list[Path]:
    """Write vectors to ``path`` as npz, npy or parquet; return the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FORMATS[form](found, path, uris)


def _npz(found: Vectors, path: Path, _uris: Any) -> list[Path]:
    with files.writing(path) as file:  # NumPy would add a suffix of its own
        np.savez(file, ids=found.ids, pictures=found.pictures, vectors=found.vectors)
    return [path]


def _npy(found: Vectors, path: Path, _uris: Any) -> list[Path]:
    arrays: dict[str, npt.NDArray[Any]] = {"": found.vectors, ".ids": found.ids, ".pictures": found.pictures}
    written = []
    for name, array in arrays.items():
        place = path.with_suffix(f"{name}.npy") if name else path
        with files.writing(place) as file:
            np.save(file, array, allow_pickle=False)
        written.append(place)
    return written


def _parquet(found: Vectors, path: Path, uris: Callable[[], Mapping[int, str]]) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = uris()
    flat = pa.array(found.vectors.ravel())
    table = {
        "id": pa.array(found.ids),
        "picture": pa.array(found.pictures),
        "uri": pa.array([named.get(int(each), "") for each in found.pictures]),
        "vector": pa.FixedSizeListArray.from_arrays(flat, found.vectors.shape[1]),
    }
    pq.write_table(pa.table(table), path)
    return [path]


FORMATS: Mapping[str, Callable[[Vectors, Path, Callable[[], Mapping[int, str]]], list[Path]]] = {
    "npz": _npz,
    "npy": _npy,
    "parquet": _parquet,
}
