"""Adding pictures to a library: sources, those that a model has not embedded yet, those that were refused."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypedDict, Unpack

from sosie.analysis.embedding import Features, told_of
from sosie.catalogue import QuarantineRow, Store
from sosie.contracts import Source, Streams, offered
from sosie.decode import DecodePool
from sosie.decode.metadata import GPS, USUAL
from sosie.errors import UsageError
from sosie.ingest import AddReport, Progress, ingest
from sosie.maintenance.labels import labels_to_add
from sosie.models.engine import Engine
from sosie.present.progress import progress_bar
from sosie.sources import SourceOptions, open_source
from sosie.sources.again import KnownPlaces, OwnPictures
from sosie.types import ImageRef, LabelValue

if TYPE_CHECKING:
    from sosie.ray import Fleet

__all__ = ["AddOptions", "Adder", "Quarantine"]


_PLAIN: Mapping[str, str] = {"metadata": USUAL, "features": "never"}  # of pictures that are known, or were refused


class AddOptions(TypedDict, total=False):
    """How a source is added. Every key may be left out.

    ``sync`` forgets pictures below the source that are gone, nearly all of many only with ``forget_all``, since a drive
    that is away looks the same. ``labels`` are set on every picture, ``label_from_folders`` takes its folder's name.
    ``again`` looks once more at files that seem unchanged or were refused, and asks servers whether theirs changed.
    ``regions`` (objects, pooled, mask:CLASS) are found and embedded, too, from now on, and in those pictures of the
    source that lack them. ``gps`` keeps where pictures were taken as facts, too, beside when, with what and by whom.
    ``features`` says when local features, which prove copies, are computed: ``later`` (when copies are first asked for)
    is ``now`` for addresses and archives, which may not be there by then.
    So many ``workers`` decode (default: one a core); with a ``fleet`` (`sosie.ray.connect`) the
    workers of a Ray cluster read, decode and embed. ``progress`` is called as files are done; True, the default, draws
    a bar in a terminal or a notebook. Once ``stop`` is set, the run ends with what is done.
    """

    sync: bool
    forget_all: bool
    label_from_folders: bool
    labels: Mapping[str, LabelValue] | None
    again: bool
    regions: Sequence[str]
    gps: bool
    features: Features
    workers: int | None
    fleet: Fleet | None
    progress: Callable[[Progress], None] | bool | None
    stop: threading.Event | None


class Adder:
    """Adds pictures with one engine; ``read`` gives the bytes of a picture of the library."""

    def __init__(self, catalogue: Store, engine: Engine, *, read: Callable[[int], bytes]) -> None:
        self._catalogue, self._engine, self._read = catalogue, engine, read

    def add(self, source: str | os.PathLike[str] | Source, **options: Unpack[AddOptions]) -> AddReport:
        """Add the pictures of a source, as `AddOptions` say."""
        read = SourceOptions(label_from_folders=options.get("label_from_folders", False))
        opened = source if isinstance(source, Source) else open_source(os.fspath(source), read)
        if regions := options.get("regions"):
            self._engine.extractor.keep(regions)
        wanted = {"metadata": GPS if options.get("gps") else USUAL, "features": options.get("features", "later")}
        if fleet := options.get("fleet"):
            opened = self._dispatched(opened, fleet, options.get("stop"), wanted=wanted)
        elif not _may_want_features(opened, wanted["features"]):
            wanted["features"] = "never"
        shown = progress_bar("adding pictures", options.get("progress", True))
        with self._ingesting(options.get("workers"), wanted) as run, shown as progress:
            return run(
                opened,
                sync=options.get("sync", False),
                forget_all=options.get("forget_all", False),
                labels=labels_to_add(options.get("labels")),
                again=options.get("again", False),
                progress=progress,
                stop=options.get("stop"),
            )

    def lacking(self) -> int:
        """Return how many pictures the model has not embedded yet."""
        return len(self._catalogue.places_lacking(self._engine.space_ids))

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
        for root, content_id, ref in self._catalogue.places_lacking(self._engine.space_ids):
            by_root[root].append((content_id, ref))
        report = AddReport()
        with self._ingesting(workers) as run:  # each upload has a root of its own
            for root, pictures in sorted(by_root.items()):
                source = OwnPictures(root, pictures, read=self._read)
                report += run(source, progress=_after(report.seen, progress), stop=stop)
        return report

    def retry(self, reason: str | None = None, *, progress: Callable[[Progress], None] | None = None) -> AddReport:
        """Try refused files again, all or those of one reason; those that still fail stay where they are."""
        by_root: defaultdict[str, list[str]] = defaultdict(list)
        for root, ref in self._catalogue.quarantined_refs(reason=reason):
            by_root[root].append(ref.uri)
        report = AddReport()
        again = all(told_of(uri)["rereadable"] for uris in by_root.values() for uri in uris)
        with self._ingesting(None, _PLAIN if again else {**_PLAIN, "features": "later"}) as run:
            for root, uris in sorted(by_root.items()):
                report += run(KnownPlaces(root, uris), again=True, progress=progress)
        return report

    @contextmanager
    def _ingesting(self, workers: int | None, wanted: Mapping[str, str] = _PLAIN) -> Iterator[Callable[..., AddReport]]:
        """Yield `ingest` into the library; its runs share decode workers, which start when they are first needed.

        ``wanted`` says what metadata and features of pictures are; workers that compute features take longer to start.
        """
        engine, pools = self._engine, list[DecodePool]()
        stages = engine.extractor.stages()

        def pool() -> DecodePool:
            if not pools:
                # regions are cut from more pixels than the network's input has
                without = [] if any(stage.wants_pixels for stage in stages) else ["working"]
                analyse = "worker:analyse_query" if wanted["features"] == "never" else "features:analyse_new"
                pools.append(
                    engine.start_pool(
                        f"sosie.analysis.{analyse}", workers or os.cpu_count() or 1, {**wanted, "without": without}
                    )
                )
            return pools[0]

        try:
            yield partial(ingest, catalogue=self._catalogue, embedder=engine.embedder, pool=pool, stages=stages)
        finally:
            for each in pools:
                each.close()

    def _dispatched(
        self, source: Source, fleet: Fleet, stop: threading.Event | None, *, wanted: Mapping[str, str]
    ) -> Source:
        from sosie.ray import RaySource

        engine = self._engine
        if engine.extractor.stages():
            raise UsageError("this library keeps regions, and they are found on one machine: leave out --ray")
        known = self._catalogue.digests(engine.space_ids)
        return RaySource(
            source, fleet, embedder=engine.embedder, known=known, stop=stop, limits=engine.limits, wanted=wanted
        )


class Quarantine:
    """The files that could not become pictures; calling it lists them."""

    def __init__(self, catalogue: Store, adder: Callable[[], Adder]) -> None:
        self._catalogue, self._adder = catalogue, adder

    def __call__(self, *, reason: str | None = None) -> list[QuarantineRow]:
        """Return the files that were refused, and why: all, or those of one reason."""
        return self._catalogue.quarantine(reason=reason)

    def retry(self, reason: str | None = None, *, progress: Callable[[Progress], None] | None = None) -> AddReport:
        """Try refused files again, all or those of one reason; those that still fail stay where they are."""
        return self._adder().retry(reason, progress=progress)


def _may_want_features(source: Source, features: str) -> bool:
    """Tell whether local features of any picture of a source may be computed now; a stream may name any place."""
    again = told_of(source.root)["rereadable"] and offered(source, Streams) is None
    return features == "now" or (features == "later" and not again)


def _after(seen: int, show: Callable[[Progress], None] | None) -> Callable[[Progress], None] | None:
    """Show the progress of a run that comes after others, which saw so many files."""
    return show and (lambda now: show(replace(now, seen=seen + now.seen)))
