"""The catalogue of a library on Elasticsearch: one document a picture, with its places, labels and vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from sosie.catalogue.deeds import actor, labelling, removal
from sosie.catalogue.elastic.board import Board
from sosie.catalogue.elastic.features import Features
from sosie.catalogue.elastic.journal import Journal
from sosie.catalogue.elastic.labels import Labels
from sosie.catalogue.elastic.neighbours import Neighbours
from sosie.catalogue.elastic.reading import Reading
from sosie.catalogue.elastic.versions import Version, Versions
from sosie.catalogue.elastic.writing import Writing
from sosie.types import LabelValue

__all__ = ["ElasticCatalogue", "Version"]


class ElasticCatalogue(Neighbours, Writing, Reading, Labels, Features, Versions, Journal, Board):
    """What is known of each picture, on a cluster; it keeps the contract of ``sosie.catalogue.Store``.

    The cluster's own `dense_vector` index is the index of the library: a commit returns when searches see it.
    """

    # What people do is written to the log when it is done: a cluster has no transaction for both.

    def remove(self, ids: Sequence[int]) -> int:
        """Forget pictures altogether, with their vectors and labels."""
        known = [(one.id, one.sha256, one.uris[0] if one.uris else "") for one in self.pictures(ids)]
        found = super().remove(ids)
        if known:
            self.append_log(actor(), "remove", removal(known))
        return found

    def edit_labels(self, ids: Sequence[int], labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of many pictures."""
        super().edit_labels(ids, labels)
        self.append_log(actor(), "label", labelling(ids, labels))

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture."""
        super().set_labels(content_id, labels)
        self.append_log(actor(), "label", labelling([content_id], labels))

    def set_labels_of_each(self, labels: Mapping[int, Mapping[str, LabelValue]]) -> None:
        """Set labels of many pictures, each its own; labels of other names are kept."""
        super().set_labels_of_each(labels)
        self.append_log(actor(), "label", labelling([*labels], dict.fromkeys(chain(*labels.values()), "…")))

    def put_decision(self, a: str, b: str, decision: str, *, note: str = "", at: float | None = None) -> None:
        """Store a decision about two pictures, given by the hex SHA-256 of their bytes; the last one counts."""
        super().put_decision(a, b, decision, note=note, at=at)
        low, high = sorted((a, b))
        self.append_log(actor(), "decide", {"a": low, "b": high, "decision": decision, "note": note})

    def drop_decision(self, a: str, b: str) -> bool:
        """Take a decision back; tell whether there was one."""
        found = super().drop_decision(a, b)
        if found:
            low, high = sorted((a, b))
            self.append_log(actor(), "undecide", {"a": low, "b": high})
        return found
