"""Reading labels from Elasticsearch: terms are counted there, names and values are told apart here."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TypeVar

from sosie.catalogue.elastic.base import Base
from sosie.catalogue.elastic.documents import NUL, labels_of, number_of
from sosie.catalogue.elastic.query import Query, live_and
from sosie.types import LabelValue, number_text

__all__ = ["Labels", "most_first"]

T = TypeVar("T", str, tuple[str, str])


class Labels(Base):
    """Reads the labels of pictures."""

    def labels_of(self, content_id: int) -> dict[str, LabelValue]:
        """Return the labels of one picture; a label of several values is a tuple."""
        found = self.get(self.names.pictures, str(content_id))
        return labels_of(found["_source"]) if found else {}

    def all_labels(self) -> dict[int, dict[str, LabelValue]]:
        """Return the labels of every picture that has any, by content id."""
        return self._labels({"exists": {"field": "names"}})

    def label_counts(self, condition: Query | None = None) -> dict[str, dict[str, int]]:
        """Return how many live pictures carry each value of each label, most frequent first."""
        query = live_and(condition)
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, count in self.buckets("texts", query):
            name, _, text = key.partition(NUL)
            counts[name][text] += count
        for key, count in self.buckets("numbers", query):
            name, number = number_of(key)
            counts[name][number_text(number)] += count
        return {name: most_first(found) for name, found in sorted(counts.items())}

    def label_cross(self, first: str, second: str, condition: Query | None = None) -> dict[tuple[str, str], int]:
        """Return how many live pictures carry each pair of values of two labels, most frequent first."""
        both = [{"term": {"names": first}}, {"term": {"names": second}}, live_and(condition)]
        pairs: Counter[tuple[str, str]] = Counter()
        for labels in self._labels({"bool": {"filter": both}}).values():
            pairs.update((one, other) for one in _texts(labels[first]) for other in _texts(labels[second]))
        return most_first(pairs)

    def label_kinds(self) -> dict[str, list[str]]:
        """Return of which kinds the values of each label are; more than one is worth a look."""
        kinds: defaultdict[str, set[str]] = defaultdict(set)
        for labels in self.all_labels().values():
            for name, value in labels.items():
                kinds[name].add(_kind(value))
        return {name: sorted(found) for name, found in sorted(kinds.items())}

    def _labels(self, query: Query) -> dict[int, dict[str, LabelValue]]:
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source_includes=["labels"])
        return {hit["sort"][0]: labels_of(hit["_source"]) for hit in hits}


def _texts(value: LabelValue) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value if isinstance(value, str) else number_text(value),)


def _kind(value: LabelValue) -> str:
    if isinstance(value, tuple):
        return "multi"
    return "single" if isinstance(value, str) else "number"


def most_first(counts: Counter[T]) -> dict[T, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
