"""Grouping of matches: stars around the best picture, no chains."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from sosie.catalogue import PictureRecord
from sosie.copies.duplicates import Match, group_matches


def record(
    content_id: int, *, side: int = 100, size: int = 1000, kind: str = "JPEG", added: float = 0.0
) -> PictureRecord:
    return PictureRecord(
        content_id, f"{content_id:064x}", size, kind, side, side, (f"file:///{content_id}.jpg",), added_at=added
    )


def match(a: int, b: int) -> Match:
    return Match(min(a, b), max(a, b), 0.99, "altered_copy")


def members(report: object) -> list[set[int]]:
    groups, _ = report
    return [{group.best.id, *(other.id for other, _ in group.others)} for group in groups]


def test_the_best_is_the_largest_then_the_heavier_then_the_less_lossy_then_the_oldest() -> None:
    for better, worse in (
        (record(2, side=200), record(1)),
        (record(2, size=2000), record(1)),
        (record(2, kind="PNG"), record(1)),
        (record(2, added=1.0), record(1, added=2.0)),
    ):
        groups, _ = group_matches({1: worse, 2: better}, [match(1, 2)])
        assert groups[0].best.id == 2


def test_a_chain_is_cut_and_shown_as_a_bridge() -> None:
    records = {i: record(i, side=100 + i) for i in range(1, 5)}
    groups, bridges = group_matches(records, [match(1, 2), match(2, 3), match(3, 4)])
    assert members((groups, bridges)) == [{3, 4}, {1, 2}]
    assert [(bridge.match.a, bridge.match.b) for bridge in bridges] == [(2, 3)]


def test_a_picture_that_only_matches_a_member_is_shown_and_not_merged() -> None:
    records = {1: record(1, side=300), 2: record(2, side=200), 3: record(3)}
    groups, bridges = group_matches(records, [match(1, 2), match(2, 3)])
    assert members((groups, bridges)) == [{1, 2}]
    assert bridges[0].groups == (0, None)


@given(st.sets(st.sampled_from(list(combinations(range(8), 2)))))
def test_every_member_matches_the_best_and_nobody_is_in_two_groups(pairs: set[tuple[int, int]]) -> None:
    records = {i: record(i, side=100 + i % 3) for i in range(8)}
    groups, bridges = group_matches(records, [match(a, b) for a, b in pairs])
    seen: set[int] = set()
    for group in groups:
        ids = {group.best.id, *(other.id for other, _ in group.others)}
        assert not seen & ids
        seen |= ids
        assert all(tuple(sorted((group.best.id, other.id))) in pairs for other, _ in group.others)
    inside = sum(len(group.others) for group in groups)
    assert inside + len(bridges) <= len(pairs)
