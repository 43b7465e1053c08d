"""Archives: members addressed, nothing unpacked, damage and bombs kept to the member."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from sosie.errors import BadPicture, DamagedError, SourceUnreachable
from sosie.sources import SourceOptions, open_source
from sosie.sources.archive import TarSource, ZipSource
from sosie.types import ImageRef


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6)), data, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            archive.addfile(info, io.BytesIO(data))
    return path


def reason(source: ZipSource | TarSource, ref: ImageRef) -> str:
    with pytest.raises(BadPicture) as error:
        source.read(ref)
    return error.value.reason


def outcomes(source: ZipSource | TarSource) -> dict[str, bytes | str]:
    found = ((ref.uri.partition("!/")[2], data) for ref, data in source.stream(lambda _: True))
    return {name: data.reason if isinstance(data, BadPicture) else data or b"" for name, data in found}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_compression_of_tar(tmp_path: Path, mode: str) -> None:
    source = TarSource(tarred(tmp_path / "a.tar", {"a.jpg": b"one", "b/c.png": b"two", "d.txt": b"no"}, mode))
    assert outcomes(source) == {"a.jpg": b"one", "b/c.png": b"two"}
    assert sum(each.count for each in source.left_out) == 1


def test_member_uris_labels_and_stamps(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a b.zip", {"cat/ü.jpg": b"one"})
    (ref,) = open_source(str(path), SourceOptions(label_from_folders=True))
    assert ref.uri.endswith("/a%20b.zip!/cat/%C3%BC.jpg")
    assert ref.labels == {"label": "cat"}
    assert (ref.size, ref.mtime_ns) == (3, 1577934246_000_000_000)


def test_nothing_appears_on_disk(tmp_path: Path) -> None:
    archives = tmp_path / "in"
    archives.mkdir()
    bad = {"../../evil.jpg": b"one", "/abs.jpg": b"two", "C:\\evil.jpg": b"three"}
    for source in (ZipSource(zipped(archives / "a.zip", bad)), TarSource(tarred(archives / "a.tar", bad))):
        assert set(outcomes(source).values()) == {b"one", b"two", b"three"}
        assert {source.read(ref) for ref in source} == {b"one", b"two", b"three"}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar", "a.zip", "in"]


def test_hidden_members_and_archives_inside_are_left_out(tmp_path: Path) -> None:
    members = {"__MACOSX/._a.jpg": b"x", ".hidden/a.jpg": b"x", "inner.zip": b"x", "./a.jpg": b"one"}
    assert list(outcomes(ZipSource(zipped(tmp_path / "a.zip", members)))) == ["./a.jpg"]


def test_include_and_exclude(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cats/a.jpg": b"1", "dogs/a.jpg": b"2", "dogs/b.png": b"3"})
    source = ZipSource(path, include=["*.jpg"], exclude=["cats"])
    assert list(outcomes(source)) == ["dogs/a.jpg"]


def test_links_and_devices_in_a_tar_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("l.jpg", tarfile.SYMTYPE), ("f.jpg", tarfile.FIFOTYPE), ("h.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert outcomes(TarSource(path)) == {}


def test_an_encrypted_member_is_one_bad_picture(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": b"one", "b.jpg": b"two"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the first local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the first central one
    path.write_bytes(data)
    assert outcomes(ZipSource(path)) == {"a.jpg": "encrypted", "b.jpg": b"two"}


def test_a_damaged_member_is_one_bad_picture(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": os.urandom(500), "b.jpg": b"two"})
    data = bytearray(path.read_bytes())
    data[100:110] = bytes(10)
    path.write_bytes(data)
    assert outcomes(ZipSource(path)) == {"a.jpg": "damaged_archive", "b.jpg": b"two"}


def test_an_unknown_compression_is_one_bad_picture(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": b"one"})
    data = bytearray(path.read_bytes())
    data[8:10] = data[data.index(b"PK\x01\x02") + 10 :][:2] = struct.pack("<H", 97)
    central = data.index(b"PK\x01\x02")
    data[central + 10 : central + 12] = struct.pack("<H", 97)
    path.write_bytes(data)
    assert outcomes(ZipSource(path)) == {"a.jpg": "damaged_archive"}


@pytest.mark.parametrize("mode", ["zip", "tar"])
def test_bombs_are_not_blown_up(tmp_path: Path, mode: str) -> None:
    members = {"bomb.jpg": bytes(50_000_000), "ok.jpg": b"ok"}
    if mode == "zip":
        source: ZipSource | TarSource = ZipSource(zipped(tmp_path / "a.zip", members), max_bytes=1_000_000)
    else:
        source = TarSource(tarred(tmp_path / "a.tar.gz", members, "w:gz"), max_bytes=1_000_000)
    tracemalloc.start()
    assert outcomes(source) == {"bomb.jpg": "too_large", "ok.jpg": b"ok"}
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_zip_member_that_lies_about_its_size_stays_within_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb.jpg": bytes(5_000_000)})
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = data[22:26] = struct.pack("<I", 1000)
    path.write_bytes(data)
    assert outcomes(ZipSource(path, max_bytes=100_000)) == {"bomb.jpg": "damaged_archive"}


def test_a_tar_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 4_000_000_000
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf() + bytes(10_240))
    with pytest.raises(DamagedError):
        outcomes(TarSource(path))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_breaks_off_gives_what_comes_before(tmp_path: Path, mode: str) -> None:
    path = tarred(tmp_path / "a.tar", {"a.jpg": os.urandom(50_000), "b.jpg": os.urandom(50_000)}, mode)
    path.write_bytes(path.read_bytes()[:70_000])
    source = TarSource(path)
    found = outcomes(source)
    assert len(found["a.jpg"]) == 50_000
    assert source.problems or found["b.jpg"] == "damaged_archive"


def test_a_damaged_header_half_way_is_not_the_end(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"a.jpg": b"one", "b.jpg": b"two", "c.jpg": b"three"})
    data = bytearray(path.read_bytes())
    data[1024:1536] = b"\xff" * 512
    path.write_bytes(data)
    source = TarSource(path)
    assert outcomes(source) == {"a.jpg": b"one"}
    assert [reason for _, reason in source.problems] == ["damaged_archive"]


def test_an_archive_without_its_end_may_have_lost_members(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"a.jpg": b"one", "b.jpg": b"two"})
    path.write_bytes(path.read_bytes()[:1024])
    source = TarSource(path)
    assert outcomes(source) == {"a.jpg": b"one"}
    assert source.problems


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_is_no_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b no archive" * 100)
    with pytest.raises(DamagedError, match="no sound archive"):
        list(open_source(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_an_archive_that_is_away(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceUnreachable):
        list(open_source(str(tmp_path / name)))


def test_empty_members_and_members_that_are_gone(tmp_path: Path) -> None:
    source = ZipSource(zipped(tmp_path / "a.zip", {"a.jpg": b"", "b.jpg": b"x"}))
    assert outcomes(source) == {"a.jpg": "empty", "b.jpg": b"x"}
    assert reason(source, ImageRef(source.root + "c.jpg")) == "missing"


def test_a_name_that_occurs_twice_stands_for_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.jpg", b"first")
        archive.writestr("a.jpg", b"second")
    source = ZipSource(path)
    assert [source.read(ref) for ref in source] == [b"second"]
