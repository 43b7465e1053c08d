"""A library: a folder that holds a catalogue, its indexes, thumbnails and models, and everything one does with it."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import numpy as np

from sosie.analysis.regions import Parts, RegionExtractor, shown
from sosie.analysis.thumbnails import FolderThumbnails, StoredThumbnails
from sosie.catalogue import Catalogue, Condition, PictureRecord, QuarantineRow, Space, Store, View
from sosie.contracts import Embedder, SharesCores, Source
from sosie.decode import DecodePool
from sosie.decode.limits import Limits, limits_of
from sosie.elastic import Cluster, read_url
from sosie.embedders.bundled import bundled_name
from sosie.embedders.choose import embedder_of, full_name, remembered
from sosie.embedders.store import ModelStore
from sosie.errors import SosieError, UsageError
from sosie.indexes.monitor import Running
from sosie.ingest import AddReport, Progress, ingest
from sosie.maintenance.indexes import Indexing, adopt, index_stamp, open_index
from sosie.maintenance.pictures import Pictures
from sosie.models.classifier import RECORD as CLASSIFIER
from sosie.models.classifier import Classifier, find_classifier
from sosie.models.engine import Engine
from sosie.models.service import Models
from sosie.models.uploads import Uploads
from sosie.query.class_first import ClassFirst
from sosie.query.encode import Asked, Decoding, bytes_of, with_words
from sosie.query.view import SpaceView
from sosie.registry import nearest
from sosie.search import Wanted, search
from sosie.sources import SourceOptions, open_source
from sosie.sources.again import KnownPlaces, OwnPictures
from sosie.types import (
    Box,
    Classification,
    FloatMatrix,
    Ids,
    ImageRef,
    LabelValue,
    Picture,
    Pixels,
    Region,
    SearchResult,
)

if TYPE_CHECKING:
    from sosie.catalogue.elastic import ElasticCatalogue
    from sosie.copies.service import Copies
    from sosie.maintenance.sources import Sources
    from sosie.ray import Fleet

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
    recall is checked in the background (`Library.recall_in_service`). ``threads`` is how many cores the network may
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


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Return the folder that goes with a library on this machine.

    Of one on a cluster, that is a folder below the user's cache that holds nothing but what can be made again.
    """
    cluster = read_url(os.fspath(path))
    if cluster is None:
        return Path(path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sosie" / f"{cluster.name}-{hashlib.sha256(str(cluster).encode()).hexdigest()[:12]}"


class Library:
    """A collection of pictures that can be searched. Reading from several threads at once is safe.

    Its catalogue lies in the folder, on SQLite, or on a ``cluster``; then the folder holds what is derived only.
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
        self.path = path
        self.limits = limits or limits_of()
        self._check_recall, self._threads = check_recall, threads
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; a library is a folder")
        if create and not read_only:
            path.mkdir(parents=True, exist_ok=True)
        self.catalogue = _open_catalogue(path, cluster, create=create, read_only=read_only)
        if isinstance(self.catalogue, Catalogue) and self.catalogue.adopts:
            adopt(path, self.catalogue)
        self._cluster = cluster
        self.shelf = ModelStore(path / "models")
        self._lock = threading.RLock()
        self._uploads = Uploads(self.catalogue, path, read=self.read)
        self._views: dict[int, View] = {}
        self._classifiers: dict[str, Classifier] = {}
        self._engines: list[Engine] = []  # the one in use last; the one before it may be answering still
        self._epoch = -1
        self._pinned = None if model is None else full_name(model)
        self._remember(self._pinned)

    @property
    def on_cluster(self) -> bool:
        """Tell whether the library lies on a cluster, and this machine holds nothing of it."""
        return not isinstance(self.catalogue, Catalogue)

    @property
    def cluster(self) -> ElasticCatalogue:
        """The catalogue, where it lies on a cluster; raise UsageError where it is a file."""
        from sosie.catalogue.elastic import ElasticCatalogue

        if isinstance(self.catalogue, ElasticCatalogue):
            return self.catalogue
        raise UsageError("only a library on a cluster keeps versions of its index")

    @property
    def files(self) -> Catalogue:
        """The catalogue, where it is a file of this folder; raise UsageError where it lies on a cluster."""
        if isinstance(self.catalogue, Catalogue):
            return self.catalogue
        raise UsageError("this works on the files of a library in a folder, and this one lies on a cluster")

    def close(self) -> None:
        """End the workers and close the catalogue."""
        with self._lock:
            while self._engines:
                self._engines.pop().close()
            for view in self._views.values():
                if isinstance(view, SpaceView):
                    view.close()
        self.catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------- the model in use

    def _remember(self, model: str | None) -> None:
        """Make a new library with ``model``; raise UnknownName, or NotFound where that has to be downloaded first."""
        if model is not None:
            embedder_of(model, self.shelf)  # an unknown name is not remembered
        known = self.catalogue.record("library") or {}
        if "model" not in known and not self.catalogue.read_only:
            self.catalogue.put_record("library", {**known, **remembered(model or "bundled")})

    @property
    def model_in_use(self) -> str:
        """The name of the model that the library answers with, whatever this object was opened with."""
        record = self.catalogue.record("library") or {}
        name = str(record.get("model") or "bundled")
        return bundled_name(record, [space.name for space in self.catalogue.spaces()]) if name == "bundled" else name

    @property
    def engine(self) -> Engine:
        """What answers: the model that this was opened with, else the one in use, which another process may change."""
        epoch = self.catalogue.epoch()
        with self._lock:
            if not self._engines or (self._pinned is None and epoch != self._epoch):
                self._engage(self._pinned or self.model_in_use)
                self._epoch = epoch
            return self._engines[-1]

    def _engage(self, name: str) -> None:
        kept = [engine for engine in self._engines if engine.name != name]
        same = [engine for engine in self._engines if engine.name == name]
        while len(kept) > 1:  # a question lives shorter than two swaps
            kept.pop(0).close()
        self._engines = kept + (same or [self._make_engine(name)])

    def _make_engine(self, name: str) -> Engine:
        embedder = embedder_of(name, self.shelf)
        if self._threads is not None and isinstance(embedder, SharesCores):
            embedder.share_cores(self._threads)
        return Engine(
            name,
            embedder,
            catalogue=self.catalogue,
            folder=self.path,
            view=self.view,
            read=self.read,
            limits=self.limits,
        )

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self.engine.name

    @property
    def embedder(self) -> Embedder:
        """The network that this library embeds with."""
        return self.engine.embedder

    @property
    def space(self) -> Space:
        """The space that searches go to: the embedder's first head over whole pictures."""
        return self.spaces[0]

    @property
    def spaces(self) -> list[Space]:
        """The spaces of this library's embedder over whole pictures, one a head."""
        return self.engine.spaces

    # -------------------------------------------------------------------------------------------- other models

    @property
    def models(self) -> Models:
        """The models of this library: what there is, adding and removing one, and the swap."""
        return Models(self)

    def with_model(self, name: str) -> Library:
        """Return this library seen through another model, to be closed by the caller; raise UnknownName."""
        read_only = self.catalogue.read_only
        return Library(
            self.path, model=name, create=False, read_only=read_only, cluster=self._cluster, limits=self.limits
        )

    def lacking(self) -> int:
        """Return how many pictures the model has not embedded yet."""
        return len(self.catalogue.places_lacking([space.id for space in self.spaces]))

    def catch_up(
        self,
        *,
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> AddReport:
        """Embed the pictures that the model has not seen; those that are away count as missing and stay as they are.

        A run that was stopped goes on where it ended.
        """
        by_root: defaultdict[str, list[tuple[int, ImageRef]]] = defaultdict(list)
        for root, content_id, ref in self.catalogue.places_lacking([space.id for space in self.spaces]):
            by_root[root].append((content_id, ref))
        report = AddReport()
        with self._ingesting(workers) as run:  # each upload has a root of its own
            for root, pictures in sorted(by_root.items()):
                source = OwnPictures(root, pictures, read=self.read)
                report += run(source, progress=_onwards(progress, report.seen), stop=stop)
        return report

    @property
    def sight(self) -> RegionExtractor:
        """What the library sees in pictures: its detector, its segmenter, the kinds of regions that it keeps."""
        return self.engine.sight

    # -------------------------------------------------------------------------------------------- adding

    def add(
        self,
        source: str | os.PathLike[str] | Source,
        *,
        sync: bool = False,
        forget_all: bool = False,
        label_from_folders: bool = False,
        labels: Mapping[str, LabelValue] | None = None,
        again: bool = False,
        regions: Sequence[str] = (),
        workers: int | None = None,
        fleet: Fleet | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> AddReport:
        """Add the pictures of a source; what is known and unchanged costs no reading and no embedding.

        ``sync`` forgets pictures below the source that are gone, nearly all of many only with ``forget_all``, since a
        drive that is away looks the same; ``again`` looks once more at files that seem unchanged
        or were refused, and asks servers whether theirs have changed. A file that cannot become a picture goes to the
        quarantine and never stops a run. ``regions`` (objects, pooled, mask:CLASS) are found and embedded, too, from
        now on, and in those pictures of the source that lack them. With a ``fleet`` (`sosie.ray.connect`) the workers
        of a Ray cluster read, decode and embed. Raises SourceUnreachable, LibraryBusy, LibraryReadOnly, DiskFull,
        ServiceAway.
        """
        opened = source if isinstance(source, Source) else _open_source(source, label_from_folders=label_from_folders)
        engine = self.engine
        if regions:
            engine.sight.keep(regions)
        if fleet is not None:
            opened = self._dispatched(opened, fleet, engine, stop)
        with self._ingesting(workers) as run:
            return run(
                opened,
                sync=sync,
                forget_all=forget_all,
                labels=labels,
                again=again,
                progress=progress,
                stop=stop,
            )

    @contextmanager
    def _ingesting(self, workers: int | None) -> Iterator[Callable[..., AddReport]]:
        """Yield `ingest` into this library; its runs share decode workers, which start when they are first needed."""
        engine, pools = self.engine, list[DecodePool]()
        stages = engine.sight.stages()

        def pool() -> DecodePool:
            if not pools:
                # regions are cut from more pixels than the network's input has
                analyse = "analyse_query" if any(stage.wants_pixels for stage in stages) else "analyse"
                pools.append(engine.start_pool(f"sosie.analysis.worker:{analyse}", workers or os.cpu_count() or 1))
            return pools[0]

        try:
            yield partial(ingest, catalogue=self.catalogue, embedder=engine.embedder, pool=pool, stages=stages)
        finally:
            for each in pools:
                each.close()

    def _dispatched(self, source: Source, fleet: Fleet, engine: Engine, stop: threading.Event | None) -> Source:
        from sosie.ray import RaySource

        if engine.sight.stages():
            raise UsageError("this library keeps regions, and they are found on one machine: leave out --ray")
        known = self.catalogue.digests([space.id for space in engine.spaces])
        return RaySource(source, fleet, embedder=engine.embedder, known=known, stop=stop, limits=self.limits)

    def add_bytes(self, data: bytes, *, labels: Mapping[str, LabelValue] | None = None) -> tuple[int, str]:
        """Add one picture given by its bytes, kept in the library's own folder; return its id and what became of it.

        The outcome is ``indexed`` or ``known``. Raises BadPicture for bytes that are no picture.
        """
        if self.on_cluster:
            raise UsageError(
                "a library on a cluster keeps no pictures: put it where all machines can read, and add that"
            )
        return self._uploads.add(data, self.engine, labels=labels)

    def remove(self, pictures: Sequence[int | str]) -> int:
        """Forget pictures, by id or URI, with what the library keeps of them; return how many were known.

        Files outside the library's folder are never touched.
        """
        located = [self.catalogue.located(each) for each in pictures if isinstance(each, str)]
        ids = {each for each in pictures if isinstance(each, int)} | {each.content_id for each in located if each}
        known = self.catalogue.pictures(sorted(ids))
        self.catalogue.remove([record.id for record in known])
        for record in known:
            self._pictures.drop_thumbnail(record.sha256)
            self._uploads.drop(record)
        return len(known)

    # -------------------------------------------------------------------------------------------- searching

    def search(
        self,
        query: Asked | None = None,
        *,
        text: str | None = None,
        k: int = 10,
        where: str | None = None,
        box: Box | None = None,
        parts: Parts | None = None,
        regions: Sequence[str] | None = None,
        verify: bool = True,
        index_params: Mapping[str, Any] | None = None,
        class_first: bool | ClassFirst = False,
        shares: Mapping[str, float] | None = None,
    ) -> SearchResult:
        """Return the ``k`` pictures most like ``query``, best first.

        ``text`` searches by words, or sentences where the model has a text tower; with a query, they are added to it.
        ``where`` filters by labels (docs/reference/where.md) before the top k are taken. ``box`` (x, y, width, height,
        each 0..1) searches for a part of the query, ``parts`` for objects and what a mask keeps. ``regions`` are the
        kinds that whole pictures are searched along with; None takes what fits. ``verify`` lays the query over each hit
        and says whether it is a copy and how sure that is, where the hit's local features are stored
        (`Copies.prepare`). ``index_params`` are search parameters of the main index for this question, such as
        ``search_k``. ``class_first`` searches within the class that the library's classifier gives the query; an
        unsure one is searched among all pictures, and ``asked["class"]`` says so. ``shares`` say how much whole
        pictures and each kind of parts count, such as ``{"whole": 0, "mask": 1}``; what is not named counts nothing.
        Raises NotFound, BadPicture, FilterError, UsageError.
        """
        return self.search_many(
            [with_words(query, text)],
            k=k,
            where=where,
            box=box,
            parts=parts,
            regions=regions,
            verify=verify,
            index_params=index_params,
            class_first=class_first,
            shares=shares,
        )[0]

    def search_many(
        self,
        queries: Sequence[Asked],
        *,
        k: int = 10,
        where: str | None = None,
        box: Box | None = None,
        parts: Parts | None = None,
        regions: Sequence[str] | None = None,
        verify: bool = True,
        index_params: Mapping[str, Any] | None = None,
        class_first: bool | ClassFirst = False,
        shares: Mapping[str, float] | None = None,
    ) -> list[SearchResult]:
        """Answer several queries at once, in their order; how long it took is shared out among them."""
        started = time.perf_counter()
        how = ClassFirst() if class_first is True else class_first or None
        whole = parts or Parts()
        wanted = Wanted(
            k=k,
            where=where,
            parts=replace(whole, box=box or whole.box),
            regions=regions,
            verify=verify,
            index_params=index_params or {},
            class_first=how,
            shares=shares,
        )
        found = search(queries, wanted, self.engine.searcher(self._classify))
        total = (time.perf_counter() - started) * 1000 / max(1, len(queries))
        return [replace(result.lasting(total), draw=self._drawn) for result in found]

    def _classify(self, name: str | None, pictures: Sequence[tuple[str, Picture]]) -> list[Classification]:
        return self._classifier(name).classify(pictures)

    def classify(self, query: Asked, *, classifier: str | None = None, parts: Parts | None = None) -> Classification:
        """Return the classes of a picture with their probabilities, likeliest first.

        ``classifier`` is a model's name or a package's folder; None takes the library's own: the model in use where it
        tells classes, else the only one of its models that does. Raises UsageError, NotFound, BadPicture.
        """
        return self.classify_many([query], classifier=classifier, parts=parts)[0]

    def classify_many(
        self, queries: Sequence[Asked], *, classifier: str | None = None, parts: Parts | None = None
    ) -> list[Classification]:
        """Classify several pictures with one run of the network, in their order."""
        found, questions = self._classifier(classifier), self.engine.questions
        return found.classify(questions.pictures(questions.begin(queries), parts or Parts()))

    def _classifier(self, name: str | None) -> Classifier:
        chosen = (self.catalogue.record(CLASSIFIER) or {}).get("model")
        found = find_classifier(name, store=self.shelf, in_use=self.model_in_use, chosen=chosen)
        with self._lock:  # one that is loaded already is kept, unless its file is another by now
            known = self._classifiers.get(found.name)
            if known is None or known.sha256 != found.sha256:
                known = self._classifiers[found.name] = found
        return known

    def _drawn(self, result: SearchResult) -> str:
        from sosie.present.notebook import cards

        return cards(result, thumbnail=lambda hit: self._thumbnail_or_none(hit.id))

    def _thumbnail_or_none(self, content_id: int) -> bytes | None:
        try:
            return self.thumbnail(content_id)
        except SosieError:
            return None

    def detect(self, asked: str | os.PathLike[str] | bytes | int) -> list[Region]:
        """Return the objects in a picture, in the order by which `Parts.object` counts them; raise UsageError."""
        data = self.read(asked) if isinstance(asked, int) else bytes_of(asked)
        return shown(self.sight.detector.detect(self.analyse(data)["working"]))

    def condition(self, where: str | None) -> Condition | None:
        """Compile a ``--where`` expression; raise FilterError."""
        return self.catalogue.condition(where) if where else None

    def view(self, space: Space | None = None) -> View:
        """Return the searchable view of a space (the library's own by default)."""
        space = space or self.space
        with self._lock:
            if space.id not in self._views:
                own = self.catalogue.view(space)
                self._views[space.id] = own or SpaceView(
                    self.files,
                    space,
                    partial(open_index, self.path, self.files, space),
                    stamp=index_stamp(self.path, space),
                    check_recall=self._check_recall,
                )
            return self._views[space.id]

    @property
    def recall_in_service(self) -> Running | None:
        """Return the running recall of the searches that were checked; None unless opened with ``check_recall``."""
        view = self.view()
        return view.recall_in_service if isinstance(view, SpaceView) else None

    def analyse(self, data: bytes) -> dict[str, Any]:
        """Decode one picture in a worker and return all that is made of it; raise BadPicture."""
        return dict(self.queries.submit(data).result())

    @property
    def queries(self) -> DecodePool:
        """The decode workers that serve queries. They start at once; asking early hides their start."""
        return self.engine.queries

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        """Return the vectors (n, dim) of all heads, side by side."""
        return self.embedder.embed(pictures)

    def decode_ahead(self, data: bytes, *, whole: bool = True) -> Decoding:
        """Begin to decode a picture, without waiting for it: a query that ``search`` takes in place of its bytes.

        ``whole`` False gets what a search by parts of it needs. A server waits for the workers with no thread, then
        searches with those that are there.
        """
        with self._lock:
            engine = self._engines[-1] if self._engines else None
        return (engine or self.engine).questions.decode_ahead(data, whole=whole)

    def warm_up(self) -> None:
        """Start the decode workers and load the index and the network, which the first question would wait for."""
        self.view().warm_up()
        _ = self.queries
        self.embed([Picture(np.full((8, 8, 3), 128, np.uint8), 8, 8)])

    # -------------------------------------------------------------------------------------------- looking

    def picture(self, content_id: int) -> PictureRecord:
        """Return what is known of one picture; raise UnknownName."""
        return self._pictures.record(content_id)

    def pictures(self, *, where: str | None = None, limit: int | None = None, after: int = 0) -> list[PictureRecord]:
        """Return live pictures in order of id, those above ``after``, at most ``limit``."""
        ids = self.catalogue.live_ids(self.condition(where))
        return self.catalogue.pictures(ids[ids > after][:limit].tolist())

    def space_named(self, name: str) -> Space:
        """Return the model's space of a kind (``whole``, ``objects``, ``mask:person`` …), or that of a full name.

        Raises UsageError where no picture has such regions.
        """
        spaces = {each.name: each for each in self.catalogue.spaces()}
        if name == "whole" or name in spaces:
            return spaces.get(name, self.space)
        known = {each.regions for each in spaces.values()}
        if self.sight.known_space(name) is None:
            raise UsageError(f"no picture has vectors of {name!r}; {nearest(name, sorted(known | set(spaces)))}")
        return self.sight.existing_space(name)

    def vectors(self, space: Space | None = None) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of all live pictures, in order of id."""
        ids, vectors = self.catalogue.vectors(space or self.space)
        whole = space is None or space.regions == "whole"
        live = self.catalogue.live_ids() if whole else self.files.live_rows(space or self.space)
        alive = np.isin(ids, live, assume_unique=True)
        return ids[alive], vectors[alive]

    def read(self, content_id: int) -> bytes:
        """Return the bytes of a picture from wherever it lies; raise NotFound where it is away or has changed."""
        return self._pictures.read(content_id)

    def open_original(self, content_id: int) -> BinaryIO:
        """Open the file of a picture at its beginning, its digest verified; raise NotFound where it is away or changed.

        Files on this machine are opened where they lie; what lies elsewhere is read into a temporary file.
        """
        return self._pictures.open_original(content_id)

    def kept_thumbnail(self, content_id: int) -> bytes | None:
        """Return a thumbnail that was made before, None where there is none yet; no source is read."""
        return self._pictures.stored_thumbnail(content_id)

    def thumbnail(self, content_id: int) -> bytes:
        """Return a JPEG of at most 256 px without metadata, made once and kept; raise NotFound, BadPicture."""
        return self._pictures.thumbnail(content_id)

    @cached_property
    def _pictures(self) -> Pictures:
        remote = self._cluster.thumbnails if self._cluster is not None else None
        return Pictures(
            self.catalogue,
            originals=self.path / "originals",
            thumbnails=StoredThumbnails(remote) if remote else FolderThumbnails(self.path / "thumbnails"),
            decode=lambda data: cast(Pixels, self.analyse(data)["working"]),
        )

    def preview(self, asked: str | os.PathLike[str] | bytes) -> bytes:
        """Return a thumbnail of any picture, be it of the library or not; raise NotFound, BadPicture."""
        return self._pictures.preview(bytes_of(asked))

    def labels(self) -> dict[str, dict[str, int]]:
        """Return how many pictures carry each value of each label."""
        return self.catalogue.label_counts()

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture."""
        self.catalogue.set_labels(self.picture(content_id).id, labels)

    def quarantine(self, *, reason: str | None = None) -> list[QuarantineRow]:
        """Return the files that could not become pictures, and why."""
        return self.catalogue.quarantine(reason=reason)

    def retry_quarantine(
        self, reason: str | None = None, *, progress: Callable[[Progress], None] | None = None
    ) -> AddReport:
        """Try quarantined files again, all or those of one reason; those that still fail stay where they are."""
        by_root: defaultdict[str, list[str]] = defaultdict(list)
        for root, ref in self.catalogue.quarantined_refs(reason=reason):
            by_root[root].append(ref.uri)
        report = AddReport()
        with self._ingesting(None) as run:
            for root, uris in sorted(by_root.items()):
                report += run(KnownPlaces(root, uris), again=True, progress=progress)
        return report

    def stats(self) -> dict[str, Any]:
        """Return what the library holds and how it answers."""
        return {
            "path": str(self.path),
            "model": self.model,
            **self.catalogue.counts(),
            "spaces": [{"name": s.name, "dim": s.dim} for s in self.catalogue.spaces()],
            "index": self.view().description,
            "recall_in_service": (running := self.recall_in_service) and running.to_json(),
        }

    # -------------------------------------------------------------------------------------------- copies

    @property
    def copies(self) -> Copies:
        """Everything about altered copies: finding and proving them, comparing two, duplicates, calibration."""
        return self.engine.copies

    # -------------------------------------------------------------------------------------------- sources

    @property
    def sources(self) -> Sources:
        """The roots that the pictures came by: listing, retiring, re-pointing."""
        from sosie.maintenance.sources import Sources

        return Sources(self.catalogue)

    # -------------------------------------------------------------------------------------------- indexes

    @cached_property
    def indexes(self) -> Indexing:
        """Everything about the main indexes: building, tuning, keeping up, dropping, exporting."""
        return Indexing(self)


def _open_catalogue(path: Path, cluster: Cluster | None, *, create: bool, read_only: bool) -> Store:
    if cluster is None:
        return Catalogue(path / "catalogue.sqlite", create=create, read_only=read_only)
    from sosie.catalogue.elastic import ElasticCatalogue

    return ElasticCatalogue(cluster, create=create, read_only=read_only)


def _onwards(show: Callable[[Progress], None] | None, seen: int) -> Callable[[Progress], None] | None:
    """Show the progress of a run that comes after others, which saw so many files."""
    return show and (lambda now: show(replace(now, seen=seen + now.seen)))


def _open_source(source: str | os.PathLike[str], *, label_from_folders: bool) -> Source:
    return open_source(os.fspath(source), SourceOptions(label_from_folders=label_from_folders))
