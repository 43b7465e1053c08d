"""A table beside the pictures that says what is on them."""

from __future__ import annotations

import itertools
import os
import posixpath
from pathlib import Path

from sosie.errors import UsageError
from sosie.sources.columns import SAMPLE, guess_kinds, guess_place, labels_of
from sosie.sources.url_list import read_rows
from sosie.types import LabelValue

__all__ = ["Manifest"]


class Manifest:
    """The labels of pictures by their path below the folder of the table; held in memory while a folder is walked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: dict[bytes, dict[str, LabelValue]] = {}

    def load(self) -> None:
        """Read the table; raise SourceUnreachable where it is away, UsageError where no column holds paths."""
        rows = read_rows(self._path)
        sample = list(itertools.islice(rows, SAMPLE))
        if not sample:
            raise UsageError(f"{self._path} holds no rows")
        columns = list(sample[0])
        place = "path" if "path" in columns else guess_place(columns, sample)
        kinds = guess_kinds([name for name in columns if name != place], sample)
        self._labels = {}
        for row in itertools.chain(sample, rows):
            if path := row.get(place):
                self._labels[_key(os.fsencode(str(path)))] = labels_of(row, kinds)

    def labels(self, below: bytes) -> dict[str, LabelValue]:
        """Return the labels of the picture at a path below the folder."""
        return self._labels.get(_key(below), {})


def _key(path: bytes) -> bytes:
    return posixpath.normpath(path.strip().replace(b"\\", b"/"))
