"""Writing pictures to Elasticsearch: every commit may be repeated, and two writers never undo each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sosie.catalogue.elastic.base import Base
from sosie.catalogue.elastic.batch import Batch
from sosie.catalogue.elastic.documents import ids_of, place_key
from sosie.catalogue.records import AddContent, AddLocation, AddQuarantine, AddRegions, Change, Space
from sosie.errors import LibraryBusy
from sosie.types import LabelValue

__all__ = ["Writing"]

_TRIES = 20  # of a commit whose documents other writers change, too


class Writing(Base):
    """Writes pictures, places and labels."""

    def apply(self, changes: Sequence[Change], *, root: str) -> None:
        """Write what ingest found. What was written before a break is met again by the next try, and not doubled."""
        now = time.time()
        shas = [change.row.sha256 for change in changes if isinstance(change, AddContent)]
        shas += [change.sha256 for change in changes if isinstance(change, AddLocation)]
        uris = [change.ref.uri for change in changes]
        uris += [uri for change in changes if isinstance(change, AddLocation) for uri in change.gone]

        def settle(batch: Batch) -> None:
            for change in changes:
                match change:
                    case AddContent():
                        batch.put_place(batch.put_content(change, now=now), change.ref, root)
                    case AddLocation():
                        if draft := batch.known(change.sha256):  # else another writer has removed it
                            batch.put_place(draft, change.ref, root)
                        for uri in change.gone:
                            batch.drop_place(uri)
                    case AddQuarantine():
                        batch.drop_place(change.ref.uri)

        with self.commit("adding pictures"):
            self._settle(settle, ids=(str(i) for sha256 in shas for i in ids_of(sha256)), uris=uris)
            self._put_refused(changes, root, now)

    def drop_locations(self, uris: Sequence[str]) -> int:
        """Forget places. A picture without a place is not found any more, but costs no embedding when it is back."""

        def settle(batch: Batch) -> None:
            for uri in uris:
                batch.drop_place(uri)

        with self.commit("dropping locations"):
            self._settle(settle, uris=uris)
            self._delete(self.names.quarantine, [place_key(uri) for uri in uris])
        return len(uris)

    def remove(self, ids: Sequence[int]) -> int:
        """Forget pictures altogether, with their vectors and labels."""
        with self.commit("removing pictures"):
            found = self._delete(self.names.pictures, [str(i) for i in ids])
            features = self.by_terms(self.names.features, "id", [str(i) for i in ids])
            self._delete(self.names.features, [hit["_id"] for hit in features])
        return found

    def edit_labels(self, ids: Sequence[int], labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of many pictures."""

        def settle(batch: Batch) -> None:
            for _, draft in batch:
                batch.put_labels(draft, labels)

        with self.commit("editing labels"):
            self._settle(settle, ids=(str(i) for i in ids))

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture."""
        self.edit_labels([content_id], labels)

    def replace_regions(self, found: Sequence[tuple[int, Space, AddRegions]]) -> None:
        """Write regions of pictures that are there, in the place of those that they have in a space."""

        def settle(batch: Batch) -> None:
            for content_id, space, regions in found:
                if draft := batch.of(content_id):
                    batch.put_regions(draft, space.id, regions)

        with self.commit("adding regions"):
            self._settle(settle, ids=(str(content_id) for content_id, _, _ in found))

    # -------------------------------------------------------------------------------------------- one commit

    def _settle(self, settle: Callable[[Batch], None], *, ids: Iterable[str] = (), uris: Iterable[str] = ()) -> None:
        """Read documents, let ``settle`` change them, write them; again, as long as others were faster."""
        keys, places = list(dict.fromkeys(ids)), list(dict.fromkeys(uris))
        for tries in range(_TRIES):
            at_places = self.by_terms(self.names.pictures, "places.uri", places)
            hits = {hit["_id"]: hit for hit in at_places} | self.get_many(self.names.pictures, keys)
            batch = Batch(hits.values())
            settle(batch)
            results = self.connection.bulk(*batch.operations(self.names.pictures))
            if not any(result["status"] in (404, 409) for result in results):
                return
            time.sleep(0.01 * tries)
            self.connection.write(lambda client: client.indices.refresh(index=self.names.pictures))
        raise LibraryBusy(f"others write to the same pictures at {self.cluster} all the time: try again later")

    def _put_refused(self, changes: Sequence[Change], root: str, now: float) -> None:
        """Keep what was refused, and forget that of what is a picture now."""
        known = self.get_many(self.names.quarantine, {place_key(change.ref.uri) for change in changes})
        refused: dict[str, dict[str, Any] | None] = {}
        for change in changes:
            key = place_key(change.ref.uri)
            if not isinstance(change, AddQuarantine):
                refused[key] = None
                continue
            before = refused.get(key) or (known[key]["_source"] if key in known else {"tries": 0})
            ref = change.ref
            refused[key] = {
                "uri": ref.uri, "reason": change.reason, "detail": change.detail, "root": before.get("root", root),
                "size": ref.size, "mtime_ns": ref.mtime_ns, "inode": ref.inode, "tries": before["tries"] + 1, "at": now,
            }  # fmt: skip
        written = {key: source for key, source in refused.items() if source is not None}
        where = [{"index": {"_index": self.names.quarantine, "_id": key}} for key in written]
        self.connection.bulk(where, list(written.values()))
        self._delete(self.names.quarantine, [key for key, source in refused.items() if source is None and key in known])

    def _delete(self, index: str, keys: Sequence[str]) -> int:
        """Delete documents by key; return how many were there."""
        results = self.connection.bulk([{"delete": {"_index": index, "_id": key}} for key in keys], [None] * len(keys))
        return sum(result["status"] == 200 for result in results)
