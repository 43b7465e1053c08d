"""What a commit makes of the documents it touches: read, changed in memory, written back if nobody else was faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sosie.catalogue.elastic.documents import (
    document,
    fact_fields,
    facts_of,
    ids_of,
    label_fields,
    labels_of,
    packed,
    place,
    place_fields,
)
from sosie.catalogue.elastic.mapping import regions_field, vector_field
from sosie.catalogue.elastic.region_documents import regions
from sosie.catalogue.records import AddContent, AddRegions, FactValues
from sosie.errors import DamagedError
from sosie.types import ImageRef, LabelValue

__all__ = ["Batch", "Draft"]


@dataclass(slots=True)
class Draft:
    """One document: as it was read (``seen`` is its sequence number and term, None for a new one), and what changed."""

    source: dict[str, Any]
    seen: tuple[int, int] | None
    changed: dict[str, Any] = field(default_factory=dict)

    def set(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the document; those that stay as they were are not written."""
        for name, value in fields.items():
            if self.source.get(name) != value:
                self.changed[name] = self.source[name] = value


class Batch:
    """The documents of one commit, by id."""

    def __init__(self, hits: Iterable[Mapping[str, Any]]) -> None:
        self._drafts: dict[int, Draft] = {}
        self._at: defaultdict[str, set[int]] = defaultdict(set)  # uri → the documents that name it
        for hit in hits:
            draft = Draft(dict(hit["_source"]), (hit["_seq_no"], hit["_primary_term"]))
            self._drafts[int(hit["_id"])] = draft
            for one in draft.source["places"]:
                self._at[one["uri"]].add(draft.source["id"])

    def known(self, sha256: bytes) -> Draft | None:
        """Return the document of the picture with these bytes."""
        for content_id in ids_of(sha256):
            draft = self._drafts.get(content_id)
            if draft and draft.source["sha256"] == sha256.hex():
                return draft
        return None

    def put_content(self, change: AddContent, *, now: float) -> Draft:
        """Add a picture, or give a known one the vectors that it lacks."""
        draft = self.known(change.row.sha256)
        if draft is None:
            content_id = next((i for i in ids_of(change.row.sha256) if i not in self._drafts), None)
            if content_id is None:
                raise DamagedError(f"three pictures share the ids of {change.row.sha256.hex()}: leave that one out")
            source = document(content_id, change.row, added_at=change.added_at or now)
            draft = self._drafts[content_id] = Draft(source, None, dict(source))
        for space_id, found in change.regions.items():
            self.put_regions(draft, space_id, found)
        draft.set({"spaces": sorted({*draft.source["spaces"], *change.vectors})})
        for space_id, vector in change.vectors.items():
            draft.changed[vector_field(space_id)] = packed(vector)
        if change.facts:
            self.put_facts(draft, change.facts)
        return draft

    def put_regions(self, draft: Draft, space_id: int, found: AddRegions) -> None:
        """Give a picture regions in the place of those that it has in a space."""
        draft.set({"spaces": sorted({*draft.source["spaces"], space_id})})
        draft.changed[regions_field(space_id)] = regions(found)

    def of(self, content_id: int) -> Draft | None:
        """Return the document with an id."""
        return self._drafts.get(content_id)

    def put_place(self, draft: Draft, ref: ImageRef, root: str, *, now: float) -> None:
        """Say that a picture lies at ``ref``, and no other does; its labels come along."""
        for content_id in self._at[ref.uri] - {draft.source["id"]}:
            self._leave(self._drafts[content_id], ref.uri)
        self._at[ref.uri] = {draft.source["id"]}
        others = [one for one in draft.source["places"] if one["uri"] != ref.uri]
        draft.set(place_fields([*others, place(ref, root, now=now)]))
        self.put_labels(draft, ref.labels)

    def mark_places(self, uris: Collection[str], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Change what is known of places beside the picture there."""
        for content_id in {content_id for uri in uris for content_id in self._at.get(uri, ())}:
            draft = self._drafts[content_id]
            places = [{**one, **change(one)} if one["uri"] in uris else one for one in draft.source["places"]]
            draft.set(place_fields(places))

    def put_facts(self, draft: Draft, facts: Mapping[str, FactValues]) -> None:
        """Set facts; those of other names are kept."""
        draft.set(fact_fields({**facts_of(draft.source), **facts}))

    def drop_place(self, uri: str) -> None:
        """Say that no picture lies at ``uri``."""
        for content_id in self._at.pop(uri, ()):
            self._leave(self._drafts[content_id], uri)

    @staticmethod
    def _leave(draft: Draft, uri: str) -> None:
        draft.set(place_fields([one for one in draft.source["places"] if one["uri"] != uri]))

    def put_labels(self, draft: Draft, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels; others are kept."""
        if labels:
            merged = {**labels_of(draft.source), **labels}
            draft.set(label_fields({name: value for name, value in merged.items() if value is not None}))

    def __iter__(self) -> Iterator[tuple[int, Draft]]:
        return iter(self._drafts.items())

    def operations(self, index: str) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any] | None]]:
        """Return the bulk operations, with their sources, that write what has changed.

        A new document is written only where there is none, a known one only where it is as it was read.
        """
        operations: list[Mapping[str, Any]] = []
        sources: list[Mapping[str, Any] | None] = []
        for content_id, draft in self._drafts.items():
            if not draft.changed:
                continue
            where = {"_index": index, "_id": str(content_id)}
            if draft.seen is None:
                operations.append({"create": where})
                sources.append({**draft.source, **draft.changed})
            else:
                seen = {"if_seq_no": draft.seen[0], "if_primary_term": draft.seen[1]}
                operations.append({"update": {**where, **seen}})
                sources.append({"doc": draft.changed})
        return operations, sources
