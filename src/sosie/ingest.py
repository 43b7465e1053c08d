"""How pictures get into a library: source → decode → embed → catalogue. This file tells that story, and only it.

Four things run at once, each waiting for the slowest: a thread reads files and knows what is known; worker
processes decode; this thread runs the network; a thread commits. What is in flight is bounded, so memory does
not grow with the collection. A commit is an acknowledgement: a kill at any moment loses what was not yet
committed, and the same command takes up there.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from sosie.analysis.embedding import Decoding, Embedded, Pool, Recognised, embed, told_of
from sosie.analysis.regions import Stage
from sosie.catalogue import AddContent, AddLocation, AddQuarantine, Change, KnownPlace, Located, Space, Store
from sosie.catalogue.records import FactValues
from sosie.catalogue.tags import TAG, tags_are_told
from sosie.contracts import (
    Embedder,
    KeepsOriginals,
    KnowsGone,
    LeavesOut,
    Partial,
    ReportsProblems,
    Source,
    Streams,
    TellsTags,
    offered,
)
from sosie.errors import BadPicture, SosieError, UsageError
from sosie.sources.files import file_is_gone
from sosie.sources.left_out import Tally, merged
from sosie.sources.uris import MEMBER, former_place
from sosie.sources.web.links import is_web
from sosie.types import FloatMatrix, ImageRef, LabelValue, LeftOut

__all__ = ["LEFT_OUT", "AddReport", "Arrival", "Progress", "ingest"]

# What a source hands over of one file: its bytes, why there are none, None for one that is not wanted or not changed;
# a source that has all the work done elsewhere gives what was made of it.
Arrival: TypeAlias = bytes | Embedded | Recognised | BadPicture | None

LEFT_OUT = "left_out"  # the record of what the last run over each root left out
BATCH = 32  # pictures per call of the network
LOOK_UP = 64  # files whose places are looked up at once
COMMIT = 512  # changes per transaction where nothing has to be embedded
MANY_GONE, NEARLY_ALL = 50, 0.9  # places and share of the known ones: gone at once, they look like a drive that is away


# Why a file or a picture of the web was not read this time, which says nothing of the next: a plain run tries again.
_PASSING = frozenset(
    {
        "broken_connection",
        "changed",
        "host_down",
        "no_such_host",
        "outside",
        "private_address",
        "robots_unreachable",
        "source_failed",
        "timeout",
        "too_slow",
        "unreachable",
        "unreadable",
    }
    | {f"http_{status}" for status in (408, 425, 429, 500, 502, 503, 504)}
)

_SUMMED = (
    "seen",
    "indexed",
    "unchanged",
    "known",
    "moved",
    "missing",
    "replaced",
    "completed",
    "relabelled",
    "with_features",
    "dropped",
    "seconds",
)

_FATAL = (MemoryError, SosieError)  # what ends a run: it would meet every other file, too
_OF_ONE_FILE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``seen`` counts the files of which it is known what they are."""

    seen: int
    indexed: int
    quarantined: int
    seconds: float
    with_features: int = 0

    @property
    def rate(self) -> float:
        """Files per second since the start."""
        return self.seen / max(self.seconds, 1e-9)


