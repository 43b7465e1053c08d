"""Speaking to a cluster: one client, patience with what passes, and foreign errors made ours."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sosie.elastic.address import Cluster
from sosie.elastic.bulk import WRITES, Bulk
from sosie.elastic.translation import Refused, passing, translated
from sosie.errors import LibraryClosed, UsageError
from sosie.extras import missing

__all__ = ["Connection"]

T = TypeVar("T")

_PAGE = 5_000


class Connection:
    """The client of one cluster. Every call waits out what passes and raises SosieErrors only. Thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.patience = cluster.patience
        self._limited: dict[float, Any] = {}
        self._bulk = Bulk(self)
        self._closed = False
        try:
            from elasticsearch import Elasticsearch
        except ModuleNotFoundError as error:
            raise missing("Elasticsearch needs its client", "elasticsearch") from error
        try:
            self.client = Elasticsearch(
                list(cluster.hosts),
                api_key=cluster.api_key,
                basic_auth=(cluster.username, cluster.password or "") if cluster.username else None,
                **_tls(cluster),
                max_retries=0,  # ``wait_out`` does that, within the patience of the caller
                retry_on_timeout=False,
            )
        except (ValueError, OSError) as error:
            raise UsageError(f"these options cannot reach {cluster}: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        """Close the client's connections; what comes then is refused."""
        self._closed = True
        self._bulk.close()
        self.client.close()

    def wait_out(self, call: Callable[[Any], T], *, patience: float | None = None) -> T:
        """Return ``call(client)``, tried again while the cluster is away or busy, for at most ``patience`` seconds.

        ``call`` must bear being run twice: a connection may break after the cluster has done its work.
        """
        import elasticsearch

        if self._closed:
            raise LibraryClosed(f"the library at {self.cluster} was closed: open it again with sosie.open")
        deadline = time.monotonic() + (patience or self.patience)
        pause = 0.05
        while True:
            left = max(0.05, deadline - time.monotonic())
            try:
                return call(self._within(left))
            except (Refused, elasticsearch.ApiError, elasticsearch.TransportError) as error:
                if not passing(error) or time.monotonic() + pause >= deadline:
                    raise translated(self.cluster, error) from error
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that writers do not march in step
            pause = min(2 * pause, 5.0)

    def _within(self, seconds: float) -> Any:
        """Return the client with a time limit. Each is kept: making one takes longer than many a search."""
        limit = math.ceil(seconds * 10) / 10
        if limit not in self._limited:
            self._limited[limit] = self.client.options(request_timeout=limit)
        return self._limited[limit]

    def write(self, call: Callable[[Any], T]) -> T:
        """Return ``call(client)``, with the patience of a write."""
        return self.wait_out(call, patience=WRITES * self.patience)

    def bulk(self, operations: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any] | None]) -> list[Any]:
        """Run bulk operations; return each one's result, in order, once all are done.

        Requests are bounded in bytes, and two are under way at once: operations of one call are done in any order, so
        none may depend on another. An item that the cluster was too busy for is sent again, alone with its like, until
        it is taken; conflicts (409) and what is not there (404) are the caller's to judge. Raises for anything else.
        """
        return self._bulk.run(operations, sources)

    def search_each(self, index: str, searches: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Run several searches at once; return their answers in order. All are asked again where one is refused."""
        head = {"index": index, "allow_partial_search_results": False}
        body = [part for search in searches for part in (head, search)]

        def ask(client: Any) -> list[Any]:
            answers = client.msearch(searches=body)["responses"]
            if failed := next((answer for answer in answers if "error" in answer), None):
                raise Refused(failed)
            return list(answers)

        return self.wait_out(ask)

    def scan(
        self, index: str, *, key: str, query: Mapping[str, Any], page: int = _PAGE, **what: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield every hit of a query in order of the unique field ``key``, page by page."""
        after: list[Any] | None = None
        while True:
            hits = self.wait_out(
                lambda client, after=after: client.search(  # type: ignore[misc]
                    index=index,
                    query=query,
                    size=page,
                    sort=[{key: "asc"}],
                    search_after=after,
                    track_total_hits=False,
                    allow_partial_search_results=False,
                    **what,
                )
            )["hits"]["hits"]
            yield from hits
            if len(hits) < page:
                return
            after = hits[-1]["sort"]


def _tls(cluster: Cluster) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if cluster.ca_certs:
        if not Path(cluster.ca_certs).is_file():
            raise UsageError(f"ca_certs is the file of a certificate authority, and {cluster.ca_certs} is none")
        options["ca_certs"] = cluster.ca_certs
    if cluster.fingerprint:
        options["ssl_assert_fingerprint"] = cluster.fingerprint
    return options
