"""One model of a library, with all that hangs on it: its spaces, its decode workers, its questions, its copies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sosie.analysis.regions import RegionExtractor, shown
from sosie.analysis.worker import analysis_params
from sosie.catalogue import Space, Store, View
from sosie.contracts import Embedder
from sosie.decode import DecodePool
from sosie.decode.limits import Limits
from sosie.decode.pool import query_workers
from sosie.query.encode import Asked, QueryEncoder
from sosie.query.likeness import LikenessScale
from sosie.search import Searcher
from sosie.types import Classification, FloatMatrix, Picture, Region

if TYPE_CHECKING:
    from sosie.copies.service import Copies
    from sosie.query.pixels import LibraryPixels
    from sosie.query.verifier import HitJudge

__all__ = ["Engine", "EngineSetting"]


@dataclass(frozen=True, slots=True)
class EngineSetting:
    """What the engines of one library share.

    ``view`` gives the searchable view of a space, ``read`` the bytes of a picture of the library, ``read_here`` only of
    one whose file lies on this machine; ``limits`` say what decoding one may cost.
    """

    catalogue: Store
    folder: Path
    view: Callable[[Space], View]
    read: Callable[[int], bytes]
    read_here: Callable[[int], bytes]
    limits: Limits


class Engine:
    """What answers with one model. A swap is another engine: a question that has begun is answered by its own.

    Thread-safe; constructing it starts nothing.
    """

    def __init__(self, name: str, embedder: Embedder, setting: EngineSetting) -> None:
        self.name, self.embedder = name, embedder
        self._catalogue, self._folder = setting.catalogue, setting.folder
        self._view, self._read, self.limits = setting.view, setting.read, setting.limits
        self._read_here = setting.read_here
        self._lock = threading.RLock()
        self._pool: DecodePool | None = None

    def close(self) -> None:
        """End the decode workers."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    @cached_property
    def spaces(self) -> list[Space]:
        """The model's spaces over whole pictures, one a head; searches go to the first."""
        return self._catalogue.ensure_spaces(self.embedder.spec)

    @property
    def space_ids(self) -> list[int]:
        """The ids of the model's spaces."""
        return [space.id for space in self.spaces]

    @property
    def params(self) -> Mapping[str, Any]:
        """What the decode workers have to know of the model."""
        return analysis_params(self.embedder.spec.preprocessing)

    @property
    def queries(self) -> DecodePool:
        """The decode workers that serve queries. They start at once; asking early hides their start."""
        with self._lock:
            if self._pool is None:
                self._pool = DecodePool(
                    1,
                    analyse="sosie.analysis.worker:analyse_query",
                    params=self.params,
                    limits=self.limits.interactive(),
                    most=query_workers(),
                )
            return self._pool

    def analyse(self, data: bytes) -> dict[str, Any]:
        """Decode one picture in a worker and return all that is made of it; raise BadPicture."""
        return dict(self.queries.submit(data).result())

    def detect(self, asked: Asked) -> list[Region]:
        """Return the objects in a picture, in the order by which `Parts.object` counts them; raise UsageError."""
        ((_, picture),) = self.encoder.pictures([asked])
        return shown(self.extractor.detector.detect(picture.pixels))

    def warm_up(self) -> None:
        """Start the decode workers and load the index and the network, which the first question would wait for."""
        self._view(self.spaces[0]).warm_up()
        _ = self.queries
        self.embedder.embed([Picture(np.full((8, 8, 3), 128, np.uint8), 8, 8)])

    def start_pool(self, analyse: str, workers: int, wanted: Mapping[str, Any] | None = None) -> DecodePool:
        """Start workers that see pictures as this model does, and are told what else is ``wanted``; close them."""
        return DecodePool(workers, analyse=analyse, params={**self.params, **(wanted or {})}, limits=self.limits)

    @cached_property
    def extractor(self) -> RegionExtractor:
        """Finds regions in pictures: the library's detector, its segmenter, the kinds of regions that it keeps."""
        return RegionExtractor(self._catalogue, self.embedder)

    @cached_property
    def encoder(self) -> QueryEncoder:
        """Turns what people ask into vectors of the first space."""
        return QueryEncoder(
            catalogue=self._catalogue,
            view=self._view(self.spaces[0]),
            embedder=self.embedder,
            extractor=self.extractor,
            pool=lambda: self.queries,
            read=self._read,
        )

    def searcher(
        self, classify: Callable[[str | None, Sequence[tuple[str, Picture]]], list[Classification]]
    ) -> Searcher:
        """Return the parts that a search with this model goes through."""
        return Searcher(
            catalogue=self._catalogue,
            space=self.spaces[0],
            view=self._view,
            encoder=self.encoder,
            extractor=self.extractor,
            judge=lambda: self.judge,
            classify=classify,
            likeness=self.likeness,
        )

    @cached_property
    def likeness(self) -> LikenessScale:
        """Says how unusual a likeness is on this library."""
        return LikenessScale(self._catalogue, self._view(self.spaces[0]), self._folder / "likeness.json")

    @cached_property
    def pixels(self) -> LibraryPixels:
        """Gives the luminance of pictures of the library, for the judge."""
        from sosie.query.pixels import LibraryPixels

        return LibraryPixels(self._read_here, lambda: self.queries, self._greys, elsewhere=self._read)

    def _greys(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        from sosie.analysis.features import GREY

        return self._catalogue.features(ids, version=GREY)

    @cached_property
    def judge(self) -> HitJudge:
        """Judges what a search found; it reads no picture that lies elsewhere than on this machine."""
        from sosie.query.pixels import LibraryPixels
        from sosie.query.verifier import HitJudge

        space = self.spaces[-1]
        return HitJudge(
            lambda: self.copies.finder,
            catalogue=self._catalogue,
            model=space.name,
            nearest=lambda queries, k: self._view(space).search(queries, k),
            vector=lambda content_id: self._catalogue.vector(space, content_id),
            pixels=LibraryPixels(self._read_here, lambda: self.queries, self._greys),
        )

    @cached_property
    def copies(self) -> Copies:
        """Everything about altered copies, by the model's last space: the head trained for copies, where it has one."""
        from sosie.copies.service import Copies, Host

        space = self.spaces[-1]
        return Copies(
            Host(
                catalogue=self._catalogue,
                folder=self._folder,
                model=space.name,
                params=self.params,
                read=self._read,
                pool=self.start_pool,
                embed=self._copy_vectors,
                nearest=lambda queries, k: self._view(space).search(queries, k),
                pixels=self.pixels,
                vectors=lambda: self._catalogue.vectors(space),
            )
        )

    def _copy_vectors(self, pictures: Sequence[Picture]) -> FloatMatrix:
        first = sum(space.dim for space in self.spaces[:-1])
        return self.embedder.embed(pictures)[:, first:]
