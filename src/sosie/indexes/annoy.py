"""Annoy: a forest of random splits in one file that is mapped, not read."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

import numpy as np

from sosie.errors import UsageError
from sosie.extras import missing
from sosie.indexes.base import RowIndex, Space
from sosie.indexes.flat import Metric, Rows, rerank
from sosie.types import FloatMatrix

__all__ = ["METRICS", "AnnoyIndex", "AnnoyMetric"]

_FILE = "annoy.ann"
AnnoyMetric: TypeAlias = Literal["angular", "euclidean", "dot", "manhattan", "hamming"]
METRICS: tuple[str, ...] = get_args(AnnoyMetric)


class AnnoyIndex(RowIndex):
    """Approximate nearest neighbours, oh yeah (Bernhardsson 2013), from the annoy package.

    ``n_trees`` and ``search_k`` are Annoy's own; ``search_k`` -1 is n_trees × k. The first three metrics
    order unit vectors alike and score by inner product; ``manhattan`` and ``hamming`` (of the signs) score
    by minus the distance.
    """

    kind: ClassVar[str] = "annoy"
    least: ClassVar[int] = 64
    build_space: ClassVar[Space] = {"n_trees": (25, 50, 100)}
    search_space: ClassVar[Space] = {"search_k": (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)}

    def __init__(
        self,
        *,
        metric: AnnoyMetric = "angular",
        n_trees: int = 50,
        search_k: int = -1,
        seed: int = 0,
    ) -> None:
        if metric not in METRICS:
            raise UsageError(f"annoy knows {', '.join(METRICS)}, not {metric!r}")
        if n_trees < 1:
            raise UsageError(f"annoy needs at least one tree, not {n_trees}")
        if search_k < 1 and search_k != -1:
            raise UsageError(f"annoy takes search_k from 1 up, or -1 for n_trees × k, not {search_k}")
        super().__init__({"metric": metric, "n_trees": n_trees, "search_k": search_k, "seed": seed})
        self._forest: Any = None
        self._file = Path()
        self._scratch: TemporaryDirectory[str] | None = None

    @property
    def metric(self) -> Metric:
        """What a score is."""
        name = self._params["metric"]
        return cast("Metric", name) if name in ("manhattan", "hamming") else "dot"

    def export(self, folder: Path) -> Path:
        """Write ``{dim}-{metric}-{trees}.ann`` for plain Annoy, with ids.npy and vectors.npy beside; return its path.

        Annoy's item i is row i of both arrays.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{self.dim}-{self._params['metric']}-{self._params['n_trees']}.ann"
        if not self._has_structure:
            self._build(self._vectors)
        self._copy_to(target)
        np.save(folder / "ids.npy", self._ids, allow_pickle=False)
        np.save(folder / "vectors.npy", self._vectors, allow_pickle=False)
        return target

    def _build(self, vectors: FloatMatrix) -> None:
        forest = self._empty_forest(vectors.shape[1])
        forest.set_seed(self._params["seed"])
        for row, vector in enumerate(self._as_annoy(vectors)):
            forest.add_item(row, vector)
        # One thread: with several, the order in which they finish decides the file.
        forest.build(self._params["n_trees"], 1)
        # Annoy's save swaps the memory that searches read, so it is done once, before there are any.
        self._scratch = TemporaryDirectory(prefix="sosie-annoy-")
        self._file = Path(self._scratch.name) / _FILE
        forest.save(str(self._file))
        self._forest = forest

    def _search(self, queries: FloatMatrix, k: int) -> tuple[Rows, FloatMatrix]:
        return self._nearest(queries, k, self._params["search_k"])

    def _search_deeper(self, queries: FloatMatrix, k: int, fetch: int) -> tuple[Rows, FloatMatrix]:
        effort = self._params["search_k"]  # what finds k of them; -1 grows with what is fetched by itself
        return self._nearest(queries, fetch, effort if effort < 0 else effort * fetch // k)

    def _nearest(self, queries: FloatMatrix, k: int, search_k: int) -> tuple[Rows, FloatMatrix]:
        near = []
        for query in self._as_annoy(queries):
            found = self._forest.get_nns_by_vector(query, k, search_k)
            near.append(found + (k - len(found)) * [-1])
        # Annoy's own distances are off by up to 1e-4, which is more than neighbours of a dense collection differ.
        return rerank(self._vectors, queries, np.array(near, np.int64), k, self.metric)

    def _save(self, folder: Path) -> None:
        self._copy_to(folder / _FILE)

    def _copy_to(self, target: Path) -> None:
        shutil.copyfile(self._file, target)

    def _load(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._forest = self._empty_forest(self._vectors.shape[1])
        self._forest.load(str(self._file))

    def _empty_forest(self, dim: int) -> Any:
        try:
            from annoy import AnnoyIndex as Forest
        except ModuleNotFoundError as error:
            raise missing("this index needs annoy", "annoy") from error
        return Forest(dim, self._params["metric"])

    def _as_annoy(self, vectors: FloatMatrix) -> FloatMatrix:
        return (vectors > 0).astype(np.float32) if self._params["metric"] == "hamming" else vectors
