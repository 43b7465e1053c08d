"""Writing in bulk: requests of a bounded size, some under way at once, and every item sent until it is taken."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from sosie.elastic.translation import PASSING, Refused, passing, translated

if TYPE_CHECKING:
    from sosie.elastic.address import Cluster

__all__ = ["WRITES", "Bulk", "Line"]

Line = Mapping[str, Any]

WRITES = 3  # times the patience of a question: a write may wait for the election of a master

_AT_ONCE = 2  # requests under way: one is written and one on its way, while the next is made
_BYTES = 1 << 20  # of one request, unless a single item is larger; smaller ones leave more segments to be merged
_ITEMS = 5_000


class Writer(Protocol):
    """A connection that writes, and waits for a cluster that is away for so many seconds."""

    @property
    def cluster(self) -> Cluster: ...
    @property
    def patience(self) -> float: ...
    def write(self, call: Callable[[Any], Any]) -> Any: ...


class Bulk:
    """Sends bulk requests over a connection. Thread-safe."""

    def __init__(self, connection: Writer) -> None:
        self._connection = connection
        self._senders = ThreadPoolExecutor(_AT_ONCE, "sosie-bulk")

    def close(self) -> None:
        """End the threads."""
        self._senders.shutdown()

    def run(self, operations: Sequence[Line], sources: Sequence[Line | None]) -> list[Any]:
        """Run operations; return each one's result, in order. See `Connection.bulk`."""
        results: list[Any] = [None] * len(operations)
        waiting: Sequence[int] = range(len(operations))
        cluster, deadline = self._connection.cluster, time.monotonic() + WRITES * self._connection.patience
        pause = 0.05
        while waiting:
            refused: list[int] = []
            for block, items in self._answers(_requests(waiting, operations, sources)):
                for at, item in zip(block, items, strict=True):
                    results[at] = next(iter(item.values()))
                    if results[at]["status"] in PASSING:
                        refused.append(at)
            if refused and (time.monotonic() > deadline or not passing(Refused(results[refused[0]]))):
                raise translated(cluster, Refused(results[refused[0]]))
            waiting = refused
            if waiting:
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
        if bad := next((one for one in results if one["status"] >= 400 and one["status"] not in (404, 409)), None):
            raise translated(cluster, Refused(bad))
        return results

    def _answers(self, requests: Iterator[tuple[list[int], bytes]]) -> Iterator[tuple[list[int], list[Any]]]:
        """Send requests, each made while those before it are under way; yield their answers in order.

        None is under way any more when this ends, be it by an error: what is written after that is the caller's.
        """
        under_way: deque[tuple[list[int], Future[list[Any]]]] = deque()
        try:
            for block, body in requests:
                if len(under_way) == _AT_ONCE:
                    yield under_way[0][0], under_way.popleft()[1].result()
                under_way.append((block, self._senders.submit(self._send, body)))
            while under_way:
                yield under_way[0][0], under_way.popleft()[1].result()
        finally:
            wait([answer for _, answer in under_way])

    def _send(self, body: bytes) -> list[Any]:
        answer = self._connection.write(lambda client: client.bulk(operations=[body]))
        items: list[Any] = answer["items"]
        return items


def _requests(
    waiting: Sequence[int], operations: Sequence[Line], sources: Sequence[Line | None]
) -> Iterator[tuple[list[int], bytes]]:
    """Yield the bodies of requests, and which items each holds; one is made when it is asked for."""
    from elasticsearch import JsonSerializer

    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=JsonSerializer().default)
    block: list[int] = []
    lines: list[bytes] = []
    size = 0
    for at in waiting:
        parts = [part for part in (operations[at], sources[at]) if part is not None]
        text = "".join(f"{encoder.encode(part)}\n" for part in parts).encode("utf-8", "surrogatepass")
        if block and (size + len(text) > _BYTES or len(block) == _ITEMS):
            yield block, b"".join(lines)
            block, lines, size = [], [], 0
        block.append(at)
        lines.append(text)
        size += len(text)
    if block:
        yield block, b"".join(lines)
