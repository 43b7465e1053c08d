"""A library's indices on a cluster: made, opened, checked; and what every part of the catalogue does with them."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sosie.catalogue.elastic import mapping
from sosie.catalogue.elastic.mapping import Names, index_body, regions_field
from sosie.elastic import Cluster, Connection
from sosie.errors import DamagedError, LibraryReadOnly, NewerSchema, NotFound, ServiceAway

__all__ = ["Base", "Hit"]

Hit = Mapping[str, Any]

_BLOCK = 500  # ids of one request
_EPOCH_KEPT = 0.5  # seconds


class Base:
    """The indices of one library. Made where there are none and ``create`` allows it."""

    def __init__(self, cluster: Cluster, *, create: bool = True, read_only: bool = False) -> None:
        self.cluster = cluster
        self.read_only = read_only
        self.names = Names(cluster.name)
        self.connection = Connection(cluster)
        self._epoch = (-math.inf, 0)  # when it was read, and what it was
        if not self._version():
            if not create or read_only:
                raise NotFound(f"there is no library at {cluster}: `sosie add FOLDER --library '{cluster}'` makes one")
            self._create()
        self._check()

    def close(self) -> None:
        """Close the connections to the cluster."""
        self.connection.close()

    def destroy(self) -> None:
        """Delete the library with all that it knows."""
        with self.writing("deleting the library"):
            indices = [f"{self.names.pictures}-*", self.names.notes, self.names.quarantine, self.names.features]
            found = self.connection.wait_out(
                lambda client: client.indices.get(index=indices, ignore_unavailable=True, features="aliases")
            )
            if found:  # by their own names: clusters refuse to delete what is named by a pattern
                self.connection.write(lambda client: client.indices.delete(index=list(found), ignore_unavailable=True))

    @contextlib.contextmanager
    def writing(self, what: str, *, wait: float = 10.0) -> Iterator[None]:
        """Be a writer. Any number may write at once: ids follow from contents, and documents are compared and set."""
        if self.read_only:
            raise LibraryReadOnly(f"{self.cluster} was opened for reading only, so {what} cannot be done")
        yield

    @contextlib.contextmanager
    def commit(self, what: str, *touched: str) -> Iterator[None]:
        """Run a block that writes; then let every later question see it, and move the epoch on.

        ``touched`` are the indices that the block writes to; none stands for all.
        """
        with self.writing(what):
            yield
            indices = touched or (self.names.pictures, self.names.notes, self.names.quarantine, self.names.features)
            self.connection.write(lambda client: client.indices.refresh(index=list(indices)))
            # only now: who sees the new epoch and then looks must see what it stands for
            written = self.connection.write(
                lambda client: client.index(index=self.names.notes, id="epoch", document={"what": "epoch"})
            )
            self._epoch = time.monotonic(), int(written["_version"])

    def health(self) -> dict[str, Any]:
        """Say of what colour the library's indices are, and how many nodes there are; raise ServiceAway for red.

        Yellow: everything answers, but a shard lacks a copy that it should have.
        """
        names = [self.names.pictures, self.names.notes, self.names.quarantine, self.names.features]
        found = self.connection.wait_out(lambda client: client.cluster.health(index=names, timeout="1s"))
        if found["status"] == "red":
            raise ServiceAway(f"an index at {self.cluster} is red: a shard has no copy left; bring its node back")
        return {"cluster": found["status"], "nodes": found["number_of_nodes"]}

    def steady(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing: what is known of the epoch is kept for half a second anyway."""
        return contextlib.nullcontext()

    def epoch(self) -> int:
        """Return a number that grows with every commit; one of another process is noticed within half a second.

        Every question asks for it; searches themselves see every commit, whatever is known here.
        """
        read_at, known = self._epoch
        if time.monotonic() - read_at < _EPOCH_KEPT:
            return known
        found = self.get(self.names.notes, "epoch")
        self._epoch = time.monotonic(), int(found["_version"]) if found else 0
        return self._epoch[1]

    # -------------------------------------------------------------------------------------------- indices

    def _version(self) -> str | None:
        """Return the name of the index that the alias stands for."""
        try:
            found = self.connection.wait_out(lambda client: client.indices.get_alias(name=self.names.pictures))
        except NotFound:
            return None
        return str(max(found))

    def _create(self) -> None:
        names, cluster = self.names, self.cluster
        fields = mapping.pictures([], kind=cluster.kind, oversample=cluster.oversample)
        first = {**index_body(cluster, fields, kind=cluster.kind), "aliases": {names.pictures: {}}}
        bodies = {
            names.notes: index_body(cluster, mapping.NOTES),
            names.quarantine: index_body(cluster, mapping.QUARANTINE),
            names.features: index_body(cluster, mapping.FEATURES),
        }
        with ThreadPoolExecutor(len(bodies)) as pool:
            list(pool.map(self.make_index, bodies, bodies.values()))
        self.make_index(names.version(1), first)  # the last one: only with its alias is the library there

    def make_index(self, name: str, body: Mapping[str, Any]) -> None:
        """Make an index, unless it is there: another process may have been faster."""
        self.connection.write(
            lambda client: (
                client.options(ignore_status=400).indices.create(
                    index=name, **body, wait_for_active_shards="1", timeout="30s"
                )
                if not client.indices.exists(index=name)
                else None
            )
        )

    def _check(self) -> None:
        """Read the mapping; raise NewerSchema, or DamagedError where it is none of ours."""
        number = self.meta().get("schema")
        if not isinstance(number, int):
            raise DamagedError(f"the indices at {self.cluster} are not of Sosie: choose another name")
        if number > mapping.SCHEMA:
            raise NewerSchema(
                f"{self.cluster} was written by a newer Sosie (schema {number}, this one knows {mapping.SCHEMA}): "
                "upgrade Sosie"
            )
        if number < mapping.SCHEMA and not self.read_only:
            self._migrate(number)

    def _migrate(self, number: int) -> None:
        """Give every version of an older library the fields that it lacks; no document is read or written."""
        versions = self.connection.wait_out(lambda client: client.indices.get_mapping(index=f"{self.names.pictures}-*"))
        for added in range(number + 1, mapping.SCHEMA + 1):
            for name, found in versions.items():
                known = found["mappings"]["_meta"]["sosie"]
                self.connection.write(
                    lambda client, name=name, meta={**known, "schema": added}, fields=mapping.ADDED[added]: (  # type: ignore[misc]
                        client.indices.put_mapping(index=name, properties=fields, meta={"sosie": meta})
                    )
                )

    def meta(self) -> dict[str, Any]:
        """Return what the mapping of the pictures says of itself."""
        found = self.connection.wait_out(lambda client: client.indices.get_mapping(index=self.names.pictures))
        index = max(found)
        return {**found[index]["mappings"].get("_meta", {}).get("sosie", {}), "index": index}

    # -------------------------------------------------------------------------------------------- reading

    def get(self, index: str, key: str) -> Hit | None:
        """Return one document as it is now, committed or not."""
        return self.get_many(index, [key]).get(key)

    def get_many(self, index: str, keys: Iterable[str], *, only: Sequence[str] | None = None) -> dict[str, Hit]:
        """Return the documents of these keys that are there, as they are now."""
        found: dict[str, Hit] = {}
        for block in _blocks(keys):
            answer = self.connection.wait_out(
                lambda client, block=block: client.mget(  # type: ignore[misc]
                    index=index, ids=block, source_includes=only, source_excludes=None if only else self._heavy(index)
                )
            )
            found.update((hit["_id"], hit) for hit in answer["docs"] if hit.get("found"))
        return found

    def by_terms(self, index: str, field: str, values: Iterable[str]) -> list[Hit]:
        """Return the committed documents whose ``field`` has one of these values."""
        return [hit for block in _blocks(values) for hit in self.matching([index], {"terms": {field: block}})]

    def matching(self, indices: Sequence[str], query: Mapping[str, Any]) -> list[Hit]:
        """Return the committed documents, of which there are few, that meet a query."""
        hits: list[Hit] = self.connection.wait_out(
            lambda client: client.search(
                index=list(indices),
                query=query,
                size=10_000,
                source_excludes=[regions_field("*")],
                seq_no_primary_term=True,
                track_total_hits=False,
                allow_partial_search_results=False,
            )
        )["hits"]["hits"]
        return hits

    def _heavy(self, index: str) -> Sequence[str] | None:
        """Return what is left out of documents unless it is asked for: the regions of pictures."""
        return [regions_field("*")] if index == self.names.pictures else None

    def count(self, index: str, query: Mapping[str, Any]) -> int:
        """Return how many committed documents meet a query."""
        return int(self.connection.wait_out(lambda client: client.count(index=index, query=query))["count"])

    def buckets(self, field: str, query: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        """Yield every term of a field of the pictures that meet a query, in order, with how many have it."""
        after: Mapping[str, Any] | None = None
        while True:
            sources = [{"term": {"terms": {"field": field}}}]
            composite = {"size": 5_000, "sources": sources, **({"after": after} if after else {})}
            answer = self.connection.wait_out(
                lambda client, composite=composite: client.search(  # type: ignore[misc]
                    index=self.names.pictures,
                    query=query,
                    size=0,
                    aggs={"terms": {"composite": composite}},
                    allow_partial_search_results=False,
                )
            )["aggregations"]["terms"]
            for bucket in answer["buckets"]:
                yield bucket["key"]["term"], int(bucket["doc_count"])
            after = answer.get("after_key")
            if after is None:
                return


def _blocks(values: Iterable[str]) -> Iterator[list[str]]:
    left = iter(values)
    while block := list(itertools.islice(left, _BLOCK)):
        yield block
