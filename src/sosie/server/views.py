"""What the templates show: plain values made from hits and records, every text of a file safe to display."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sosie.catalogue import PictureRecord
from sosie.catalogue.where import FACTS as KNOWN_FACTS
from sosie.catalogue.where import labels_needed, parse
from sosie.library import Library
from sosie.present.text import display_path, visible
from sosie.present.verdicts import VERDICTS
from sosie.server.places import shown_path
from sosie.server.state import State
from sosie.types import Box, Hit, LabelValue, number_text

__all__ = [
    "FACTS",
    "Card",
    "Facet",
    "cards_of_hits",
    "cards_of_records",
    "counts_within",
    "facets",
    "label_texts",
    "name_of",
    "unknown_labels",
    "where_of",
]

FACET_VALUES = 12
FACETS = ("exif.camera", "exif.keywords", "exif.lens", "tag")  # facts that are filtered by, beside labels
FACTS = {  # evidence that the page explains, with its unit; everything else is a raw value
    "decision": "text",
    "inliers": "count",
    "query_share": "share",
    "reference_share": "share",
    "correlation": "share",
    "turn": "degrees",
    "mirrored": "yes",
    "pdq_distance": "count",
    "psnr": "decibels",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A picture in a grid; ``hit`` is None where it is not an answer."""

    id: int
    name: str
    path: str
    width: int
    height: int
    labels: tuple[tuple[str, str], ...]
    hit: Hit | None = None

    @property
    def ratio(self) -> int:
        """Width over height in tenths, cut to 7..24: the style has a class for each, and bars for the outermost."""
        return min(24, max(7, round(10 * self.width / max(self.height, 1))))

    @property
    def tone(self) -> str:
        """The colour of the verdict's badge."""
        return VERDICTS[self.hit.verdict].tone if self.hit else ""

    @property
    def facts(self) -> list[tuple[str, str, Any]]:
        """The evidence that has words, as (name, unit, value); a share of nothing and a no are left out."""
        evidence = self.hit.evidence if self.hit else {}
        return [(name, unit, evidence[name]) for name, unit in FACTS.items() if evidence.get(name) not in (None, False)]


@dataclass(frozen=True, slots=True)
class Facet:
    """A label one can filter by: its values, how many pictures have each, and which are chosen."""

    name: str
    values: tuple[tuple[str, int, bool], ...]
    rest: tuple[tuple[str, int, bool], ...]


def cards_of_hits(state: State, hits: Sequence[Hit]) -> list[Card]:
    """Return the cards of an answer, in its order."""
    records = {record.id: record for record in state.library.catalogue.pictures([hit.id for hit in hits])}
    return [_card(records[hit.id], hit) for hit in hits if hit.id in records]


def cards_of_records(records: Iterable[PictureRecord]) -> list[Card]:
    """Return the cards of pictures that are no answers."""
    return [_card(record, None) for record in records]


def _card(record: PictureRecord, hit: Hit | None) -> Card:
    uri = record.uris[0] if record.uris else ""
    return Card(
        record.id,
        name_of(uri) or f"#{record.id}",
        shown_path(uri),
        record.width,
        record.height,
        label_texts(record.labels),
        hit,
    )


def name_of(uri: str) -> str:
    """Return the last part of a location, as people write it."""
    return display_path(uri).rstrip("/").rsplit("/", 1)[-1]


def label_texts(labels: Mapping[str, LabelValue]) -> tuple[tuple[str, str], ...]:
    """Return (label, value) pairs as text, one for each value."""
    pairs = []
    for name, value in labels.items():
        values = value if isinstance(value, tuple) else (value,)
        pairs += [(visible(name), visible(number_text(v) if isinstance(v, float) else str(v))) for v in values]
    return tuple(pairs)


def facets(counts: Mapping[str, Mapping[str, int]], chosen: Sequence[str]) -> list[Facet]:
    """Return what can be filtered by: for each label its most frequent values, chosen ones first."""
    picked = {pair.partition(":")[::2] for pair in chosen}
    found = []
    for name, values in list(counts.items())[:20]:
        rows = [(value, count, (name, value) in picked) for value, count in values.items()]
        rows.sort(key=lambda row: (not row[2], -row[1], row[0]))
        found.append(Facet(name, tuple(rows[:FACET_VALUES]), tuple(rows[FACET_VALUES:500])))
    return found


def counts_within(library: Library, where: str | None, chosen: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many pictures each value of each label would be chosen for, under the filter.

    Values of one label are alternatives: those of a label that was chosen from are counted under the rest of the
    filter, so that each count is what choosing that value alone gives.
    """

    def counted(pairs: Sequence[str]) -> dict[str, dict[str, int]]:
        catalogue, expression = library.catalogue, where_of(where, pairs)
        condition = catalogue.condition(expression)
        seen = {name: catalogue.fact_counts(name, condition) for name in FACETS}
        return {**catalogue.label_counts(condition), **{name: values for name, values in seen.items() if values}}

    counts = counted(chosen)
    for name in dict.fromkeys(pair.partition(":")[0] for pair in chosen):
        others = [pair for pair in chosen if pair.partition(":")[0] != name]
        counts[name] = {pair.partition(":")[2]: 0 for pair in chosen if pair not in others}
        counts[name] |= counted(others).get(name, {})
    return counts


def where_of(where: str | None, chosen: Sequence[str]) -> str | None:
    """Join a filter expression and chosen facet values: any value of one label, all labels; raise FilterError."""
    by_name: dict[str, list[str]] = {}
    for pair in chosen:
        name, _, value = pair.partition(":")
        by_name.setdefault(name, []).append(value)
    terms = []
    if where and where.strip():
        parse(where)  # by itself, so that an error speaks of what was written, and of its columns
        terms.append(f"({where})")
    terms += [_any_of(name, values) for name, values in by_name.items()]
    return " and ".join(terms) or None


def unknown_labels(where: str | None, known: Collection[str]) -> tuple[str, ...]:
    """Return the labels that a filter speaks of and no picture has."""
    names = labels_needed(parse(where)) if where and where.strip() else ()
    return tuple(dict.fromkeys(name for name in names if name not in known))


def _any_of(name: str, values: Sequence[str]) -> str:
    listed = ", ".join(part for value in values for part in _literals(value))
    return f"{name if name in KNOWN_FACTS else _quoted(name)} in ({listed})"


def _literals(value: str) -> list[str]:
    # A facet does not know whether a label holds numbers, and a number is compared with numbers only.
    try:
        float(value)
    except ValueError:
        return [_quoted(value)]
    return [_quoted(value), value] if value[-1:].isdigit() else [_quoted(value)]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def address(path: str, **params: Any) -> str:
    """Return a link of this site; parameters that are None or empty are left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, str(v)) for v in values if v not in (None, "")]
    return f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path


def box_text(box: Box | None) -> str | None:
    """Return a box as it stands in an address."""
    return ",".join(f"{edge:.4g}" for edge in box) if box else None
