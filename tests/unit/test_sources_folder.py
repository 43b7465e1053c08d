"""Folders: order, names of any bytes, loops, what is not a file, and what could not be read."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from sosie.contracts import Source
from sosie.errors import BadPicture, SourceUnreachable, UsageError
from sosie.sources.files import read_regular_file
from sosie.sources.folder import FolderSource
from sosie.sources.uris import path_of_uri, uri_of_path

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def plant(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture " + name.encode())
    return folder


def names_of(source: FolderSource) -> list[str]:
    return [ref.uri.removeprefix(source.root) for ref in source]


def test_yields_pictures_of_all_levels_in_byte_order(tmp_path: Path) -> None:
    plant(tmp_path, "b.jpg", "a/z.PNG", "a/b/c.webp", "B.gif", "notes.txt", "no_suffix")
    source = FolderSource(tmp_path)
    assert names_of(source) == ["B.gif", "a/b/c.webp", "a/z.PNG", "b.jpg"]
    assert sum(each.count for each in source.left_out) == 2


def test_may_be_iterated_again_with_the_same_outcome(tmp_path: Path) -> None:
    source = FolderSource(plant(tmp_path, "a.jpg", "b/c.jpg"))
    assert list(source) == list(source)
    assert isinstance(source, Source)


def test_reads_what_it_yields(tmp_path: Path) -> None:
    source = FolderSource(plant(tmp_path, "a.jpg"))
    (ref,) = source
    assert source.read(ref) == b"picture a.jpg"
    assert ref.size == 13
    assert ref.inode == (tmp_path / "a.jpg").stat().st_ino
    assert ref.mtime_ns == (tmp_path / "a.jpg").stat().st_mtime_ns


def test_every_reference_starts_with_the_root(tmp_path: Path) -> None:
    source = FolderSource(str(plant(tmp_path / "ä b%", "c d.jpg")) + "/")
    assert all(ref.uri.startswith(source.root) for ref in source)
    assert source.root.endswith("/%C3%A4%20b%25/")


def test_a_single_file_is_a_source_whatever_its_name(tmp_path: Path) -> None:
    source = FolderSource(plant(tmp_path, "scan") / "scan")
    assert [ref.uri for ref in source] == [source.root]


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="APFS refuses names that are not UTF-8")
def test_a_name_of_any_bytes_survives(tmp_path: Path) -> None:
    name = bytes(b for b in range(1, 256) if b not in b"/.")[:200] + b".jpg"
    raw = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(raw)).write_bytes(b"x")
    source = FolderSource(tmp_path)
    (ref,) = source
    assert ref.uri.isascii()
    assert path_of_uri(ref.uri) == raw
    assert source.read(ref) == b"x"


def test_uris_and_paths_are_each_others_inverse() -> None:
    path = b"/a b/%41!/\xff#?.jpg"
    assert path_of_uri(uri_of_path(path)) == path
    assert "!" not in uri_of_path(path)


def test_hidden_names_and_libraries_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", ".b.jpg", ".cache/c.jpg", "lib/catalogue.sqlite", "lib/thumbnails/d.jpg")
    assert names_of(FolderSource(tmp_path)) == ["a.jpg"]


def test_a_library_as_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a Sosie library"):
        list(FolderSource(plant(tmp_path, "catalogue.sqlite", "a.jpg")))


def test_include_and_exclude(tmp_path: Path) -> None:
    plant(tmp_path, "cats/a.jpg", "cats/b.png", "dogs/c.jpg", "dogs/raw/d.jpg", "raw/e.jpg")
    assert names_of(FolderSource(tmp_path, include=["*.jpg"], exclude=["raw"])) == [
        "cats/a.jpg",
        "dogs/c.jpg",
    ]
    assert names_of(FolderSource(tmp_path, include=["dogs/*"])) == ["dogs/c.jpg", "dogs/raw/d.jpg"]
    assert names_of(FolderSource(tmp_path, exclude=["dogs/raw", "cats/"])) == ["dogs/c.jpg", "raw/e.jpg"]


def test_labels_from_folders(tmp_path: Path) -> None:
    plant(tmp_path, "top.jpg", "train/cat/a.jpg", "images/Motorbikes__153a452cbc.jpg", "x/a__b.jpg")
    labels = {ref.uri.rpartition("/")[2]: ref.labels for ref in FolderSource(tmp_path, label_from_folders=True)}
    assert labels == {
        "top.jpg": {},
        "a.jpg": {"label": "cat"},
        "Motorbikes__153a452cbc.jpg": {"label": "Motorbikes"},
        "a__b.jpg": {"label": "x"},
    }


def test_an_absent_root_is_unreachable_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="mount it"):
        list(FolderSource(tmp_path / "away"))


@posix
def test_link_loops_end_and_linked_folders_are_entered(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "o.jpg")
    root = plant(tmp_path / "root", "a/b/p.jpg")
    (root / "a/b/up").symlink_to(root)
    (root / "a/self.jpg").symlink_to("self.jpg")
    (root / "link").symlink_to(outside)
    source = FolderSource(root)
    assert names_of(source) == ["a/b/p.jpg", "link/o.jpg"]
    assert source.problems == [(source.root + "a/self.jpg", "symlink_loop")]


@posix
@pytest.mark.timeout(20)
def test_links_to_links_do_not_multiply(tmp_path: Path) -> None:
    for level in range(30):
        (tmp_path / f"d{level}").mkdir()
        for twin in "ab":
            (tmp_path / f"d{level}" / twin).symlink_to(tmp_path / f"d{level + 1}")
    plant(tmp_path, "d30/p.jpg")
    assert len(names_of(FolderSource(tmp_path))) < 40


@posix
@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_problems_and_never_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    plant(tmp_path, "ok.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # socket paths are short
        server.bind("s.jpg")
        source = FolderSource(tmp_path)
        assert names_of(source) == ["ok.jpg"]
    assert {reason for _, reason in source.problems} == {"not_a_file"}
    for name in ("pipe.jpg", "s.jpg"):
        with pytest.raises(BadPicture, match="not_a_file"):
            read_regular_file(tmp_path / name)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    plant(tmp_path, "closed/a.jpg", "open/b.jpg")
    (tmp_path / "closed").chmod(0)
    source = FolderSource(tmp_path)
    found = names_of(source)
    (tmp_path / "closed").chmod(0o700)
    assert found == ["open/b.jpg"]
    assert source.problems == [(source.root + "closed/", "unreadable")]


@posix
def test_a_folder_too_deep_to_open_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "z.jpg")
    monkeypatch.chdir(tmp_path)
    for _ in range(25):  # paths may have 4096 bytes
        Path("d" * 200).mkdir()
        monkeypatch.chdir("d" * 200)
    source = FolderSource(tmp_path)
    assert names_of(source) == ["z.jpg"]
    ((uri, reason),) = source.problems
    assert uri.startswith(source.root + "dddd")
    assert reason == "unreadable"


@posix
def test_a_broken_link_is_a_problem_and_a_deleted_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    plant(tmp_path, "a.jpg", "b.jpg")
    source = FolderSource(tmp_path)
    walk = iter(source)
    next(walk)
    (tmp_path / "b.jpg").unlink()
    assert list(walk) == []
    assert source.problems == [(source.root + "gone.jpg", "missing")]


def test_a_deep_tree_is_walked(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    plant(deep, "a.jpg")
    assert len(names_of(FolderSource(tmp_path))) == 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "missing"),
        (lambda p: p.mkdir(), "not_a_file"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(b"12345"), "too_large"),
    ],
)
def test_reading_what_is_no_usable_file(tmp_path: Path, make: object, reason: str) -> None:
    make(tmp_path / "x")  # type: ignore[operator]
    with pytest.raises(BadPicture) as error:
        read_regular_file(tmp_path / "x", limit=4)
    assert error.value.reason == reason


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 4096)
    read = os.read

    def read_while_another_writes(descriptor: int, size: int) -> bytes:
        with path.open("ab") as other:
            other.write(b"y")
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", read_while_another_writes)
    with pytest.raises(BadPicture) as refused:
        read_regular_file(path)
    assert refused.value.reason == "changed"
