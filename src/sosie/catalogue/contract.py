"""What the engine asks of a catalogue, whatever it is kept in. `sosie.testing.catalogues` checks that one does it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sosie.catalogue.records import (
    AddRegions,
    Change,
    ContentChange,
    ContentRow,
    Decision,
    FactValues,
    Held,
    Job,
    KnownPlace,
    Located,
    LogEntry,
    PairVerdict,
    PictureRecord,
    Place,
    QuarantineRow,
    RegionRow,
    Space,
    Vouched,
)
from sosie.types import EmbedderSpec, FloatMatrix, Head, Ids, ImageRef, LabelValue, Verdict

__all__ = ["Condition", "Found", "Store", "View"]

Condition = Any
"""A compiled ``--where``: made by a store's ``condition``, understood by that store alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest pictures to some queries, what answered, and what is known of those that came along."""

    ids: Ids  # (q, k), padded with -1
    scores: FloatMatrix  # (q, k), padded with -inf
    index: Mapping[str, Any]  # `View.description` of the moment
    records: Mapping[int, PictureRecord] = field(default_factory=dict)


class Recall(Protocol):
    """The recall of searches that were checked so far."""

    @property
    def recall(self) -> float | None: ...
    @property
    def checked(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


class View(Protocol):
    """All live vectors of a space, searchable. Thread-safe."""

    @property
    def space(self) -> Space: ...

    @property
    def description(self) -> dict[str, Any]:
        """Say what kind of index answers, with what recall, and how much lies beside it (``tail``)."""
        ...

    @property
    def unembedded(self) -> int:
        """Return how many live pictures have no vector in this space, and so are never an answer."""
        ...

    @property
    def recall_in_service(self) -> Recall | None:
        """The running recall of the searches that were checked in the background; None where none are."""
        ...

    def warm_up(self) -> None:
        """Read what has to be read now rather than at the first question."""
        ...

    def forget(self) -> None:
        """Look for the index anew at the next question."""
        ...

    def with_params(self, params: Mapping[str, Any]) -> View:
        """Return this view, searched with other search parameters of its index; raise UsageError."""
        ...

    def search(
        self, queries: FloatMatrix, k: int, allow: Ids | None = None, *, watched: bool = True
    ) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k nearest live pictures, (q, k), padded with -1 and -inf.

        Searches that nobody asked for are not ``watched``: they stay out of the recall in service.
        """
        ...

    def find(self, queries: FloatMatrix, k: int, condition: Condition | None = None, *, records: bool = True) -> Found:
        """Return the k nearest live pictures that meet a condition, applied before the k are taken.

        In a space of regions they are the pictures of the nearest regions, and may come several times. ``records``
        asks for what is known of them, where that comes along.
        """
        ...

    def regions_of(self, pictures: Ids) -> Held:
        """Return the regions that this space holds of some pictures, whose ids ascend."""
        ...


class Store(Protocol):
    """What is known of each picture. A write is done, and seen by every later question, when its call returns.

    Ids are not negative, fit in 53 bits and never name two pictures. Reading from several threads is safe.
    """

    @property
    def read_only(self) -> bool: ...

    def close(self) -> None: ...

    def writing(self, what: str, *, wait: float = 10.0) -> AbstractContextManager[None]:
        """Be a writer; a store that takes one at a time raises LibraryBusy after ``wait`` seconds."""
        ...

    def epoch(self) -> int:
        """Return a number that grows with every commit that an answer may depend on: not of the log, jobs, pairs."""
        ...

    def steady(self) -> AbstractContextManager[None]:
        """Ask for the epoch once: within the block, this thread is told the same one again."""
        ...

    def health(self) -> dict[str, Any]:
        """Say how the service under the store is, where there is one; raise ServiceAway where it cannot answer."""
        ...

    def view(self, space: Space) -> View | None:
        """Return the store's own search of a space; None where indexes are built beside the store."""
        ...

    def condition(self, where: str | None) -> Condition | None:
        """Compile a ``--where`` expression; None, which all pictures meet, for none. Raises FilterError."""
        ...

    # -------------------------------------------------------------------------------------------- spaces

    def spaces(self) -> list[Space]: ...

    def space(self, name: str) -> Space: ...

    def ensure_spaces(
        self, spec: EmbedderSpec, *, regions: str = "whole", heads: Sequence[Head] | None = None
    ) -> list[Space]:
        """Return one space per head of the embedder, or of ``heads``, making those that are not there."""
        ...

    def embedded(self, space: Space) -> int:
        """Return how many whole pictures have a vector in a space."""
        ...

    # -------------------------------------------------------------------------------------------- ingest

    def look_up(self, uris: Sequence[str]) -> dict[str, KnownPlace]:
        """Return what is known of each of some places, at most a few hundred, with as few questions as can be."""
        ...

    def located(self, uri: str) -> Located | None: ...

    def quarantined(self, uri: str) -> tuple[tuple[int | None, int | None, int | None], str] | None: ...

    def content_id(self, sha256: bytes) -> int | None: ...

    def content_ids(self, shas: Sequence[bytes]) -> dict[bytes, int]: ...

    def same(self, sha256: bytes | None, pixels: bytes | None) -> dict[int, Verdict]:
        """Return the live pictures with these bytes, IDENTICAL and first, or that decode to these, SAME_PIXELS.

        None is no picture's.
        """
        ...

    def has_vectors(self, content_id: int, spaces: Iterable[int]) -> bool: ...

    def lacking(self, spaces: Sequence[int]) -> int: ...

    def places_lacking(self, spaces: Sequence[int]) -> list[tuple[str, int, ImageRef]]:
        """Return (root, id, one place with its stamp) of live pictures that are not embedded in all of these spaces."""
        ...

    def digests(self, spaces: Sequence[int]) -> npt.NDArray[np.uint64]: ...

    def uris(self, content_id: int) -> list[tuple[str, str]]: ...

    def apply(self, changes: Sequence[Change], *, root: str) -> None:
        """Write what ingest found; writing the same once more changes nothing."""
        ...

    def locations_below(self, root: str) -> Iterable[str]:
        """Return the URIs below a source's root by path, whatever source they came by, in order."""
        ...

    def roots(self) -> dict[str, tuple[int, int]]:
        """Return how many places were found by each root, and how many of those are gone."""
        ...

    def drop_locations(self, uris: Sequence[str]) -> int: ...

    def remove(self, ids: Sequence[int]) -> int: ...

    def places_of(self, content_id: int) -> list[Place]:
        """Return every place of a picture, those where it is not gone first, as `uris` and records do."""
        ...

    def mark_seen(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files were found where they were; ``at`` is in seconds since 1970 (None: now)."""
        ...

    def mark_gone(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files are not there any more; their pictures stay, which `drop_locations` would forget."""
        ...

    # -------------------------------------------------------------------------------------------- reading

    def live_ids(self, condition: Condition | None = None, *, after: int = -1, limit: int | None = None) -> Ids:
        """Return the ids of live pictures that meet a condition, in order: those above ``after``, at most ``limit``."""
        ...

    def ordered_ids(self, by: str, condition: Condition | None = None, *, descending: bool = False) -> Ids:
        """Return the ids of live pictures in an order of `catalogue.orders.ORDERS`; raise UsageError.

        Those of which nothing is known come last, either way; equals come in order of id.
        """
        ...

    def meeting(self, ids: Sequence[int], condition: Condition | None = None) -> set[int]:
        """Return those of a few pictures that are live and meet a condition."""
        ...

    def vectors(self, space: Space, *, after: int = 0) -> tuple[Ids, FloatMatrix]: ...

    def vectors_of(self, space: Space, ids: Sequence[int]) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of those of a few whole pictures that have one, in order of id."""
        ...

    def vector(self, space: Space, content_id: int) -> FloatMatrix | None: ...

    def content(self, content_id: int) -> ContentRow: ...

    def contents(self, ids: Sequence[int]) -> dict[int, ContentRow]: ...

    def pictures(self, ids: Sequence[int]) -> list[PictureRecord]: ...

    def fingerprints(self, ids: Sequence[int] | None = None) -> tuple[Ids, Any, Any]: ...

    def features(self, ids: Iterable[int], *, version: str) -> dict[int, bytes]: ...

    def feature_ids(self, *, version: str) -> Ids: ...

    def put_features(self, rows: Sequence[tuple[int, bytes]], *, version: str) -> None: ...

    # -------------------------------------------------------------------------------------------- regions

    def regions(self, space: Space, ids: Sequence[int]) -> dict[int, RegionRow]:
        """Return some regions of a space by their ids; those that are not there are left out."""
        ...

    def regions_of(self, space: Space, contents: Sequence[int]) -> tuple[list[RegionRow], FloatMatrix]:
        """Return the regions of some pictures in a space, in order of picture, and their vectors (n, dim)."""
        ...

    def replace_regions(self, found: Sequence[tuple[int, Space, AddRegions]]) -> None:
        """Write regions of pictures that are there, in the place of those that they have in a space."""
        ...

    # -------------------------------------------------------------------------------------------- labels

    def labels_of(self, content_id: int) -> dict[str, LabelValue]: ...

    def all_labels(self) -> dict[int, dict[str, LabelValue]]: ...

    def label_counts(self, condition: Condition | None = None) -> dict[str, dict[str, int]]: ...

    def label_cross(
        self, first: str, second: str, condition: Condition | None = None
    ) -> dict[tuple[str, str], int]: ...

    def label_kinds(self) -> dict[str, list[str]]: ...

    def edit_labels(self, ids: Sequence[int], labels: Mapping[str, LabelValue | None]) -> None: ...

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None: ...

    def set_labels_of_each(self, labels: Mapping[int, Mapping[str, LabelValue]]) -> None: ...

    # -------------------------------------------------------------------------------------------- facts, pairs

    def facts_of(self, ids: Sequence[int]) -> dict[int, dict[str, FactValues]]:
        """Return the facts of some pictures, of those that have any."""
        ...

    def put_facts(self, facts: Mapping[int, Mapping[str, FactValues]]) -> None:
        """Store facts of pictures; those of the same name are replaced, by none where there is no value."""
        ...

    def fact_counts(self, name: str, condition: Condition | None = None) -> dict[str, int]:
        """Return how many live pictures have each text of a fact, most frequent first."""
        ...

    def pairs(self, keys: Iterable[tuple[bytes, bytes]], *, judge: str) -> dict[tuple[bytes, bytes], PairVerdict]:
        """Return those of some pairs, each in the order of its digests, that this judge has judged."""
        ...

    def put_pairs(self, pairs: Sequence[PairVerdict]) -> None:
        """Store verdicts, in the place of what the same judge said of the same pairs; raise UsageError for a >= b."""
        ...

    # -------------------------------------------------------------------------------------------- what happened

    def changes(self, since: int) -> list[ContentChange] | None:
        """Return what commits after an epoch did to pictures, in order; None where all has to be read anew."""
        ...

    def append_log(self, actor: str, deed: str, detail: Mapping[str, Any] | None = None) -> LogEntry: ...

    def log(self, *, limit: int = 100, before: int | None = None) -> list[LogEntry]:
        """Return the last entries, or the last ones with an id below ``before``, newest first."""
        ...

    def put_job(self, job: Job) -> None: ...

    def job(self, job_id: str) -> Job | None: ...

    def jobs(self, *, states: Collection[str] | None = None) -> list[Job]: ...

    def drop_jobs(self, ids: Sequence[str]) -> None: ...

    def vouch(self, files: Sequence[Vouched], *, withdraw: Sequence[str] = ()) -> None:
        """Record derived files that go with this catalogue, and, by name, that others do no more."""
        ...

    def vouched(self, *, below: str = "") -> dict[str, Vouched]:
        """Return the derived files that go with this catalogue; those whose name begins with ``below``."""
        ...

    # -------------------------------------------------------------------------------------------- the rest

    def put_decision(self, a: str, b: str, decision: str, *, note: str = "", at: float | None = None) -> None: ...

    def drop_decision(self, a: str, b: str) -> bool: ...

    def decisions(self) -> list[Decision]: ...

    def quarantine(self, *, reason: str | None = None) -> list[QuarantineRow]: ...

    def quarantined_refs(self, *, reason: str | None = None) -> list[tuple[str, ImageRef]]: ...

    def counts(self) -> dict[str, int]: ...

    def record(self, key: str) -> Any: ...

    def put_record(self, key: str, value: Mapping[str, Any]) -> None: ...

    def update_record(self, key: str, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Put ``change`` of a record, or of None, in its place; no change of another process between is lost.

        ``change`` may be called several times, also with what it has given itself.
        """
        ...
