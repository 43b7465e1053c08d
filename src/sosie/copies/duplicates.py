"""Groups of copies inside a library. There are no chains: every member of a group matches the group's best one itself.

Best is the largest picture, then the larger file, then the less lossy format, then the one that has been there longest.
Matches that cross two groups are weak bridges: they are shown, and nothing is merged over them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sosie.catalogue import PictureRecord, Store
from sosie.copies.places import Place, distinct_files, places_of
from sosie.query.finder import CopyFinder
from sosie.types import SearchResult

__all__ = ["Bridge", "DuplicateGroup", "DuplicateReport", "Match", "find_duplicates", "group_matches"]

_GROUP = 50  # copies of one picture that are asked for
_RECORDS = 1000  # read at once
_LOSSLESS = {"TIFF": 0, "PNG": 1, "BMP": 2, "WEBP": 3, "AVIF": 4, "JPEG": 5, "GIF": 6}


@dataclass(frozen=True, slots=True)
class Match:
    """Two pictures (a < b) that are copies of one another, and how sure that is."""

    a: int
    b: int
    probability: float
    verdict: str


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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; equal files come first among the others, each by itself."""
        equal = [
            {**_short(self.best), "uris": [place.uri], "probability": 1.0, "verdict": "identical"}
            for place in self.identical
        ]
        others = [
            {**_short(record), "probability": round(match.probability, 6), "verdict": match.verdict}
            for record, match in self.others
        ]
        return {
            "best": _short(self.best),
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
    """Groups, largest first, the bridges between them, and the probability that every match reaches."""

    groups: tuple[DuplicateGroup, ...]
    bridges: tuple[Bridge, ...]
    cut_off: float
    pictures: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "pictures": self.pictures,
            "cut_off": round(self.cut_off, 6),
            "groups": [group.to_json() for group in self.groups],
            "bridges": [
                {"a": b.match.a, "b": b.match.b, "probability": b.match.probability, "groups": list(b.groups)}
                for b in self.bridges
            ],
        }


def find_duplicates(
    finder: CopyFinder,
    catalogue: Store,
    *,
    max_false_rate: float,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> DuplicateReport:
    """Ask for the copies of every picture of the library, from what is stored of it, and group what matches.

    ``workers`` pictures are asked about side by side, in threads: numpy works outside the interpreter's lock.
    """
    ids = catalogue.live_ids().tolist()
    matches: dict[tuple[int, int], Match] = {}
    cut_off = 0.5

    def ask(content_id: int) -> SearchResult | None:
        query = finder.stored_query(content_id)
        return None if query is None else finder.find(query, k=_GROUP, max_false_rate=max_false_rate)

    for done, (content_id, result) in enumerate(_side_by_side(ask, ids, workers), 1):
        if result is not None:
            cut_off = float(result.index["cut_off"])
            for hit in result:
                a, b = sorted((content_id, hit.id))
                known = matches.get((a, b))
                if known is None or (hit.probability or 0) > known.probability:
                    matches[a, b] = Match(a, b, float(hit.probability or 0), str(hit.verdict))
        progress(done, len(ids))
    kept = {(min(one.a, one.b), max(one.a, one.b)) for one in catalogue.decisions() if one.decision == "keep_both"}
    records = {record.id: record for record in catalogue.pictures(sorted({i for pair in matches for i in pair}))}
    decided = {i: bytes.fromhex(record.sha256).hex() for i, record in records.items()}
    free = [m for m in matches.values() if tuple(sorted((decided[m.a], decided[m.b]))) not in kept]
    groups, bridges = group_matches(records, free)
    groups += _equal_files(catalogue, ids, {i for group in groups for i in group.places})
    return DuplicateReport(groups, bridges, cut_off, len(ids))


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


def _side_by_side(
    ask: Callable[[int], SearchResult | None], ids: Sequence[int], workers: int
) -> Iterator[tuple[int, SearchResult | None]]:
    """Yield the answers in the order of ``ids``, with few of them waiting at a time."""
    with ThreadPoolExecutor(workers, "sosie-duplicates") as threads:
        waiting: deque[tuple[int, Future[SearchResult | None]]] = deque()
        try:
            for content_id in ids:
                waiting.append((content_id, threads.submit(ask, content_id)))
                if len(waiting) > 2 * workers:
                    first, answer = waiting.popleft()
                    yield first, answer.result()
            while waiting:
                first, answer = waiting.popleft()
                yield first, answer.result()
        finally:
            for _, answer in waiting:
                answer.cancel()


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
