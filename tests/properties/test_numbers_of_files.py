"""Whatever numbers a file system or an archive claims, its pictures are stored and are unchanged the next time."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sosie
from sosie.library import Library
from sosie.sources.folder import FolderSource
from sosie.sources.stamps import nanoseconds
from sosie.testing.fakes import MemorySource
from sosie.types import ImageRef
from tests.pictures import folder_of, jpeg

EXTREMES = [0, 1, -1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(2**63), -(2**63) - 1]
numbers = st.one_of(st.sampled_from(EXTREMES), st.integers(-(2**80), 2**80))
times = st.one_of(
    st.sampled_from(["inf", "-inf", "nan", "1e400", "20000000000", "-62135596801", "0.1", "-0"]),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


class Numbered(MemorySource):
    """One picture with given numbers."""

    def __init__(self, size: int, mtime_ns: int, inode: int) -> None:
        super().__init__({"a.jpg": jpeg(0)})
        self._numbers = (size, mtime_ns, inode)

    def __iter__(self) -> Iterator[ImageRef]:
        yield ImageRef(f"{self.root}a.jpg", {}, *self._numbers)


@many
@given(size=numbers, mtime_ns=numbers, inode=numbers)
def test_any_stat_is_stored_and_recognised(lib: Library, size: int, mtime_ns: int, inode: int) -> None:
    lib.add(Numbered(size, mtime_ns, inode), again=True)
    assert lib.add(Numbered(size, mtime_ns, inode)).unchanged == 1


@many
@given(number=st.integers(0, 2**64 - 1))
def test_an_inode_of_64_bits_is_kept_whole(number: int) -> None:
    assert ImageRef("memory:///a", inode=number).inode == int.from_bytes(number.to_bytes(8, "big"), "big", signed=True)


@many
@given(mtime=times)
def test_a_tar_with_any_time_is_added(lib: Library, tmp_path: Path, mtime: str) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.size, info.pax_headers = len(jpeg(0)), {"mtime": mtime}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(jpeg(0)))
    report = lib.add(tmp_path / "a.tar")
    assert report.seen == report.settled == 1
    assert not report.quarantined


@many
@given(
    date=st.tuples(st.integers(1980, 2107), *[st.integers(0, 15)] * 2, st.integers(0, 31), *[st.integers(0, 63)] * 2)
)
def test_a_zip_with_any_date_is_added(lib: Library, tmp_path: Path, date: tuple[int, ...]) -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.date_time = date  # type: ignore[assignment]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, jpeg(0))
    report = lib.add(tmp_path / "a.zip")
    assert report.seen == report.settled == 1
    assert not report.quarantined


@many
@given(inode=numbers.filter(lambda n: n >= 0), mtime_ns=numbers)
def test_a_folder_on_an_odd_file_system_is_added_and_looks_unchanged(
    lib: Library, tmp_path: Path, inode: int, mtime_ns: int
) -> None:
    folder = folder_of(tmp_path / "pictures", 2) if not (tmp_path / "pictures").exists() else tmp_path / "pictures"
    real = os.stat

    def odd(path: bytes, **rest: bool) -> os.stat_result:
        found = real(path, **rest)
        if not os.fsencode(path).endswith(b".jpg"):
            return found
        fields = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
        return type("Status", (), {**fields, "st_ino": inode, "st_mtime_ns": mtime_ns})()  # type: ignore[return-value]

    with patch("sosie.sources.folder.os.stat", odd):
        first, second = lib.add(FolderSource(folder), again=True), lib.add(FolderSource(folder))
    assert first.settled == second.unchanged == 2


@pytest.mark.parametrize(("seconds", "expected"), [(float("nan"), None), (1.5, 1_500_000_000), (2**60, 2**60 * 10**9)])
def test_seconds_become_nanoseconds(seconds: float, expected: int | None) -> None:
    assert nanoseconds(seconds) == expected