@dataclass(slots=True)
class AddReport:
    """What became of every file: each is counted once, in exactly one of the outcomes.

    ``unchanged`` files were not even read; ``known`` ones hold bytes that the library has; ``moved`` ones too,
    and have left another place. ``kept`` ones are in the library and could not be read now, by reason: a server that
    does not answer deletes nothing. ``dropped`` counts places that ``--sync`` forgot; they are not among ``seen``.
    ``replaced`` counts those of the other outcomes where another picture lies now than before; ``completed`` those of
    ``indexed`` that the library knew and that got vectors or regions which they had lacked; ``relabelled`` those of the
    other outcomes that got labels which they had not had, ``with_features`` those of ``indexed`` whose local features
    were computed along with them. ``left_out`` are files that were taken for no pictures, and
    rows that named none or one that is missing; but for the latter they are not among ``seen``.
    """

    seen: int = 0
    indexed: int = 0
    unchanged: int = 0
    known: int = 0
    moved: int = 0
    missing: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    completed: int = 0
    relabelled: int = 0
    with_features: int = 0
    left: dict[str, int] = field(default_factory=dict)  # pictures that have left a place of another root, by root
    dropped: int = 0
    left_out: tuple[LeftOut, ...] = ()
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def settled(self) -> int:
        """How many files have their outcome: fewer than ``seen`` while a run goes on."""
        told = (self.indexed, self.unchanged, self.known, self.moved, self.missing)
        return sum(told) + self.quarantined.total() + self.kept.total()

    @property
    def new(self) -> int:
        """How many pictures the library had not known."""
        return self.indexed - self.completed

    @property
    def placed(self) -> int:
        """How many files are places of pictures now."""
        return self.indexed + self.unchanged + self.known + self.moved + self.kept.total()

    def __iadd__(self, other: AddReport) -> Self:
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.quarantined.update(other.quarantined)
        self.kept.update(other.kept)
        self.left = dict(Counter(self.left) + Counter(other.left))
        self.left_out = merged(self.left_out, other.left_out)
        self.interrupted |= other.interrupted
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the report with plain JSON types."""
        reasons = {name: dict(sorted(getattr(self, name).items())) for name in ("quarantined", "kept")}
        return {**asdict(self), **reasons, "new": self.new}


def ingest(
    source: Source,
    *,
    catalogue: Store,
    embedder: Embedder,
    pool: Callable[[], Pool],
    stages: Sequence[Stage] = (),
    sync: bool = False,
    forget_all: bool = False,
    labels: Mapping[str, Any] | None = None,
    again: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> AddReport:
    """Bring the catalogue up to date with a source and report what became of each of its files.

    ``pool`` is called when the first picture has to be decoded; its workers know what is wanted of pictures. ``stages``
    find regions, which are embedded beside the
    whole pictures; a picture that lacks some is looked at again. ``sync`` forgets places below the source's root
    that are gone; where that is nearly all of many it raises UsageError unless ``forget_all`` is set, since an empty
    mount point looks the same. ``labels`` are given to every picture. ``again`` looks once more at what seems unchanged
    or was refused. Setting ``stop`` ends the run cleanly after what is in flight.
    """
    part = offered(source, Partial)
    if sync and part is not None and part.partial:
        raise UsageError("a website is never seen whole, so nothing is known to be gone: leave out --sync")
    stop = stop or threading.Event()
    run = _Run(
        source,
        catalogue,
        embedder,
        pool=pool,
        stages=stages,
        labels=dict(labels or {}),
        again=again,
        stop=stop,
    )
    run.seen = set() if sync else None
    started = time.monotonic()
    with catalogue.writing("sosie add"), ThreadPoolExecutor(1, "sosie-writer") as writer:
        written: Future[None] | None = None
        waiting: list[Change] = []
        for changes in run.batches():
            waiting += changes
            # one commit at a time; what comes meanwhile makes the next one, up to a bound
            if written is None or written.done() or len(waiting) >= COMMIT:
                if written is not None:
                    written.result()
                written, waiting = writer.submit(run.commit, waiting), []
            if progress is not None:
                progress(run.progress(time.monotonic() - started))
        if written is not None:
            written.result()
        writer.submit(run.commit, waiting).result()
        if run.failure is not None:  # what came before it is stored
            raise run.failure
        run.count_unstored()
        if not run.stop.is_set():
            run.mark_what_is_gone()
        run.report.left = dict(run.left)
        run.report.left_out = run.left_out()
        if sync and not run.stop.is_set():
            run.report.dropped = run.drop_what_is_gone(forget_all=forget_all)
        if not run.stop.is_set() and run.report.seen:
            known = catalogue.record("sources") or {}
            catalogue.put_record("sources", {**known, source.root: time.time()})
        if not run.stop.is_set() and offered(source, LeavesOut) is not None:
            _remember_left_out(catalogue, source.root, run.report.left_out)
    run.report.interrupted = run.stop.is_set()
    run.report.seconds = time.monotonic() - started
    return run.report


def _remember_left_out(catalogue: Store, root: str, left_out: Sequence[LeftOut]) -> None:
    """Keep what the last whole run over a root left out, in the place of what the one before did."""
    known = catalogue.record(LEFT_OUT) or {}
    if left_out or root in known:
        others = {name: entry for name, entry in known.items() if name != root}
        entry = {"at": time.time(), "left_out": [each.to_json() for each in left_out]}
        catalogue.put_record(LEFT_OUT, {**others, **({root: entry} if left_out else {})})


# ------------------------------------------------------------------------------------------------ one run


@dataclass(frozen=True, slots=True)
class _New:
    """A file with a picture that is being decoded, or has been embedded elsewhere."""

    ref: ImageRef
    picture: Decoding | Embedded
    before: bytes | None = None  # the digest of what the place held until now
    known: bool = False  # to the library, which lacks some of its vectors


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A file with the bytes of one that is in flight."""

    ref: ImageRef
    sha256: bytes
    before: bytes | None = None


