"""Groups of copies inside a library. There are no chains: every member of a group matches the group's best one itself.

Best is the largest picture, then the larger file, then the less lossy format, then the one that has been there longest.
Matches that cross two groups are weak bridges: they are shown, and nothing is merged over them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sosie.catalogue import PictureRecord, Store
from sosie.copies.pairs import SAME, Judged, NearPair, PairJudge, Pictures
from sosie.copies.places import Place, distinct_files, places_of
from sosie.errors import UsageError
from sosie.types import Verdict

__all__ = ["Bridge", "DuplicateGroup", "DuplicateReport", "Match", "find_duplicates", "group_matches"]

_UNSURE = 0.5  # a probability from which a pair is shown as unsure
_RECORDS = 1000  # read at once
_REASONS = ("largest", "most_bytes", "least_lossy", "oldest", "oldest")  # one for each part of `_worth`
_LOSSLESS = {"TIFF": 0, "PNG": 1, "BMP": 2, "WEBP": 3, "AVIF": 4, "JPEG": 5, "GIF": 6}


@dataclass(frozen=True, slots=True)
class Match:
    """Two pictures (a < b) that are copies of one another, and how sure that is."""

    a: int
    b: int
    probability: float
    verdict: str
    same: str = "edits"  # of `pairs.SAME`, or "decided"


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """The best copy and the others, each with its own match to the best; ``others`` may be none.

    ``places`` holds, for each picture by its id, its places as they are on disk: equal files of the best are copies,
    too, and verdict ``identical``.
    """

    best: PictureRecord
    others: tuple[tuple[PictureRecord, Match], ...]
    places: Mapping[int, tuple[Place, ...]]

    @property
    def identical(self) -> tuple[Place, ...]:
        """Return the further files with the bytes of the best; hard links of one file count once."""
        return tuple(distinct_files(self.places[self.best.id])[1:])

    @property
    def copies(self) -> int:
        """Return how many files are superfluous where the best is kept."""
        return len(self.identical) + sum(len(distinct_files(self.places[record.id])) for record, _ in self.others)

    @property
    def reason(self) -> str:
        """Return why the best is the best: largest, most_bytes, least_lossy, oldest, first_place (of equal files)."""
        if not self.others:
            return "first_place"
        best, next_best = _worth(self.best), min(_worth(record) for record, _ in self.others)
        return next(reason for reason, a, b in zip(_REASONS, best, next_best, strict=True) if a != b)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; equal files come first among the others, each by itself."""
        equal = [
            {**_short(self.best), "uris": [place.uri], "probability": 1.0, "verdict": "identical", "same": "bytes"}
            for place in self.identical
        ]
        others = [
            {**_short(record), "probability": round(match.probability, 6), "verdict": match.verdict, "same": match.same}
            for record, match in self.others
        ]
        return {
            "best": _short(self.best),
            "reason": self.reason,
            "others": equal + others,
            "places": [
                {"id": picture, "uri": place.uri, "state": place.state, "hard_link_of": twin}
                for picture, places in self.places.items()
                for place, twin in _twins(places)
            ],
        }


@dataclass(frozen=True, slots=True)
class Bridge:
    """A match that joins nothing: between members of two groups, or to a picture that does not match the best itself.

    ``groups`` are positions among the report's groups, of ``match.a`` and ``match.b``; None for a picture in no group.
    """

    match: Match
    groups: tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """Groups, largest first, the bridges between them, and the probability that every match reaches.

    ``same`` is the class of sameness. ``unsure`` are pairs that fall short, or of which a file is not there to be
    judged; ``more`` is how many pairs are edits, or near and never judged, where ``same`` leaves edits out.
    """

    groups: tuple[DuplicateGroup, ...]
    bridges: tuple[Bridge, ...]
    cut_off: float
    pictures: int
    same: str = "edits"
    unsure: tuple[Match, ...] = ()
    more: int = 0

    @property
    def copies(self) -> int:
        """Return how many files are superfluous."""
        return sum(group.copies for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "pictures": self.pictures,
            "same": self.same,
            "more": self.more,
            "cut_off": round(self.cut_off, 6),
            "groups": [group.to_json() for group in self.groups],
            "bridges": [
                {"a": b.match.a, "b": b.match.b, "probability": b.match.probability, "groups": list(b.groups)}
                for b in self.bridges
            ],
            "unsure": [asdict(match) for match in self.unsure],
        }


