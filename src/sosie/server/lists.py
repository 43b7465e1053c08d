"""Lists of hits that pages are cut from, kept for some minutes: a hit is given once, whatever is added meanwhile.

An approximate index that is asked for more answers finds others than before, so that pages which each ask anew would
repeat some hits and leave out others. A list begins with the first page, as that was given; when a second one is wanted
a deeper answer is laid behind it, without what the list has already.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from sosie.types import Hit, SearchResult

__all__ = ["HitList", "KeptLists"]


@dataclass
class HitList:
    """The hits of one question at one epoch, as far as they were asked for; ``ended`` when there are no more."""

    hits: list[Hit]
    ended: bool
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # only one page lays more behind the list

    def extend(self, deeper: SearchResult, depth: int, most: int) -> None:
        """Lay behind the list what an answer of ``depth`` hits has beyond it, up to ``most`` in all."""
        known = {hit.id for hit in self.hits}
        more = [hit for hit in deeper.hits if hit.id not in known]
        self.hits = (self.hits + more)[:most]
        self.ended = len(deeper.hits) < depth or len(self.hits) >= most

    def page(self, start: int, k: int) -> tuple[Hit, ...]:
        """Return ``k`` hits from position ``start``, ranked by their place in the list."""
        return tuple(replace(hit, rank=at) for at, hit in enumerate(self.hits[start : start + k], start + 1))


class KeptLists:
    """The lists of the last minutes, bounded in number and in hits. For the event loop's own thread."""

    def __init__(self, *, seconds: float = 900.0, most: int = 1_000, most_hits: int = 50_000) -> None:
        self._seconds, self._most, self._most_hits = seconds, most, most_hits
        self._kept: OrderedDict[Hashable, HitList] = OrderedDict()

    def keep(self, key: Hashable, made: HitList) -> HitList:
        """Keep a list, unless one is there, and return what is kept; without room those used longest ago go."""
        kept = self.get(key) or self._kept.setdefault(key, made)
        kept.until = time.monotonic() + self._seconds
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._hits() > self._most_hits):
            self._kept.popitem(last=False)
        return kept

    def get(self, key: Hashable) -> HitList | None:
        """Return a list; None where it is not kept any more."""
        kept = self._kept.get(key)
        if kept is not None and kept.until < time.monotonic():
            del self._kept[key]
            return None
        return kept

    def _hits(self) -> int:
        return sum(len(each.hits) for each in self._kept.values())
