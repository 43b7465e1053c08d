"""Hand the pictures of a source to the workers of a cluster, and take back what they made of them.

Ray Data streams blocks of URIs through a pool of actors: it holds back what the reader is not ready for, starts
actors where there are cores, and gives the blocks of a dead actor or machine to others. It wants to know all its blocks
when it begins, so a large source goes in segments, and memory does not grow with the collection.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sosie.contracts import Embedder, RereadsUris, Source, offered
from sosie.decode.limits import Limits
from sosie.embedders.onnx import OnnxEmbedder
from sosie.errors import BadPicture, SourceUnreachable, UsageError
from sosie.ray.connection import Fleet
from sosie.ray.failures import explain
from sosie.ray.frames import Made, unpack
from sosie.sources.uris import path_of_uri
from sosie.types import ImageRef

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sosie.ray.worker import Plan

__all__ = ["RaySource"]

_SEGMENT = 500_000  # references that are held at once; between segments the workers are started again
_BLOCK = 256  # pictures at most that a worker takes at once, and that are done again when it dies
_TICK = 0.25
_LOOK = 2.0  # seconds between looks at a head from which nothing comes
_PATIENCE = 10.0  # seconds that it may be away: it may be started again
_END = object()


class RaySource:
    """A source whose pictures come embedded: its workers read them by their URIs.

    Listing, and all that the listing tells, stays with ``source``. Setting ``stop`` ends the stream. Raises UsageError
    for a source whose pictures only this machine can read.
    """

    def __init__(
        self,
        source: Source,
        fleet: Fleet,
        *,
        embedder: Embedder,
        known: npt.NDArray[np.uint64],
        stop: threading.Event | None = None,
        limits: Limits | None = None,
        wanted: Mapping[str, str] | None = None,
    ) -> None:
        rereads = offered(source, RereadsUris)
        if rereads is None:
            raise UsageError(
                f"{source.root} is read by one machine: --ray is for folders, object stores, lists and databases"
            )
        self.inner, self._rereads, self._fleet = source, rereads, fleet
        self._embedder, self._known, self._stop = embedder, known, stop or threading.Event()
        self._limits, self._wanted = limits or Limits(), dict(wanted or {})

    @property
    def root(self) -> str:
        return self.inner.root

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.inner)

    def read(self, ref: ImageRef) -> bytes:
        return self.inner.read(ref)

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, Made | None]]:
        """Yield every reference once: None for an unwanted one, with what the workers made of it else."""
        segment: list[ImageRef] = []
        plan: Plan | None = None
        for ref in self.inner:
            if not wanted(ref):
                yield ref, None
            elif refused := self._rereads.refuses(ref):
                yield ref, refused
            else:
                segment.append(ref)
            if len(segment) == _SEGMENT:
                plan = plan or self._plan()
                yield from self._work(segment, plan)
                segment = []
        if segment:
            yield from self._work(segment, plan or self._plan())

    def _plan(self) -> Plan:
        import ray

        from sosie.ray.worker import Plan
        from sosie.sources.web.download import Download, Downloads

        downloading = offered(self.inner, Downloads)
        download = downloading.download if downloading else Download()
        polite = download.politeness
        shared = replace(polite, per_host=max(1, polite.per_host // self._fleet.cores))  # a server sees all workers
        described = self._embedder.description if isinstance(self._embedder, OnnxEmbedder) else None
        return Plan(
            embedder=None if described else self._embedder,
            description=described,
            network=ray.put(described.path.read_bytes() if described else b""),
            known=ray.put(self._known),
            download=replace(download, politeness=shared, validators=None),  # their file is on this machine
            limits=self._limits,
            wanted=self._wanted,
        )

    def _work(self, segment: Sequence[ImageRef], plan: Plan) -> Iterator[tuple[ImageRef, Made]]:
        """Yield what the workers made of a segment, in its order; raise ServiceAway where some never came."""
        left = dict(enumerate(segment))
        for table in _until(self._stop, self._fleet, lambda: _tables(segment, plan, self._fleet)):
            for at, frame in zip(table["at"].to_pylist(), table["made"].to_pylist(), strict=True):
                if at in left:  # a block that was done twice
                    made = unpack(frame)
                    _check_seen(left[at], made)
                    yield left.pop(at), made
        if left and not self._stop.is_set():
            raise explain(RuntimeError(f"{len(left)} pictures never came back"), self._fleet.address)


def _tables(segment: Sequence[ImageRef], plan: Plan, fleet: Fleet) -> Iterator[Any]:
    """Stream tables of ``at`` and ``made``, in the order of the segment."""
    import pyarrow
    import ray

    from sosie.ray.worker import Worker

    cores = fleet.cores
    size = max(1, min(_BLOCK, len(segment) // (4 * cores)))  # a few blocks a worker, so that all end together
    starts = range(0, len(segment), size)
    blocks = [
        pyarrow.table({"at": range(at, at + len(part)), "uri": [ref.uri for ref in part]})
        for at, part in ((at, segment[at : at + size]) for at in starts)
    ]
    dataset = ray.data.from_arrow(blocks)
    dataset.context.enable_progress_bars = False
    dataset.context.execution_options.preserve_order = True  # a library's ids are then those of a plain run
    made = dataset.map_batches(
        Worker,
        fn_constructor_args=(plan,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, cores)),
    )
    try:
        yield from made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
    except Exception as error:
        raise explain(error, fleet.address) from error


def _until(stop: threading.Event, fleet: Fleet, start: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Iterate in a thread, and leave it when ``stop`` is set: Ray waits for ever where a cluster has no room.

    Raises ServiceAway when the cluster's head has been away for some seconds.
    """
    items: queue.Queue[Any] = queue.Queue(maxsize=2)
    over = threading.Event()
    threading.Thread(target=_pump, args=(start, items, over), name="sosie-ray", daemon=True).start()
    here = looked = time.monotonic()
    try:
        while not stop.is_set():
            try:
                item = items.get(timeout=_TICK)
            except queue.Empty:
                if time.monotonic() - looked > _LOOK:
                    looked = time.monotonic()
                    here = here if fleet.away else looked
                    if looked - here > _PATIENCE:
                        raise explain(RuntimeError("its head does not answer"), fleet.address) from None
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()


def _pump(start: Callable[[], Iterator[Any]], items: queue.Queue[Any], over: threading.Event) -> None:
    """Put what an iterator yields, its error or its end into a queue, for as long as somebody listens."""

    def put(item: Any) -> bool:
        while not over.is_set():
            try:
                items.put(item, timeout=_TICK)
            except queue.Full:
                continue
            return True
        return False

    try:
        iterator = start()
        while put(item := next(iterator, _END)) and item is not _END:
            pass
    except BaseException as error:
        put(error)


def _check_seen(ref: ImageRef, made: Made) -> None:
    """Raise where a worker does not find a file that lies here: a folder that the machines do not share."""
    if not (isinstance(made, BadPicture) and made.reason == "missing" and ref.uri.startswith("file:///")):
        return
    if os.path.exists(path_of_uri(ref.uri)):  # noqa: PTH110 - a path of bytes
        raise SourceUnreachable(
            f"the cluster's workers do not find {ref.uri}: mount the folder at the same path on every machine"
        )