_Found: TypeAlias = AddLocation | AddQuarantine | _New | _Repeat


class _Run:
    """The state of one ``ingest``: its counts, what is in flight, what has been seen."""

    def __init__(
        self,
        source: Source,
        catalogue: Store,
        embedder: Embedder,
        *,
        pool: Callable[[], Pool],
        stages: Sequence[Stage],
        labels: dict[str, Any],
        again: bool,
        stop: threading.Event,
    ) -> None:
        self.source, self.catalogue, self.embedder, self.labels, self.stop = source, catalogue, embedder, labels, stop
        self.report = AddReport()
        self._knows_gone = offered(source, KnowsGone)
        self._originals = offered(source, KeepsOriginals)
        self._make_pool = pool
        self._pool: Pool | None = None
        self._abandoned = threading.Event()
        self._spaces: list[Space] = catalogue.ensure_spaces(embedder.spec)
        self._stages = stages
        self._tells_tags = tags_are_told(catalogue, embedder)
        self._tags: Mapping[bytes, FactValues] = {}  # of the pictures of a batch
        self._wanted = [*(space.id for space in self._spaces), *(stage.space.id for stage in stages)]
        self._some_lack = catalogue.lacking(self._wanted) > 0
        self._found: queue.Queue[_Found | BaseException | None] = queue.Queue(maxsize=4 * BATCH)
        self._in_flight: set[bytes] = set()  # digests not yet committed; few, because the queue is short
        self._refused: dict[bytes, BadPicture] = {}  # those of them that did not decode
        self.seen: set[str] | None = None  # every place, for whoever asks what is gone: it grows with the collection
        self._again = again
        self._gone: list[str] = []  # places that are not there any more
        self._were_gone: set[str] = set()  # places that were not there the last time, and may be back
        self.left: Counter[str] = Counter()  # how many pictures have left a place of each other source
        self._known: dict[str, KnownPlace] = {}  # what was looked up ahead
        self._settled: dict[str, AddLocation | None] = {}  # what needs no reading, until the source hands it over
        self._failed: dict[str, BadPicture] = {}  # what could not even be looked up, until the source hands it over
        self._before: dict[str, bytes] = {}  # digests of what places held until now, while they are read
        self._missing = Tally()
        self._unstored: list[Change] = []
        self.failure: BaseException | None = None  # what ended the source

    @property
    def _problems(self) -> Sequence[tuple[str, str]]:
        reporting = offered(self.source, ReportsProblems)
        return reporting.problems if reporting else ()

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what the source took for no pictures, and what it named and does not have."""
        source = offered(self.source, LeavesOut)
        return merged(source.left_out if source else (), self._missing.result())

    def progress(self, seconds: float) -> Progress:
        report = self.report
        return Progress(report.settled, report.indexed, report.quarantined.total(), seconds, report.with_features)

    def batches(self) -> Iterator[list[Change]]:
        """Yield changes to commit, in the order of the source, as the network gets through them."""
        batch: list[_Found] = []
        decoding = 0
        for found in self._read_ahead():
            if found is None:  # nothing comes for a while: what is here need not wait for it
                yield self._changes(batch)
                batch, decoding = [], 0
                continue
            batch.append(found)
            decoding += isinstance(found, _New) and isinstance(found.picture, Decoding)
            if decoding == BATCH or len(batch) >= COMMIT:
                yield self._changes(batch)
                batch, decoding = [], 0
        if batch:
            yield self._changes(batch)

    def _read_ahead(self) -> Iterator[_Found | None]:
        reader = threading.Thread(target=self._read_all, name="sosie-reader", daemon=True)
        reader.start()
        try:
            while True:
                try:
                    found = self._found.get(timeout=0.5)
                except queue.Empty:
                    yield None
                    continue
                if isinstance(found, BaseException):
                    self.failure, found = found, None
                if found is None:
                    return
                yield found
        finally:  # the caller may stop listening early; the reader must not wait for room in the queue for ever
            self._abandoned.set()
            while reader.is_alive():
                with contextlib.suppress(queue.Empty):
                    self._found.get(timeout=0.05)

    def commit(self, changes: Sequence[Change]) -> None:
        """Write a batch; its pictures are then known to the catalogue and need not be remembered here."""
        if not changes:
            return
        self._store(changes)
        done = {change.row.sha256 for change in changes if isinstance(change, AddContent)}
        self._in_flight -= done

    def _store(self, changes: Sequence[Change]) -> None:
        """Write a batch; where the store cannot take it, find which change that is and refuse that one."""
        try:
            self.catalogue.apply(changes, root=self.source.root)
        except _FATAL:
            raise
        except Exception as error:
            if len(changes) > 1:
                self._store(changes[: len(changes) // 2])
                self._store(changes[len(changes) // 2 :])
                return
            (change,) = changes
            if not isinstance(change, AddQuarantine):
                self._unstored.append(change)
            refused = AddQuarantine(ImageRef(_storable(change.ref.uri)), "unstorable", _error_text(error))
            self.catalogue.apply([refused], root=self.source.root)

    def count_unstored(self) -> None:
        """Count what the store refused as such; it had been counted as stored."""
        for change in self._unstored:
            known = "moved" if isinstance(change, AddLocation) and change.gone else "known"
            outcome = "indexed" if isinstance(change, AddContent) else known
            setattr(self.report, outcome, getattr(self.report, outcome) - 1)
            self.report.quarantined["unstorable"] += 1

    # -------------------------------------------------------------------------------------------- reading (a thread)

    def _read_all(self) -> None:
        try:
            for ref, outcome in self._arrivals():
                if self.stop.is_set() or self._abandoned.is_set():
                    break
                found = self._meet(ref, outcome)
                if found is not None:
                    self._found.put(found)
            for uri, reason in self._problems:
                self.report.seen += 1
                self._found.put(self._quarantine(ImageRef(uri), BadPicture(reason)))
            self._found.put(None)
        except (SosieError, MemoryError) as error:
            self._found.put(error)
        except BaseException as error:  # nothing says that the source could go on
            broken = SosieError(f"{self.source.root} broke off after {self.report.seen} files ({_error_text(error)})")
            broken.__cause__ = error
            self._found.put(broken)

    def _arrivals(self) -> Iterator[tuple[ImageRef, Arrival]]:
        """Yield what is worth a look, as it comes; a source that fetches many at a time does so by itself."""
        streaming = offered(self.source, Streams)
        if streaming is not None:
            known = self.catalogue.located
            yield from streaming.stream(wanted=self._is_wanted, known=lambda ref: known(ref.uri) is not None)
            return
        for ahead in _in_blocks(self.source):
            with contextlib.suppress(*_OF_ONE_FILE):  # then each is looked up by itself
                self._known = self.catalogue.look_up([ref.uri for ref in ahead])
            for ref in ahead:
                yield ref, self._read(ref) if self._is_wanted(ref) else None

    def _read(self, ref: ImageRef) -> bytes | BadPicture:
        try:
            return self.source.read(ref)
        except BadPicture as error:
            return error
        except _FATAL:
            raise
        except Exception as error:  # a source of a third party, or a store with errors of its own
            return BadPicture("source_failed", _error_text(error))

    def _is_wanted(self, ref: ImageRef) -> bool:
        """Tell whether a file has to be read: it is new, or its stamp has changed, or it is to be looked at again."""
        self.report.seen += 1
        if self.seen is not None:
            self.seen.add(ref.uri)
        try:
            return self._has_to_be_read(ref)
        except _FATAL:
            raise
        except Exception as error:
            self._failed[ref.uri] = BadPicture("unusable_reference", _error_text(error))
            return False

    def _has_to_be_read(self, ref: ImageRef) -> bool:
        stamp = ref.stamp
        known = self._known.pop(ref.uri, None) or self.catalogue.look_up([ref.uri])[ref.uri]
        located, refused = known.located, known.refused
        if located and located.stamp == stamp and not self._again and not self._lacks_vectors(located.content_id):
            self._settled[ref.uri] = self._relabel(self._labelled(ref), located, known.labels)
            self.report.unchanged += 1
            return False
        if refused and refused[0] == stamp and refused[1] not in _PASSING and not self._again:
            self._settled[ref.uri] = None
            self.report.quarantined[refused[1]] += 1
            return False
        if located:
            self._before[ref.uri] = located.sha256
            if located.gone:
                self._were_gone.add(ref.uri)
        return True

    def _meet(self, ref: ImageRef, outcome: Arrival) -> _Found | None:
        """Decide what a file is to the library; an error of this one is a row of the quarantine."""
        try:
            return self._judge(ref, self._failed.pop(ref.uri, outcome))
        except _FATAL:
            raise
        except Exception as error:
            return self._quarantine(ref, BadPicture("unusable_reference", _error_text(error)))

    def _judge(self, ref: ImageRef, outcome: Arrival) -> _Found | None:
        if outcome is None:
            if ref.uri in self._settled:
                return self._settled.pop(ref.uri)
            before = self._before.pop(ref.uri, None)
            self.report.unchanged += 1  # its server says that nothing has changed
            back = before is not None and ref.uri in self._were_gone
            return AddLocation(before, ref) if back and before is not None else None
        before = self._before.pop(ref.uri, None)
        if isinstance(outcome, bytes | Embedded | Recognised):
            return self._recognise(ref, outcome, before)
        if before is not None and outcome.reason in ("missing", "gone"):
            self._gone.append(ref.uri)
        if outcome.reason == "missing":
            self.report.missing += 1
            self._missing.add("missing", lambda: ref.uri)
            return None
        if before is not None and _stays(ref, outcome):
            self.report.kept[outcome.reason] += 1
            return None
        return self._quarantine(ref, outcome)

    def _relabel(self, ref: ImageRef, located: Located, labels: Mapping[str, LabelValue] | None) -> AddLocation | None:
        """Give an unchanged file the labels that it comes with this time, where it has not got them."""
        have = labels or (self.catalogue.labels_of(located.content_id) if ref.labels and labels is None else {})
        same = ref.labels.items() <= have.items()
        self.report.relabelled += not same
        return None if same and not located.gone else AddLocation(located.sha256, ref)

    def _recognise(self, ref: ImageRef, arrived: bytes | Embedded | Recognised, before: bytes | None) -> _Found | None:
        sha256 = hashlib.sha256(arrived).digest() if isinstance(arrived, bytes) else arrived.sha256
        labelled = self._labelled(ref)
        if sha256 in self._in_flight:
            return _Repeat(labelled, sha256, before)
        content_id = self.catalogue.content_id(sha256)
        if content_id is not None and not self._lacks_vectors(content_id):
            gone = self._places_left(content_id, ref)
            self.report.moved += bool(gone)
            self.report.known += not gone
            self.report.relabelled += not labelled.labels.items() <= self._labels_of(content_id, labelled).items()
            for change in self._displaced(ref, before, sha256):
                self._found.put(change)
            if before is not None and before != sha256 and is_web(ref.uri):  # it may have been there before
                gone = (*gone, former_place(ref.uri, sha256))
            return AddLocation(sha256, labelled, gone)
        if isinstance(arrived, Recognised):  # who said so was wrong: the work is done here
            read = self._read(ref)
            if before is not None:
                self._before[ref.uri] = before
            return self._judge(ref, read)
        self._in_flight.add(sha256)
        picture = self._decoding(ref, arrived, sha256) if isinstance(arrived, bytes) else arrived
        return _New(labelled, picture, before, known=content_id is not None)

    def _labels_of(self, content_id: int, ref: ImageRef) -> Mapping[str, LabelValue]:
        return self.catalogue.labels_of(content_id) if ref.labels else {}

    def _decoding(self, ref: ImageRef, data: bytes, sha256: bytes) -> Decoding:
        if self._pool is None:
            self._pool = self._make_pool()
        return Decoding(sha256, len(data), self._pool.submit(data, told_of(ref.uri)))

    def _lacks_vectors(self, content_id: int) -> bool:
        return self._some_lack and not self.catalogue.has_vectors(content_id, self._wanted)

    def _places_left(self, content_id: int, ref: ImageRef) -> tuple[str, ...]:
        """Return places that the picture is no longer at; an unreachable root proves nothing."""
        source = self._knows_gone
        places = [place for place in self.catalogue.places_of(content_id) if place.uri != ref.uri]
        left = [p for p in places if p.root != self.source.root and (p.gone_at is not None or file_is_gone(p.uri))]
        if left:
            self.left.update(place.root for place in left)
            self._gone += [place.uri for place in left if place.gone_at is None]
        return tuple(
            place.uri for place in places if source and place.root == self.source.root and source.gone(place.uri)
        )

    def _labelled(self, ref: ImageRef) -> ImageRef:
        if not self.labels:
            return ref
        return ImageRef(ref.uri, {**self.labels, **ref.labels}, ref.size, ref.mtime_ns, ref.inode)

    def _quarantine(self, ref: ImageRef, error: BadPicture) -> AddQuarantine:
        self.report.quarantined[error.reason] += 1
        return AddQuarantine(ref, error.reason, error.detail)

    # -------------------------------------------------------------------------------------------- embedding

    def _changes(self, batch: Sequence[_Found]) -> list[Change]:
        """Say what to write, once the pictures of a batch are embedded."""
        new = [found.picture for found in batch if isinstance(found, _New)]
        made: dict[bytes, Embedded | BadPicture] = {each.sha256: each for each in new if isinstance(each, Embedded)}
        made |= embed([each for each in new if isinstance(each, Decoding)], self.embedder, self._stages)
        self._refused |= {sha256: each for sha256, each in made.items() if isinstance(each, BadPicture)}
        self._tags = self._tags_of([each for each in made.values() if isinstance(each, Embedded)])
        return [change for found in batch for change in self._changes_of(found, made)]

    def _tags_of(self, made: Sequence[Embedded]) -> dict[bytes, FactValues]:
        """Return what the embedder recognises by the vectors of a batch, by digest; nothing where it tells no tags."""
        if not (made and self._tells_tags and isinstance(self.embedder, TellsTags)):
            return {}
        tags = self.embedder.tags_of(np.stack([each.vector[: self._spaces[0].dim] for each in made]))
        return {each.sha256: found for each, found in zip(made, tags, strict=True)}

    def _changes_of(self, found: _Found, made: Mapping[bytes, Embedded | BadPicture]) -> list[Change]:
        if isinstance(found, AddLocation | AddQuarantine):
            return [found]
        sha256 = found.sha256 if isinstance(found, _Repeat) else found.picture.sha256
        if refused := self._refused.get(sha256):
            # bytes that are in the library may be too much for another model; a server in trouble sends pages and parts
            if found.before is None or not (found.before == sha256 or is_web(found.ref.uri)):
                return [self._quarantine(found.ref, refused)]
            self.report.kept[refused.reason] += 1
            return []
        displaced = self._displaced(found.ref, found.before, sha256)
        if isinstance(found, _Repeat):
            self.report.known += 1
            return [*displaced, AddLocation(sha256, found.ref)]
        self.report.indexed += 1
        self.report.completed += found.known
        embedded = made[sha256]
        assert isinstance(embedded, Embedded)  # or it would be among the refused
        tags = {TAG: self._tags[sha256]} if sha256 in self._tags else {}  # in the place of what was told before
        facts = {**embedded.facts, **tags}
        self.report.with_features += bool(embedded.features)
        content = AddContent(
            embedded.row,
            found.ref,
            self._by_space(embedded.vector),
            embedded.regions,
            facts=facts,
            features=embedded.features,
        )
        return [*displaced, content]

    def _displaced(self, ref: ImageRef, before: bytes | None, now: bytes) -> list[AddLocation]:
        """Return the place that a picture keeps, where a server sends another one in its stead."""
        if before is None or before == now:
            return []
        self.report.replaced += 1
        if not is_web(ref.uri):  # a file that its owner has changed
            return []
        place = self._originals.original(before) if self._originals else None
        if place is None:
            place = ImageRef(former_place(ref.uri, before))
            self._gone.append(place.uri)
        return [AddLocation(before, place)]

    def _by_space(self, vector: FloatMatrix) -> dict[int, FloatMatrix]:
        edges = np.cumsum([space.dim for space in self._spaces])[:-1]
        return {space.id: part for space, part in zip(self._spaces, np.split(vector, edges), strict=True)}

    # -------------------------------------------------------------------------------------------- sync

    def mark_what_is_gone(self) -> None:
        """Note which known places below the root are not there any more; it forgets nothing."""
        source = self._knows_gone
        if source is not None and sum(1 for _ in self.catalogue.locations_below(self.source.root)) > self.report.placed:
            self._gone += [uri for uri in self.catalogue.locations_below(self.source.root) if source.gone(uri)]
        if self._gone:
            self.catalogue.mark_gone(list(dict.fromkeys(self._gone)))

    def _is_gone(self, uri: str) -> bool:
        """Tell whether a place that the source did not show is to be forgotten.

        What came by this root is, since the source was asked for all that it has. What came by another root may be what
        this one leaves out by its patterns: that has to be gone.
        """
        source, located = self._knows_gone, self.catalogue.located(uri)
        return source is None or located is None or located.root == self.source.root or source.gone(uri)

    def drop_what_is_gone(self, *, forget_all: bool) -> int:
        """Forget places below the root that the source no longer has, but nothing below what it could not read."""
        problems = [uri.rstrip("/") for uri, _ in self._problems]
        unread = tuple(f"{uri}{mark}" for uri in problems for mark in ("/", MEMBER))  # a folder, or an archive
        assert self.seen is not None
        known, gone = 0, []
        for uri in self.catalogue.locations_below(self.source.root):
            known += 1
            if uri not in self.seen and not uri.startswith(unread) and self._is_gone(uri):
                gone.append(uri)
        if len(gone) > max(MANY_GONE, NEARLY_ALL * known) and not forget_all:
            raise UsageError(
                f"{len(gone)} of the {known} pictures known below {self.source.root} are gone: is its drive there?"
                " Nothing was forgotten; if they are to be, add --forget-all"
            )
        return self.catalogue.drop_locations(gone) if gone else 0


def _stays(ref: ImageRef, why: BadPicture) -> bool:
    """Tell whether a known picture stays although it could not be read: a file that was read and refused does not."""
    return is_web(ref.uri) or why.reason in _PASSING


def _in_blocks(refs: Iterable[ImageRef]) -> Iterator[list[ImageRef]]:
    """Yield references in lists; where the source fails, what it gave before comes first."""
    rest, failure = iter(refs), None
    while failure is None:
        block: list[ImageRef] = []
        try:
            block.extend(itertools.islice(rest, LOOK_UP))
        except Exception as error:
            failure = error
        if block:
            yield block
        elif failure is None:
            return
    raise failure


# ------------------------------------------------------------------------------------------------ errors of one file


def _error_text(error: BaseException) -> str:
    """Say what an unexpected error was, in text that any store takes."""
    return _storable(f"{type(error).__name__}: {error}")[:500]


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
