"""What the routes of one app share. It hangs on the app, never on a module."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from fastapi import Request

from sosie.server.board import board_of
from sosie.server.config import Guard, LogFormat, ServerSettings
from sosie.server.copying import CopyDesk
from sosie.server.epoch_cache import EpochCache
from sosie.server.job import Job
from sosie.server.job_log import job_log_of
from sosie.server.jobs import Jobs
from sosie.server.keys import KeyStore, keys_of
from sosie.server.lists import KeptLists
from sosie.server.logs import AccessLog
from sosie.server.metrics import Metrics
from sosie.server.previews import Previews
from sosie.server.problems import Problem
from sosie.server.queries import KeptQueries
from sosie.server.remote import Remote
from sosie.server.sessions import Sessions
from sosie.server.sizes import Sizes
from sosie.server.streams import Streams
from sosie.server.work import WorkQueue
from sosie.types import Ids

if TYPE_CHECKING:
    from sosie.library import Library
    from sosie.server.projection import MapCache
    from sosie.sources.web.addresses import Internet

__all__ = ["State", "make_state", "state_of"]

_READERS = 8  # pictures that are read from their sources at once


@dataclass(frozen=True)
class State:
    """One library and the machinery around it.

    ``work`` runs what costs (decoding, embedding, searching) and is bounded; ``light`` runs short reads of the
    catalogue, which a full ``work`` must not hold up. ``sources`` runs whatever may read a picture from where it lies,
    which may be a share or a web server that has become slow: nothing else waits for it.
    """

    library: Library
    settings: ServerSettings
    keys: KeyStore
    work: WorkQueue
    light: WorkQueue
    sources: WorkQueue
    kept: KeptQueries
    map: MapCache
    copies: CopyDesk
    remote: Remote
    sessions: Sessions
    jobs: Jobs
    streams: Streams
    previews: Previews
    lists: KeptLists = field(default_factory=KeptLists)
    epochs: EpochCache = field(default_factory=EpochCache)
    sizes: Sizes = field(default_factory=Sizes)
    metrics: Metrics = field(default_factory=Metrics)
    log: AccessLog = field(default_factory=lambda: AccessLog(LogFormat.OFF))
    draining: asyncio.Event = field(default_factory=asyncio.Event)  # not ready any more, and answering still
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def reading(self, asked: bytes | int) -> WorkQueue:
        """Return the queue for a question about a picture: the bytes of one of the library have to be read first."""
        return self.sources if isinstance(asked, int) else self.work

    def ordered(self, by: str, where: str, *, descending: bool, epoch: int | None = None) -> tuple[int, Ids]:
        """Return the ids of the pictures that meet a filter, in an order, and the epoch at which that was made.

        ``epoch`` asks for an order of before; raises Problem where that is not kept and the library has changed.
        """
        catalogue, key = self.library.catalogue, (by, where.strip(), descending)
        kept: Ids | None = None if epoch is None else self.epochs.kept(epoch, key)
        if epoch is not None and kept is not None:
            return epoch, kept
        with catalogue.steady():
            now = catalogue.epoch()
            if epoch not in (None, now):
                raise Problem(
                    400, "bad_cursor", "this list is not kept any more, and the library has changed: ask anew"
                )
            condition = catalogue.condition(key[1] or None)
            make = partial(catalogue.ordered_ids, by, condition, descending=descending)
            return now, self.epochs.at(now, key, make)

    def labels(self) -> dict[str, dict[str, int]]:
        """Return how many pictures carry each value of each label, counted once for each state of the library."""
        return self.epochs.at(self.library.catalogue.epoch(), "labels", self.library.labels)

    def tags(self) -> dict[str, int]:
        """Return how many pictures have each tag, counted once for each state of the library."""
        return self.epochs.at(self.library.catalogue.epoch(), "tags", self.library.tags)

    def counts(self) -> dict[str, int]:
        """Return how many pictures there are, counted once for each state of the library."""
        return self.epochs.at(self.library.catalogue.epoch(), "counts", self.library.catalogue.counts)

    def close(self) -> None:
        """Stop jobs and wait for the work that runs."""
        self.jobs.close()
        self.work.close()
        self.light.close()
        self.sources.close()
        self.previews.close()
        self.copies.close()
        self.log.close()


def make_state(library: Library, settings: ServerSettings, internet: Internet | None = None) -> State:
    """Return the state of a new app."""
    from sosie.server.projection import MapCache

    board, metrics = board_of(library), Metrics()
    waiting = settings.waiting if Guard.QUEUE in settings.guards else None
    return State(
        library=library,
        settings=settings,
        keys=keys_of(library, reopen=settings.no_keys),
        work=WorkQueue(threads=settings.workers, waiting=waiting, name="work"),
        light=WorkQueue(threads=4, waiting=None, name="light"),
        sources=WorkQueue(threads=_READERS, waiting=waiting, name="sources"),
        kept=KeptQueries(settings.kept_queries, board),
        previews=Previews(library.limits),
        map=MapCache(),
        copies=CopyDesk(library, board),
        sessions=Sessions(board),
        jobs=Jobs(waiting=settings.waiting_jobs, board=board, log=job_log_of(library), ended=partial(_count, metrics)),
        metrics=metrics,
        log=AccessLog(settings.access_log),
        streams=Streams(each=settings.streams_each, most=settings.max_streams),
        remote=Remote(max_bytes=settings.max_body, internet=internet),
    )


def _count(metrics: Metrics, job: Job) -> None:
    metrics.count("sosie_jobs_total", {"kind": job.kind, "state": job.state.value})


def state_of(request: Request) -> State:
    """Return the state of the app that a request came to."""
    return cast(State, request.app.state.sosie)
