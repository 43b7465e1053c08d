"""Writing pictures to Elasticsearch: every commit may be repeated, and two writers never undo each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sosie.catalogue.elastic.base import Hit
from sosie.catalogue.elastic.batch import Batch
from sosie.catalogue.elastic.documents import ids_of
from sosie.catalogue.elastic.features import Features
from sosie.catalogue.elastic.refusals import Refusals
from sosie.catalogue.records import AddContent, AddLocation, AddQuarantine, AddRegions, Change, FactValues, Space
from sosie.errors import LibraryBusy
from sosie.types import LabelValue

__all__ = ["Writing"]

_TRIES = 20  # of a commit whose documents other writers change, too
_BLOCK = 1_000  # digests and places of one question


class Writing(Features):
    """Writes pictures, places and labels."""

    def apply(self, changes: Sequence[Change], *, root: str) -> None:
        """Write what ingest found. What was written before a break is met again by the next try, and not doubled."""
        now = time.time()
        new = [change.row.sha256 for change in changes if isinstance(change, AddContent)]
        known = [change.sha256 for change in changes if isinstance(change, AddLocation)]
        uris = [change.ref.uri for change in changes]
        uris += [uri for change in changes if isinstance(change, AddLocation) for uri in change.gone]
        features: dict[str, dict[int, bytes]] = {}  # by version

        def settle(batch: Batch, refusals: Refusals) -> None:
            for change in changes:
                match change:
                    case AddContent():
                        draft = batch.put_content(change, now=now)
                        batch.put_place(draft, change.ref, root, now=now)
                        for made in change.features:
                            features.setdefault(made.version, {})[draft.source["id"]] = made.data
                    case AddLocation():
                        if known_draft := batch.known(change.sha256):  # else another writer has removed it
                            batch.put_place(known_draft, change.ref, root, now=now)
                        for uri in change.gone:
                            batch.drop_place(uri)
                    case AddQuarantine():
                        batch.drop_place(change.ref.uri)
                        refusals.put(change, root, now)
                        continue
                refusals.forget(change.ref.uri)

        with self.commit("adding pictures", self.names.pictures, self.names.quarantine):
            self._settle(settle, ids=_keys(known), new=new, uris=uris)
        for version, rows in features.items():
            self.put_features([*rows.items()], version=version)

    def drop_locations(self, uris: Sequence[str]) -> int:
        """Forget places. A picture without a place is not found any more, but costs no embedding when it is back."""

        def settle(batch: Batch, refusals: Refusals) -> None:
            for uri in uris:
                batch.drop_place(uri)
                refusals.forget(uri)

        with self.commit("dropping locations", self.names.pictures, self.names.quarantine):
            self._settle(settle, uris=uris)
        return len(uris)

    def mark_seen(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files were found where they were; ``at`` is in seconds since 1970 (None: now)."""
        moment = time.time() if at is None else at
        self._mark(uris, lambda _: {"seen_at": moment, "gone_at": None})

    def mark_gone(self, uris: Sequence[str], *, at: float | None = None) -> None:
        """Note that files are not there any more. Their pictures are not forgotten: `drop_locations` does that."""
        moment = time.time() if at is None else at
        self._mark(uris, lambda place: {"gone_at": moment if (gone := place.get("gone_at")) is None else gone})

    def _mark(self, uris: Sequence[str], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        def settle(batch: Batch, _: Refusals) -> None:
            batch.mark_places(set(uris), change)

        with self.commit("noting which files are there", self.names.pictures):
            self._settle(settle, uris=uris)

    def put_facts(self, facts: Mapping[int, Mapping[str, FactValues]]) -> None:
        """Store facts of many pictures; those of the same name are replaced, by none where there is no value."""

        def settle(batch: Batch, _: Refusals) -> None:
            for content_id, draft in batch:
                batch.put_facts(draft, facts[content_id])

        with self.commit("storing facts", self.names.pictures):
            self._settle(settle, ids=map(str, facts))

    def remove(self, ids: Sequence[int]) -> int:
        """Forget pictures altogether, with their vectors and labels."""
        with self.commit("removing pictures", self.names.pictures, self.names.features):
            found = self._delete(self.names.pictures, [str(i) for i in ids])
            features = self.by_terms(self.names.features, "id", [str(i) for i in ids])
            self._delete(self.names.features, [hit["_id"] for hit in features])
        return found

    def edit_labels(self, ids: Sequence[int], labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of many pictures."""
        self._label(dict.fromkeys(ids, labels))

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture."""
        self._label({content_id: labels})

    def set_labels_of_each(self, labels: Mapping[int, Mapping[str, LabelValue]]) -> None:
        """Set labels of many pictures, each its own; labels of other names are kept."""
        self._label(labels)

    def _label(self, labels: Mapping[int, Mapping[str, LabelValue | None]]) -> None:
        def settle(batch: Batch, _: Refusals) -> None:
            for content_id, draft in batch:
                batch.put_labels(draft, labels[content_id])

        with self.commit("editing labels", self.names.pictures):
            self._settle(settle, ids=map(str, labels))

    def replace_regions(self, found: Sequence[tuple[int, Space, AddRegions]]) -> None:
        """Write regions of pictures that are there, in the place of those that they have in a space."""

        def settle(batch: Batch, _: Refusals) -> None:
            for content_id, space, regions in found:
                if draft := batch.of(content_id):
                    batch.put_regions(draft, space.id, regions)

        with self.commit("adding regions", self.names.pictures):
            self._settle(settle, ids=(str(content_id) for content_id, _, _ in found))

    # -------------------------------------------------------------------------------------------- one commit

    def _settle(
        self,
        settle: Callable[[Batch, Refusals], None],
        *,
        ids: Iterable[str] = (),
        new: Sequence[bytes] = (),
        uris: Sequence[str] = (),
    ) -> None:
        """Read documents, let ``settle`` change them, write them; again, as long as others were faster.

        ``ids`` are read as they are now. Whether pictures with the digests ``new`` are there is asked along with who
        lies at ``uris``: one question, which sees what is committed. Where that was not all, writing says so, since a
        document is made only where there is none; then they, too, are read by their ids.
        """
        pictures, quarantine = self.names.pictures, self.names.quarantine
        keys = list(dict.fromkeys(ids))
        refused: list[Hit] = []
        for tries in range(_TRIES):
            found = self._committed(new, uris)
            hits = {hit["_id"]: hit for hit in found if hit["_index"] != quarantine}
            hits |= self.get_many(pictures, [*keys, *_keys(new)] if tries else keys)
            if not tries:  # these are counted, and a second look would count this commit's own
                refused = [hit for hit in found if hit["_index"] == quarantine]
            batch, refusals = Batch(hits.values()), Refusals(refused)
            settle(batch, refusals)
            operations, sources = batch.operations(pictures)
            beside = refusals.operations(quarantine)
            results = self.connection.bulk([*operations, *beside[0]], [*sources, *beside[1]])
            if not any(result["status"] in (404, 409) for result in results[: len(operations)]):
                return
            time.sleep(0.01 * tries)
            self.connection.write(lambda client: client.indices.refresh(index=pictures))
        raise LibraryBusy(f"others write to the same pictures at {self.cluster} all the time: try again later")

    def _committed(self, shas: Sequence[bytes], uris: Sequence[str]) -> list[Hit]:
        """Return pictures with these digests or at these places, and what was refused at those."""
        found: list[Hit] = []
        for start in range(0, max(len(shas), len(uris)), _BLOCK):
            some = list(dict.fromkeys(uris[start : start + _BLOCK]))
            terms: dict[str, list[str]] = {
                "places.uri": some,
                "uri": some,
                "sha256": [sha256.hex() for sha256 in shas[start : start + _BLOCK]],
            }
            either = [{"terms": {field: values}} for field, values in terms.items() if values]
            found += self.matching([self.names.pictures, self.names.quarantine], {"bool": {"should": either}})
        return found

    def _delete(self, index: str, keys: Sequence[str]) -> int:
        """Delete documents by key; return how many were there."""
        results = self.connection.bulk([{"delete": {"_index": index, "_id": key}} for key in keys], [None] * len(keys))
        return sum(result["status"] == 200 for result in results)


def _keys(shas: Iterable[bytes]) -> list[str]:
    return [str(i) for sha256 in shas for i in ids_of(sha256)]
