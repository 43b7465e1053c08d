"""One reference that fails is a row of the quarantine, whatever it raises; a source that breaks off loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sosie
from sosie.errors import SosieError
from sosie.library import Library
from sosie.testing.fakes import MemorySource
from sosie.types import ImageRef
from tests.pictures import jpeg

PICTURES = {f"{n:02}.jpg": jpeg(n) for n in range(8)}


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


class FailingRead(MemorySource):
    """Raises for one picture what nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        super().__init__(PICTURES)
        self._error = error

    def read(self, ref: ImageRef) -> bytes:
        if ref.uri.endswith("03.jpg"):
            raise self._error
        return super().read(ref)


class Altered(MemorySource):
    """Gives one picture as another reference."""

    def __init__(self, alter: Callable[[ImageRef], ImageRef]) -> None:
        super().__init__(PICTURES)
        self._alter = alter

    def __iter__(self) -> Iterator[ImageRef]:
        return (self._alter(ref) if ref.uri.endswith("03.jpg") else ref for ref in super().__iter__())

    def read(self, ref: ImageRef) -> bytes:
        return super().read(ref) if ref.uri.isascii() else jpeg(3)


class Streamed(Altered):
    """The same by the way of sources that fetch many at a time."""

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool]
    ) -> Iterator[tuple[ImageRef, bytes | None]]:
        return ((ref, self.read(ref) if wanted(ref) else None) for ref in self)


@pytest.mark.parametrize(
    "error", [OverflowError("too large"), OSError(5, "I/O"), RuntimeError("a\x00b\udcff"), KeyError()]
)
def test_an_exception_of_a_source_is_a_row(lib: Library, error: Exception) -> None:
    report = lib.add(FailingRead(error))
    assert (report.indexed, dict(report.quarantined)) == (7, {"source_failed": 1})
    (row,) = lib.quarantine()
    assert row.uri.endswith("03.jpg")
    assert type(error).__name__ in row.detail


UNSTORABLE: dict[str, Callable[[ImageRef], ImageRef]] = {
    "a place that is no text": lambda ref: ImageRef(ref.uri + "\udcff"),
    "a label of no kind": lambda ref: ImageRef(ref.uri, {"label": object()}),  # type: ignore[dict-item]
    "a label beyond all numbers": lambda ref: ImageRef(ref.uri, {"label": 10**400}),
    "a label that is no text": lambda ref: ImageRef(ref.uri, {"label": "\udcff"}),
}


@pytest.mark.parametrize("alter", UNSTORABLE.values(), ids=UNSTORABLE)
@pytest.mark.parametrize("kind", [Altered, Streamed])
def test_a_reference_that_cannot_be_stored_is_a_row(
    lib: Library, alter: Callable[[ImageRef], ImageRef], kind: type[Altered]
) -> None:
    report = lib.add(kind(alter))
    assert report.indexed == 7 == lib.stats()["pictures"]
    assert report.quarantined.total() == 1 == len(lib.quarantine())
    assert report.seen == report.settled == 8


def test_what_came_before_a_source_broke_off_is_stored(lib: Library) -> None:
    class BreaksOff(MemorySource):
        def __iter__(self) -> Iterator[ImageRef]:
            yield from list(super().__iter__())[:5]
            raise ZeroDivisionError("odd")

    with pytest.raises(SosieError, match="broke off after 5 files"):
        lib.add(BreaksOff(PICTURES))
    assert lib.stats()["pictures"] == 5