def find_duplicates(
    pictures: Pictures,
    *,
    same: str,
    max_false_rate: float,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> DuplicateReport:
    """Group the pictures of a library that are the same in a sense of ``pairs.SAME``; raise UsageError for another."""
    if same not in SAME:
        raise UsageError(f"--same is one of {', '.join(SAME)}, not {same!r}")
    catalogue = pictures.catalogue
    ids = catalogue.live_ids().tolist()
    cut_off = max(0.5, pictures.calibration.cut_off(max_false_rate))
    found = _Found((), (), 0) if same == "bytes" else _near_pairs(PairJudge(pictures, progress), same, cut_off)
    matches = _decided(catalogue, found.matches)
    records = {record.id: record for record in catalogue.pictures(sorted({i for m in matches for i in (m.a, m.b)}))}
    groups, bridges = group_matches(records, matches)
    groups += _equal_files(catalogue, ids, {i for group in groups for i in group.places})
    return DuplicateReport(groups, bridges, cut_off, len(ids), same, found.unsure, found.more)


@dataclass(frozen=True, slots=True)
class _Found:
    matches: tuple[Match, ...]
    unsure: tuple[Match, ...]
    more: int


def _near_pairs(judging: PairJudge, same: str, cut_off: float) -> _Found:
    """Judge the near pairs by the cheapest proof first; each later one gets what the earlier left open."""
    near = judging.near(turns=same == "edits")
    judging.learn(near)
    proved = judging.same_pixels(near)
    if same != "pixels":
        proved += judging.reencodings(_open(near, proved))
    unsure: list[Judged] = []
    more = 0
    if same in ("reencodings", "edits"):
        rest = _open([*near, *judging.near_by_vector()], proved)
        judging.learn(rest)
        if same == "edits":
            edits = judging.edits(rest, cut_off=cut_off)
            proved += [one for one in edits if one.same]
            unsure = [one for one in edits if not one.same and one.probability >= _UNSURE]
        else:
            more = judging.known_edits(rest, cut_off=cut_off)
    unsure += [Judged(a, b, str(Verdict.SIMILAR), 0.0, "") for a, b in judging.away]
    return _Found(_as_matches(proved), _as_matches(unsure), more)


def _open(near: Sequence[NearPair], proved: Sequence[Judged]) -> list[NearPair]:
    """Return the pairs that nothing has settled, each once."""
    known = {(one.a, one.b) for one in proved}
    found: dict[tuple[int, int], NearPair] = {}
    for pair in near:
        if (pair.a, pair.b) not in known:
            found.setdefault((pair.a, pair.b), pair)
    return list(found.values())


def _as_matches(judged: Sequence[Judged]) -> tuple[Match, ...]:
    return tuple(Match(one.a, one.b, one.probability, one.verdict, one.same) for one in judged)


def _decided(catalogue: Store, matches: Sequence[Match]) -> tuple[Match, ...]:
    """Leave out the pairs that a person said are none, or are both to be kept, and put in those said to be one."""
    decisions = {(one.a, one.b): one.decision for one in catalogue.decisions()}
    if not decisions:
        return tuple(matches)
    digests = {one for pair in decisions for one in pair}
    ids = catalogue.content_ids([bytes.fromhex(digest) for digest in digests])
    live = catalogue.meeting(list(ids.values())) if ids else set()
    by_id: dict[tuple[int, int], str] = {}
    for (a, b), decision in decisions.items():
        first, second = ids.get(bytes.fromhex(a)), ids.get(bytes.fromhex(b))
        if first in live and second in live and first is not None and second is not None:
            by_id[min(first, second), max(first, second)] = decision
    kept = {(m.a, m.b): m for m in matches if by_id.get((m.a, m.b)) not in ("not_a_copy", "keep_both")}
    for (first, second), decision in by_id.items():
        if decision == "same_picture":
            kept.setdefault((first, second), Match(first, second, 1.0, str(Verdict.ALTERED_COPY), "decided"))
    return tuple(kept.values())


def _equal_files(catalogue: Store, ids: Sequence[int], grouped: set[int]) -> tuple[DuplicateGroup, ...]:
    """Return a group for every other picture that lies in several files."""
    groups = []
    for record in _in_parts(catalogue, [i for i in ids if i not in grouped]):
        if len(record.uris) > 1 and len(distinct_files(places := places_of(record))) > 1:
            groups.append(DuplicateGroup(record, (), {record.id: places}))
    return tuple(groups)


def _in_parts(catalogue: Store, ids: Sequence[int]) -> Iterator[PictureRecord]:
    for start in range(0, len(ids), _RECORDS):
        yield from catalogue.pictures(ids[start : start + _RECORDS])


def group_matches(
    records: Mapping[int, PictureRecord], matches: Iterable[Match]
) -> tuple[tuple[DuplicateGroup, ...], tuple[Bridge, ...]]:
    """Form groups around the best pictures: each takes the free pictures that it matches itself."""
    by_picture: dict[int, dict[int, Match]] = defaultdict(dict)
    every = sorted(matches, key=lambda match: (match.a, match.b))
    for match in every:
        by_picture[match.a][match.b] = by_picture[match.b][match.a] = match
    home: dict[int, int] = {}
    groups: list[DuplicateGroup] = []
    for best in sorted(by_picture, key=lambda i: _worth(records[i])):
        free = [i for i in sorted(by_picture[best]) if i not in home]
        if best in home or not free:
            continue
        for member in (best, *free):
            home[member] = len(groups)
        others = tuple((records[i], by_picture[best][i]) for i in free)
        places = {i: places_of(records[i]) for i in (best, *free)}
        groups.append(DuplicateGroup(records[best], others, places))
    bridges = [
        Bridge(match, (home.get(match.a), home.get(match.b)))
        for match in every
        if home.get(match.a) != home.get(match.b)
    ]
    return tuple(groups), tuple(bridges)


def _worth(record: PictureRecord) -> tuple[Any, ...]:
    """Order pictures, best first."""
    rank = _LOSSLESS.get(record.format.upper(), 9)
    return (-record.width * record.height, -record.bytes, rank, record.added_at, record.id)


def _twins(places: Iterable[Place]) -> Iterator[tuple[Place, str | None]]:
    """Yield each place with the one before it that is the same file, or None."""
    first: dict[tuple[int, int], str] = {}
    for place in places:
        known = None if place.inode is None else first.setdefault(place.inode, place.uri)
        yield place, None if known == place.uri else known


def _short(record: PictureRecord) -> dict[str, Any]:
    uris: Sequence[str] = record.uris
    return {
        "id": record.id,
        "uris": list(uris),
        "sha256": record.sha256,
        "width": record.width,
        "height": record.height,
        "bytes": record.bytes,
        "format": record.format,
    }
