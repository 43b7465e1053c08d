"""Versions of the pictures' index behind its alias: built beside the one that answers, swapped in one step, and back.

While a version is built nobody writes: the one that answers is closed to writers (they are told that the library is
busy), never to readers. Afterwards it is kept as it was, and can answer again for as long as nothing new was written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sosie.catalogue.elastic import mapping
from sosie.catalogue.elastic.documents import packed
from sosie.catalogue.elastic.mapping import index_body, regions_field, vector_field
from sosie.catalogue.elastic.notes import Notes
from sosie.catalogue.elastic.region_documents import restore_vectors
from sosie.elastic import KINDS
from sosie.errors import DamagedError, UnknownName, UsageError
from sosie.registry import nearest

__all__ = ["Version", "Versions"]

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the index: its number, the type of its vectors, what it holds, whether it answers."""

    number: int
    kind: str
    pictures: int
    bytes: int
    current: bool
    recall: Mapping[str, float]  # space id → what was measured at 10


class Versions(Notes):
    """Builds, swaps and drops versions."""

    def versions(self) -> list[Version]:
        """Return every version that is kept, oldest first."""
        current = self._version()
        found = self.connection.wait_out(lambda client: client.indices.get(index=f"{self.names.pictures}-*"))
        stats = self.connection.wait_out(
            lambda client: client.indices.stats(index=f"{self.names.pictures}-*", metric=["docs", "store"])
        )["indices"]
        return [
            Version(
                number=int(name.rpartition("-")[2]),
                kind=_meta(found[name]).get("kind", ""),
                pictures=stats[name]["primaries"]["docs"]["count"],
                bytes=stats[name]["primaries"]["store"]["size_in_bytes"],
                current=name == current,
                recall=_meta(found[name]).get("recall", {}),
            )
            for name in sorted(found)
        ]

    def rebuild(
        self,
        kind: str,
        *,
        search: Mapping[int, Mapping[str, Any]] | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Version:
        """Build a version with vectors of another type, or the same anew, and let it answer.

        ``search`` is, by space, how thoroughly it is searched, see `ClusterView`. Readers notice nothing. Where it
        cannot be finished, all is as before. Raises UsageError, LibraryBusy.
        """
        if kind not in KINDS:
            raise UsageError(f"no kind of vector index there is called {kind!r}; {nearest(kind, KINDS)}")
        with self.writing("building an index"), self._closed(self._current()) as old:
            number = max(version.number for version in self.versions()) + 1
            new = self.names.version(number)
            fields = mapping.pictures(self.spaces(), kind=kind, oversample=self.cluster.oversample)
            self.make_index(new, index_body(replace(self.cluster, kind=kind), fields, kind=kind))
            settings = {str(space_id): dict(one) for space_id, one in (search or {}).items()}
            try:
                self._put_meta(new, {**self._meta_of(new), "search": settings})
                self._copy(old, new, progress)
                self._swap(old, new)
            except BaseException:
                with contextlib.suppress(Exception):
                    self.connection.write(lambda client: client.indices.delete(index=new))
                raise
        return next(version for version in self.versions() if version.number == number)

    def use(self, number: int) -> Version:
        """Let an older version answer again; raise UsageError where pictures were written since it did."""
        wanted = next((version for version in self.versions() if version.number == number), None)
        if wanted is None:
            known = ", ".join(str(version.number) for version in self.versions())
            raise UnknownName(f"no version {number} is kept; known: {known}")
        if wanted.current:
            return wanted
        target = self.names.version(number)
        with self.writing("swapping indexes"), self._closed(self._current()) as old:
            if self._meta_of(old).get("twins", {}).get(target) != self._last_write(old):
                raise UsageError(
                    f"pictures were written since version {number} answered: build it anew, "
                    f"`sosie index build --kind {wanted.kind}`"
                )
            self._swap(old, target)
        return replace(wanted, current=True)

    def drop(self, number: int) -> None:
        """Delete a version that does not answer; raise UsageError for the one that does."""
        if self._current() == self.names.version(number):
            raise UsageError(f"version {number} answers; another has to be used before it can be dropped")
        self.connection.write(lambda client: client.indices.delete(index=self.names.version(number)))

    def put_recall(self, space_id: int, recall: float) -> None:
        """Remember what recall at 10 was measured in a space of the version that answers."""
        current = self._current()
        meta = self._meta_of(current)
        self._put_meta(current, {**meta, "recall": {**meta.get("recall", {}), str(space_id): recall}})

    # -------------------------------------------------------------------------------------------- steps

    def _current(self) -> str:
        current = self._version()
        assert current is not None
        return current

    @contextlib.contextmanager
    def _closed(self, index: str) -> Iterator[str]:
        """Close an index to writers; open it again, unless it does not answer any more."""
        self.connection.write(lambda client: client.indices.add_block(index=index, block="write"))
        try:
            self.connection.write(lambda client: client.indices.refresh(index=index))
            yield index
        finally:
            if self._version() == index:
                self._open(index)

    def _open(self, index: str) -> None:
        self.connection.write(
            lambda client: client.indices.put_settings(index=index, settings={"index.blocks.write": None})
        )

    def _copy(self, old: str, new: str, progress: Callable[[int], None]) -> None:
        """Copy every document with its vectors; raise DamagedError where some did not arrive."""
        batch: list[dict[str, Any]] = []
        done = 0
        spaces = self.spaces()
        light = [f"{regions_field('*')}.vector"]  # they are there twice, and as numbers they would be most of the bytes
        hits = self.connection.scan(
            old,
            key="id",
            query={"match_all": {}},
            page=_BATCH,
            source_exclude_vectors=False,
            source_excludes=light,
        )
        for hit in hits:
            source = dict(hit["_source"])
            for space in spaces:
                if space.regions != "whole":
                    restore_vectors(source.get(regions_field(space.id), []))
                elif (field := vector_field(space.id)) in source:
                    source[field] = packed(np.asarray(source[field], np.float32))
            batch.append(source)
            if len(batch) == _BATCH:
                done += self._write_copies(new, batch)
                batch = []
                progress(done)
        done += self._write_copies(new, batch)
        progress(done)
        self.connection.write(lambda client: client.indices.refresh(index=new))
        there, wanted = (self.count(index, {"match_all": {}}) for index in (new, old))
        if there != wanted:
            raise DamagedError(f"{there} of {wanted} pictures arrived in the new index: build it again")

    def _write_copies(self, index: str, batch: list[dict[str, Any]]) -> int:
        where = [{"index": {"_index": index, "_id": str(source["id"])}} for source in batch]
        self.connection.bulk(where, batch)
        return len(batch)

    def _swap(self, old: str, new: str) -> None:
        """Let ``new`` answer in place of ``old``, in one step; note that they hold the same."""
        meta = self._meta_of(new)
        self._open(new)
        self._put_meta(new, {**meta, "twins": {old: self._last_write(new)}})
        alias = self.names.pictures
        actions = [{"remove": {"index": old, "alias": alias}}, {"add": {"index": new, "alias": alias}}]
        self.connection.write(lambda client: client.indices.update_aliases(actions=actions))

    def _last_write(self, index: str) -> list[int]:
        """Return the number of the last write to each shard."""
        found = self.connection.wait_out(lambda client: client.indices.stats(index=index, level="shards"))
        shards = found["indices"][index]["shards"]
        return [max(copy["seq_no"]["max_seq_no"] for copy in shards[shard]) for shard in sorted(shards, key=int)]

    def _meta_of(self, index: str) -> dict[str, Any]:
        found = self.connection.wait_out(lambda client: client.indices.get(index=index))
        return _meta(found[index])

    def _put_meta(self, index: str, meta: Mapping[str, Any]) -> None:
        self.connection.write(lambda client: client.indices.put_mapping(index=index, meta={"sosie": dict(meta)}))


def _meta(index: Mapping[str, Any]) -> dict[str, Any]:
    return dict(index["mappings"].get("_meta", {}).get("sosie", {}))
