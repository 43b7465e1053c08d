"""Folders, libraries and disks that are not as they should be: a clear line, nothing lost, nothing hung."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import sosie
from sosie.errors import DamagedError, LibraryReadOnly, NewerSchema
from tests.pictures import folder_of, jpeg

NAMES = [
    b"new\nline.jpg",
    b"esc\x1b[31mape.jpg",
    b"not-utf8-\xff\xfe.jpg",
    b"quo\"te'.jpg",
    b"percent%41.jpg",
    b"-dash.jpg",
]


def test_any_file_name_can_be_added_and_found(tmp_path: Path) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(jpeg(seed))
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        assert lib.add(folder).indexed == len(NAMES)
        for seed in range(len(NAMES)):
            hit = lib.search(jpeg(seed), k=1)[0]
            assert hit.verdict == "identical"
            assert hit.uri.isascii()
            assert hit.uri.isprintable()
            assert lib.read(hit.id) == jpeg(seed)


def test_a_symlink_loop_ends(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "loop", 2)
    (folder / "again").symlink_to(folder)
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        report = lib.add(folder)
        assert report.indexed == 2
        assert dict(report.quarantined) == {"symlink_loop": 1}


def bound_by_permissions(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that file permissions bind; root's own are taken away from it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    if os.getuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_read_only_library_can_be_searched_and_not_changed(tmp_path: Path) -> None:
    folder, library = folder_of(tmp_path / "pictures", 3), tmp_path / "lib"
    with sosie.open(library, model="histogram") as lib:
        lib.add(folder)
    for path in [*library.rglob("*"), library]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    code = (
        "import sys, sosie\n"
        "lib = sosie.open(sys.argv[1])\n"
        "print(len(lib.search(open(sys.argv[2], 'rb').read(), k=3)))\n"
        "try: lib.add(sys.argv[3])\n"
        "except sosie.SosieError as error: print(type(error).__name__, error)\n"
    )
    done = bound_by_permissions(code, library, folder / "even" / "00000.jpg", folder)
    assert done.stdout.splitlines()[0] == "3", done.stderr
    assert done.stdout.splitlines()[1].startswith("LibraryReadOnly")


def test_an_unreadable_file_is_quarantined(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pictures", 2)
    (folder / "even" / "00000.jpg").chmod(0)
    code = "import sys, sosie; print(sosie.open(sys.argv[1], model='histogram').add(sys.argv[2]).to_json())"
    done = bound_by_permissions(code, tmp_path / "lib", folder)
    assert "'unreadable': 1" in done.stdout, done.stderr
    assert "'indexed': 1" in done.stdout


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    folder, library = folder_of(tmp_path / "pictures", 400), tmp_path / "lib"
    code = (
        "import resource, signal, sys, sosie\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from sosie.cli import main\n"
        "sys.exit(main(['add', sys.argv[1], '-L', sys.argv[2], '--model', 'histogram']))\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "no room" in done.stderr
    assert "Traceback" not in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000
    with sosie.open(library, model="histogram") as lib:
        before = lib.stats()["pictures"]
        report = lib.add(folder)
        assert report.unchanged == before
        assert lib.stats()["pictures"] == 400


def test_a_damaged_catalogue_is_said_to_be_damaged(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        lib.add(folder_of(tmp_path / "pictures", 20))
    path = tmp_path / "lib" / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    data[100:40_000] = os.urandom(39_900)
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="backup"), sosie.open(tmp_path / "lib") as lib:
        lib.search(jpeg(1))


def test_a_newer_library_is_refused_and_left_alone(tmp_path: Path) -> None:
    sosie.open(tmp_path / "lib").close()
    with sqlite3.connect(tmp_path / "lib" / "catalogue.sqlite") as other:
        other.execute("PRAGMA user_version = 999")
    other.close()
    with pytest.raises(NewerSchema, match="upgrade"):
        sosie.open(tmp_path / "lib")


def test_opening_read_only_on_request_refuses_to_write(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pictures", 2)
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        lib.add(folder)
    with sosie.open(tmp_path / "lib", read_only=True) as lib:
        assert len(lib.search(jpeg(0))) == 2
        with pytest.raises(LibraryReadOnly):
            lib.remove([1])
