"""The sections of an answer: hits put together by what they are to the query, strongest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sosie.server.views import Card
from sosie.types import Verdict

__all__ = ["SECTIONS", "Section", "sections_of"]

SECTIONS = ("same", "copies", "thing", "similar", "weak")
_SECTION: Mapping[str, str] = {
    Verdict.IDENTICAL: "same",
    Verdict.SAME_PIXELS: "same",
    Verdict.ALTERED_COPY: "copies",
    Verdict.CONTAINS: "copies",
    Verdict.IS_PART_OF: "copies",
    Verdict.SAME_OBJECT: "thing",
}


@dataclass(frozen=True, slots=True)
class Section:
    """The hits of one meaning, in the order of the answer."""

    name: str
    cards: tuple[Card, ...]


def sections_of(cards: Sequence[Card]) -> list[Section]:
    """Return the sections that have hits; what is weak for this library comes last, whatever else it is."""
    by_name: dict[str, list[Card]] = {name: [] for name in SECTIONS}
    for card in cards:
        by_name[_section(card)].append(card)
    return [Section(name, tuple(found)) for name, found in by_name.items() if found]


def _section(card: Card) -> str:
    if card.hit is None or getattr(card.hit, "weak", False):
        return "weak" if card.hit else "similar"
    return _SECTION.get(card.hit.verdict, "similar")
