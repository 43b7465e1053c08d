"""A review of duplicates by a person: the groups as they stand now, and the plan for the files that are given up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from sosie.catalogue import PictureRecord, Store
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport, Match
from sosie.copies.pairs import SAME
from sosie.copies.places import Place, distinct_files, places_of
from sosie.copies.plans import Line, Plan, Refusal, make_plan
from sosie.errors import UsageError

__all__ = ["CLASSES", "GroupFile", "bytes_of_plan", "class_of", "current_groups", "files_of", "plan_of_choices"]

CLASSES = SAME
_RECORDS = 1000  # read at once


@dataclass(frozen=True, slots=True)
class GroupFile:
    """One file of a group, and what its picture is to the best one (None for the file to keep itself)."""

    record: PictureRecord
    place: Place
    match: Match | None


def current_groups(report: DuplicateReport, catalogue: Store) -> tuple[DuplicateGroup, ...]:
    """Return the groups of a report with today's pictures and places, without those of which one file is left."""
    wanted = sorted({picture for group in report.groups for picture in group.places})
    records: dict[int, PictureRecord] = {}
    for start in range(0, len(wanted), _RECORDS):
        records.update((one.id, one) for one in catalogue.pictures(wanted[start : start + _RECORDS]))
    groups = (_current(group, records) for group in report.groups if group.best.id in records)
    return tuple(group for group in groups if group.copies)


def _current(group: DuplicateGroup, records: dict[int, PictureRecord]) -> DuplicateGroup:
    others = tuple((records[one.id], match) for one, match in group.others if one.id in records)
    best = records[group.best.id]
    return replace(group, best=best, others=others, places={r.id: places_of(r) for r in (best, *_records(others))})


def _records(others: Iterable[tuple[PictureRecord, Match]]) -> Iterator[PictureRecord]:
    return (record for record, _ in others)


def class_of(group: DuplicateGroup) -> str:
    """Return the weakest class of sameness in a group; pairs that a person decided on count as edits."""
    ranks = [SAME.index(match.same) if match.same in SAME else len(SAME) - 1 for _, match in group.others]
    return SAME[max(ranks, default=0)]


def files_of(group: DuplicateGroup) -> list[GroupFile]:
    """Return the distinct living files of a group, the one to keep first."""
    equal = Match(group.best.id, group.best.id, 1.0, "identical", "bytes")
    first, *further = distinct_files(group.places[group.best.id]) or group.places[group.best.id]
    files = [GroupFile(group.best, first, None), *(GroupFile(group.best, place, equal) for place in further)]
    for record, match in group.others:
        files += [GroupFile(record, place, match) for place in distinct_files(group.places[record.id])]
    return files


def plan_of_choices(groups: Iterable[DuplicateGroup], given_up: Collection[str], *, action: str, library: str) -> Plan:
    """Return a plan that gives up the files at these URIs, each for a file of its group that stays.

    A file is only given up for one that it was compared with. Raises UsageError where a group would keep no file.
    """
    lines: list[Line] = []
    refused: list[Refusal] = []
    known: set[str] = set()
    for group in groups:
        chosen = {file.place.uri for file in files_of(group)} & set(given_up)
        known |= chosen
        if chosen:
            narrowed, unproved = _narrowed(group, chosen)
            plan = make_plan(_report_of(narrowed), action=action, library=library)
            lines += [line for line in plan.lines if line.uri in chosen]
            refused += [one for one in plan.refused if one.uri in chosen]
            refused += [Refusal(uri, "it was not compared with the file that is kept") for uri in unproved]
    refused += [Refusal(uri, "in no group any more: look for duplicates again") for uri in set(given_up) - known]
    return Plan(tuple(lines), tuple(sorted(refused, key=lambda one: one.uri)))


def _narrowed(group: DuplicateGroup, chosen: set[str]) -> tuple[DuplicateGroup, list[str]]:
    """Return the group around a file that stays, its own first, and the chosen files that were not compared with it."""
    kept = [file for file in files_of(group) if file.place.uri not in chosen]
    if not kept:
        raise UsageError(f"keep at least one file of each group: all of that of {group.best.sha256[:12]} are given up")
    best = kept[0].record
    if best.id == group.best.id:
        others = group.others
    else:
        others = tuple((group.best, match) for record, match in group.others if record.id == best.id)
    pictures = (best, *_records(others))
    places = {one.id: _kept_first(group.places[one.id], chosen) for one in pictures}
    reached = {place.uri for found in places.values() for place in found}
    return DuplicateGroup(best, others, places), sorted(chosen - reached)


def _kept_first(places: Iterable[Place], chosen: set[str]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: place.uri in chosen))


def _report_of(group: DuplicateGroup) -> DuplicateReport:
    return DuplicateReport((group,), (), 0.5, 0)


def bytes_of_plan(plan: Plan, groups: Iterable[DuplicateGroup]) -> int:
    """Return how many bytes the files of a plan have."""
    sizes = {record.sha256: record.bytes for group in groups for record in (group.best, *_records(group.others))}
    return sum(sizes.get(line.sha256, 0) for line in plan.lines)
