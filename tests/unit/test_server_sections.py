"""Hits are put together by what they are to the query."""

from __future__ import annotations

from dataclasses import dataclass

from sosie.server.sections import SECTIONS, sections_of
from sosie.server.views import Card
from sosie.types import Hit, Verdict


@dataclass(frozen=True, slots=True)
class MarkedHit(Hit):
    weak: bool = False


def card(at: int, verdict: Verdict, *, weak: bool = False) -> Card:
    return Card(at, f"{at}.jpg", "", 4, 3, (), MarkedHit(at, at, "", 0.5, verdict, weak=weak))


def names(*cards: Card) -> dict[str, list[int]]:
    return {part.name: [each.id for each in part.cards] for part in sections_of(cards)}


def test_every_verdict_has_a_section() -> None:
    found = names(*(card(at, verdict) for at, verdict in enumerate(Verdict)))
    assert sum(map(len, found.values())) == len(Verdict)
    assert {*found} <= {*SECTIONS}
    assert found["same"] == [0, 1]


def test_sections_are_ordered_and_keep_the_order_of_the_answer() -> None:
    found = names(card(1, Verdict.SIMILAR), card(2, Verdict.CONTAINS), card(3, Verdict.SIMILAR))
    assert list(found.items()) == [("copies", [2]), ("similar", [1, 3])]


def test_what_is_weak_is_set_apart_and_never_dropped() -> None:
    found = names(card(1, Verdict.SIMILAR), card(2, Verdict.SIMILAR, weak=True), card(3, Verdict.SIMILAR, weak=True))
    assert found == {"similar": [1], "weak": [2, 3]}
