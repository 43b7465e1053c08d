"""A file of ours is on the disk, whole and under its name, before anything is acknowledged."""

from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

import sosie
from sosie import files
from sosie.errors import DiskFull, LibraryReadOnly
from tests.pictures import jpeg

SOURCE = Path(sosie.__file__).parent
# What may be lost (a note for those who wait, an unfinished download, a worker's copy), and what flushes by itself.
OTHERS = {"catalogue/database.py", "ray/worker.py", "networks/hub.py", "testing/damage.py"} | {
    "copies/deeds.py",
    "copies/journal.py",
    "indexes/store.py",
}
PLAIN = re.compile(r"\.write_(text|bytes)\(|[\w)]\.open\(\"[wx]|open\([^)]*\"[wx]b?\"")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was flushed and renamed, in order."""
    seen: list[tuple[str, str]] = []
    flush, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        seen.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        flush(descriptor)

    def rename(self: Path, target: Any) -> Path:
        seen.append(("rename", str(target)))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    return seen


def durable(calls: list[tuple[str, str]], path: Path) -> bool:
    """Tell whether some draft was flushed, took the name, and the folder was flushed after that."""
    at = calls.index(("rename", str(path)))
    draft = [name for what, name in calls[:at] if what == "fsync" and Path(name).parent == path.parent]
    return bool(draft) and ("fsync", str(path.parent)) in calls[at:]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are not to be had")
def test_a_file_is_flushed_then_named_then_its_folder_is_flushed(calls: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    assert [what for what, _ in calls] == ["fsync", "rename", "fsync"]
    assert durable(calls, path) and path.read_text() == '{\n  "a": 1\n}\n'


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are not to be had")
def test_uploads_thumbnails_keys_and_folders_are_durable(calls: Any, tmp_path: Path) -> None:
    from sosie.server.keys import Scope, keys_of

    with sosie.open(tmp_path / "library", model="histogram") as lib:
        content_id, _ = lib.add_bytes(jpeg(1))
        lib.thumbnail(content_id)
        keys_of(lib).create("me", Scope.READ)
        made = [path for name in ("uploads", "thumbnails") for path in (lib.path / name).rglob("*") if path.is_file()]
        assert len(made) == 2
        for path in (*made, lib.path / "keys.json"):
            assert durable(calls, path), path
            for folder in (parent for parent in path.parents if parent.is_relative_to(lib.path)):
                assert ("fsync", str(folder)) in calls


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, "first")
    with pytest.raises(RuntimeError), files.writing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, DiskFull), (errno.EROFS, LibraryReadOnly)])
def test_a_full_or_closed_disk_is_said(code: int, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kind):
        files.write(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == []


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    threads = [threading.Thread(target=files.write, args=(path, bytes([n]) * 100_000)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(path.read_bytes())) == 1 and path.stat().st_size == 100_000


def test_links_modes_and_pipes_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    files.write(real, "a", mode=0o600)
    link.symlink_to(real)
    files.write(link, "b")
    assert link.is_symlink() and real.read_text() == "b" and real.stat().st_mode & 0o777 == 0o600
    files.write(Path(os.devnull), "c")
    assert not Path(os.devnull).is_file()


def test_nothing_is_written_past_the_helper() -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if str(path.relative_to(SOURCE)) not in OTHERS | {"files.py"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if PLAIN.search(line)
    ]
    assert found == []
