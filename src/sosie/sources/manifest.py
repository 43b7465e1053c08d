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
    """The labels of pictures by their path, held in memory while a folder is walked.

    A path of the table is one below the folder that is walked, one below the folder of the table, or a whole one.
    """

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

    def labels(self, path: bytes, below: bytes) -> dict[str, LabelValue] | None:
        """Return the labels of the picture at ``path``, which is ``below`` the folder; None where no row names it."""
        beside = os.path.relpath(path, os.fsencode(self._path.parent.absolute()))
        found = (self._labels.get(_key(each)) for each in (below, beside, path))
        return next((labels for labels in found if labels is not None), None)

    @property
    def advice(self) -> str:
        """Say how rows are matched with pictures, with a row for an example."""
        example = os.fsdecode(next(iter(self._labels), b""))
        return (
            f"no row of {self._path} names a picture that was added, so there are no labels from it: its paths "
            f"({example!r}, …) are looked for below the folder that is added, and beside the table"
        )


def _key(path: bytes) -> bytes:
    return posixpath.normpath(path.strip().replace(b"\\", b"/"))
