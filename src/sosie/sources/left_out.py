"""What a source leaves out: files whose endings say nothing of a picture, rows that name none."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

from sosie.types import LeftOut

__all__ = ["Tally", "ending_of", "merged", "row_uri"]

_MOST_NAMED = 100  # of each kind; all are counted
_MOST_KINDS = 200  # a folder of a mail store has an ending for each message
_LONGEST = 12  # characters of an ending: a longer one is a part of a name with a point in it
_OTHERS = ".…"


class Tally:
    """Counts what is left out, by reason and ending, and keeps the names of the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._some: dict[tuple[str, str], list[str]] = {}

    @property
    def total(self) -> int:
        """How many were left out."""
        return self._counts.total()

    def add(self, reason: str, uri: Callable[[], str], *, ending: str = "", count: int = 1) -> None:
        """Count what is left out; ``uri`` is asked for the name of the first of a kind."""
        kind = (reason, ending)
        if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
            kind = (reason, _OTHERS)
        self._counts[kind] += count
        named = self._some.setdefault(kind, [])
        if len(named) < _MOST_NAMED:
            named.append(uri())

    def add_file(self, name: bytes, uri: Callable[[], str]) -> None:
        """Count a file that is no picture by its ending."""
        ending = ending_of(name)
        self.add("unknown_ending" if ending else "no_ending", uri, ending=ending)

    def take_over(self, other: LeftOut) -> None:
        """Count what another run left out."""
        kind = (other.reason, other.ending)
        self._counts[kind] += other.count
        self._some[kind] = [*self._some.get(kind, ()), *other.some][:_MOST_NAMED]

    def result(self) -> tuple[LeftOut, ...]:
        """Return what was counted, the most frequent first."""
        return tuple(
            LeftOut(reason, ending, count, tuple(self._some[reason, ending]))
            for (reason, ending), count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        )


def merged(*several: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """Return what several runs left out, as one."""
    tally = Tally()
    for each in chain(*several):
        tally.take_over(each)
    return tally.result()


def ending_of(name: bytes) -> str:
    """Return the ending of a file's name in lower case; empty for a name that has none."""
    ending = os.path.splitext(name)[1].decode("utf-8", "replace").lower()  # noqa: PTH122 - bytes
    return ending if 1 < len(ending) <= _LONGEST and ending.isprintable() and " " not in ending else ""


def row_uri(root: str, number: int) -> str:
    """Return the address of a row of a list, by its number from 1 on, a header not counted."""
    return f"{root}#row={number}"
