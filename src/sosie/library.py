"""A library: a folder that holds a catalogue, its indexes, thumbnails and models, and everything one does with it.

`Library` joins the parts, each of which gets what it needs by value. `sosie.ingest` and `sosie.search` tell the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from sosie.analysis.regions import Parts, RegionExtractor
from sosie.analysis.thumbnails import thumbnails_at
from sosie.catalogue import Space, View
from sosie.catalogue.opening import open_catalogue
from sosie.contracts import Embedder
from sosie.decode.limits import Limits, limits_of
from sosie.elastic import Cluster, folder_of, read_url
from sosie.embedders.store import ModelStore
from sosie.ingest import AddReport, Progress
from sosie.maintenance.browsing import Browsable
from sosie.maintenance.file_indexes import adopt, drop_index
from sosie.maintenance.indexes import Indexes
from sosie.maintenance.indexes_of import indexes_of
from sosie.maintenance.labels import LabelEditor
from sosie.maintenance.pictures import Pictures
from sosie.maintenance.processes import Reopens
from sosie.maintenance.sources import Sources
from sosie.maintenance.tags import Tags
from sosie.maintenance.vectors import live_vectors
from sosie.maintenance.views import Views
from sosie.models.adding import Adder, AddOptions, Quarantine
from sosie.models.classifier import Classifiers
from sosie.models.engine import Engine, EngineSetting
from sosie.models.engines import Engines
from sosie.models.in_memory import Given, opened_source
from sosie.models.service import Models
from sosie.models.uploads import Uploads
from sosie.query.convert import Query, queries_in, to_query, to_query_with
from sosie.query.encode import Asked, Decoding
from sosie.search import SearchOptions, Wanted, search
from sosie.types import Classification, FloatMatrix, Ids, LabelValue, Region, SearchResult

if TYPE_CHECKING:
    from sosie.copies.service import Copies

__all__ = ["AddReport", "Asked", "Library", "Progress", "folder_of", "open"]


def open(
    path: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    create: bool = True,
    read_only: bool = False,
    patience: float | None = None,
    check_recall: float = 0.0,
    cluster: Cluster | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Library:
    """Open the library at ``path`` (default: $SOSIE_LIBRARY, else ./sosie-library), making it where there is none.

    ``path`` is a folder, or ``elasticsearch://host:9200/name``. ``model`` names an embedder, or the JSON description of
    an ONNX file: a new library is made with it; one that uses another is seen through it without being changed
    (`lib.models.use` does that). None takes the model in use. ``cluster`` holds the library where ``path`` does not say
    so; ``patience`` is how many seconds a question may wait for it. ``check_recall`` is the share of searches whose
    recall is checked in the background (`View.recall_in_service`). ``threads`` is how many cores the network may
    use: all, where it is None; where it is given, as by a server, callers that come at once go through it together.
    ``limits`` say what decoding one picture may cost (default: `limits_of` the environment).
    Raises NotFound, NewerSchema, DamagedError, UnknownName, ServiceAway, UsageError.
    """
    place = path or os.environ.get("SOSIE_LIBRARY") or "sosie-library"
    cluster = cluster or read_url(os.fspath(place))
    if cluster and patience:
        cluster = replace(cluster, patience=patience)
    return Library(
        folder_of(place),
        model=model,
        create=create,
        read_only=read_only,
        cluster=cluster,
        check_recall=check_recall,
        threads=threads,
        limits=limits,
    )


class Library(Browsable, Reopens):
    """A collection of pictures that can be searched. Reading from several threads at once is safe.

    Its catalogue lies in the folder, on SQLite, or on a ``cluster``; then the folder holds what is derived only. What
    is done less often lies with its parts: ``pictures`` (calling it lists records; bytes, thumbnails), ``labels``
    (calling it counts them), ``quarantine`` (calling it lists what was refused), ``uploads``, ``sources`` (the roots
    that pictures came by), ``models`` (the swap, catching up), ``classifiers``, ``indexes``, ``copies``.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: str | None = None,
        create: bool = True,
        read_only: bool = False,
        cluster: Cluster | None = None,
        check_recall: float = 0.0,
        threads: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.path, self.limits, self._cluster = path, limits or limits_of(), cluster
        self.catalogue = open_catalogue(path, cluster, create=create, read_only=read_only)
        adopt(path, self.catalogue)
        store = ModelStore(path / "models")
        self._views = Views(self.catalogue, path, check_recall=check_recall)
        self.pictures = Pictures(
            self.catalogue,
            originals=path / "originals",
            thumbnails=thumbnails_at(path / "thumbnails", cluster.thumbnails if cluster else None),
            decode=lambda data: self.engine.analyse(data)["working"],
        )
        setting = EngineSetting(
            self.catalogue,
            path,
            self._views.of,
            self.pictures.read,
            partial(self.pictures.read, here=True),
            self.limits,
        )
        self._engines = Engines(setting, store, model=model, threads=threads)
        self.uploads = Uploads(self.catalogue, None if cluster else path, read=self.pictures.read)
        self.quarantine = Quarantine(self.catalogue, self._adder)
        self.labels = LabelEditor(self.catalogue)
        self.sources = Sources(self.catalogue)
        self.models = Models(
            self.catalogue,
            store,
            through=self.with_model,
            adder=self._adder,
            drop_index=partial(drop_index, path),
        )
        self.classifiers = Classifiers(self.catalogue, store, encoder=lambda: self.engine.encoder)

    def _adder(self) -> Adder:
        return Adder(self.catalogue, self.engine, read=self.pictures.read)

    def close(self) -> None:
        """End the workers and close the catalogue; what is asked then raises LibraryClosed. It may be called again."""
        self._stay_closed()
        self._engines.close()
        self._views.close()
        self.catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def engine(self) -> Engine:
        """What answers: the model that this was opened with, else the one in use, which another process may change."""
        return self._engines.current

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self.engine.name

    @property
    def embedder(self) -> Embedder:
        """The network that this library embeds with."""
        return self.engine.embedder

    @property
    def extractor(self) -> RegionExtractor:
        """What finds regions in pictures: the detector, the segmenter, the kinds of regions that are kept."""
        return self.engine.extractor

    @property
    def spaces(self) -> list[Space]:
        """The spaces of this library's embedder over whole pictures, one a head."""
        return self.engine.spaces

    @property
    def space(self) -> Space:
        """The space that searches go to: the embedder's first head over whole pictures."""
        return self.spaces[0]

    def with_model(self, name: str) -> Library:
        """Return this library seen through another model, to be closed by the caller; raise UnknownName."""
        read_only = self.catalogue.read_only
        return Library(
            self.path, model=name, create=False, read_only=read_only, cluster=self._cluster, limits=self.limits
        )

    @property
    def indexes(self) -> Indexes:
        """The main indexes: building, tuning, keeping up, dropping, exporting; versions of them on a cluster."""
        return indexes_of(self.catalogue, self.path, space=self.space, view=self._views.of, extractor=self.extractor)

    @property
    def tags(self) -> Tags:
        """What the network recognised in the pictures: counting it, telling it anew, turning it off."""
        return Tags(self.catalogue, self.embedder, self.space)

    @property
    def copies(self) -> Copies:
        """Everything about altered copies: finding and proving them, comparing two, duplicates, calibration."""
        return self.engine.copies

    # -------------------------------------------------------------------------------------------- adding

    def add(
        self,
        source: Given,
        *,
        on: str | None = None,
        ids: Sequence[str | int] | None = None,
        **options: Unpack[AddOptions],
    ) -> AddReport:
        """Add the pictures of a source; what is known and unchanged costs no reading and no embedding.

        `sosie.models.in_memory.Given` says what a source may be: a folder, an address, a DataFrame whose column ``on``
        says where pictures are and whose others become labels, a list of images, with ``ids`` of your own (the label
        ``id``). `AddOptions` says what the options mean. A file that cannot become a picture goes to the quarantine and
        never stops a run. Raises SourceUnreachable, LibraryBusy, LibraryReadOnly, DiskFull, ServiceAway, UsageError.
        """
        with opened_source(source, self.uploads, on=on, ids=ids) as opened:
            return self._adder().add(opened, **options)

    def add_bytes(self, data: bytes, *, labels: Mapping[str, LabelValue] | None = None) -> tuple[int, str]:
        """Add one picture given by its bytes, kept in the library's own folder; return its id and what became of it.

        The outcome is ``indexed`` or ``known``. Raises BadPicture for bytes that are no picture.
        """
        return self.uploads.add(data, self.engine, labels=labels)

    def remove(self, pictures: Sequence[int | str]) -> int:
        """Forget pictures, by id or URI, with what the library keeps of them; return how many were known.

        Files outside the library's folder are never touched.
        """
        forgotten = self.pictures.forget(pictures)
        for record in forgotten:
            self.uploads.drop(record)
        return len(forgotten)

    # -------------------------------------------------------------------------------------------- searching

    @overload
    def search(
        self, query: list[Any], *, text: str | None = None, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]: ...
    @overload
    def search(
        self, query: Query | None = None, *, text: str | None = None, **options: Unpack[SearchOptions]
    ) -> SearchResult: ...
    def search(
        self, query: Query | None = None, *, text: str | None = None, **options: Unpack[SearchOptions]
    ) -> SearchResult | list[SearchResult]:
        """Return the ``k`` (10) pictures most like ``query``, best first; of a list of queries, one result each.

        `sosie.query.convert.Query` says what a query may be: a path, a PIL image, an array, a vector, an id …
        ``text`` searches by words, or sentences where the model has a text tower; with a query, they are added to it.
        `SearchOptions` says what the options mean, such as ``where="label = 'cat'"`` or ``box=(0, 0, 0.5, 0.5)``.
        Hits that are no more alike than unrelated pictures of this library are ``weak`` (docs/explanation/measures.md).
        Raises NotFound, BadPicture, FilterError, UsageError, WrongType (a TypeError).
        """
        several = queries_in(query)
        if several is None:
            return self.search_many([to_query_with(query, text)], **options)[0]
        return self.search_many([to_query_with(each, text) for each in several], **options)

    def search_many(self, queries: Sequence[Query], **options: Unpack[SearchOptions]) -> list[SearchResult]:
        """Answer several queries at once, in their order; how long it took is shared out among them."""
        started = time.perf_counter()
        asked = [to_query(each) for each in queries]
        found = search(asked, Wanted.of(**options), self.engine.searcher(self.classifiers.of_pictures))
        total = (time.perf_counter() - started) * 1000 / max(1, len(asked))
        return [replace(result.lasting(total), draw=self.pictures.cards) for result in found]

    def embed(self, query: Query) -> FloatMatrix:
        """Return the unit vector (dim,) that a query is searched by; of a list of queries, their vectors (n, dim)."""
        several = queries_in(query)
        asked = [to_query(query)] if several is None else [to_query(each) for each in several]
        vectors = self.engine.encoder.vectors(asked)
        return vectors.reshape(-1) if several is None else vectors

    def classify(self, query: Query, *, classifier: str | None = None, parts: Parts | None = None) -> Classification:
        """Return the classes of a picture with their probabilities, likeliest first.

        ``classifier`` is a model's name or a package's folder; None takes the library's own: the model in use where it
        tells classes, else the only one of its models that does. Raises UsageError, NotFound, BadPicture.
        """
        return self.classifiers.classify([to_query(query)], classifier, parts=parts)[0]

    def detect(self, query: Query) -> list[Region]:
        """Return the objects in a picture, in the order by which `Parts.object` counts them; raise UsageError."""
        return self.engine.detect(to_query(query))

    def decode_ahead(self, data: bytes, *, whole: bool = True) -> Decoding:
        """Begin to decode a picture, without waiting for it: a query that ``search`` takes in place of its bytes.

        ``whole`` False gets what a search by parts of it needs.
        """
        return self._engines.latest.encoder.decode_ahead(data, whole=whole)

    def view(self, space: Space | None = None) -> View:
        """Return the searchable view of a space (the library's own by default)."""
        return self._views.of(space or self.space)

    def vectors(self, space: Space | None = None) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of all live pictures, in order of id."""
        return live_vectors(self.catalogue, space or self.space)

    def stats(self) -> dict[str, Any]:
        """Return what the library holds and how it answers."""
        return {
            "path": str(self.path),
            "model": self.model,
            **self.catalogue.counts(),
            "spaces": [{"name": s.name, "dim": s.dim} for s in self.catalogue.spaces()],
            "index": self._views.describe(self.space),
            "recall_in_service": (running := self.view().recall_in_service) and running.to_json(),
        }
