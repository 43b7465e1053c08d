"""Plans carried out and undone: nothing is lost, whatever is wrong with a line and whenever the process is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.copies.apply import Applied, Settings, apply_plan
from sosie.copies.journal import read_journal
from sosie.copies.plans import Line, make_plan, read_plan, write_plan
from sosie.copies.undo import last_journal, undo_plan
from sosie.errors import NotFound, UsageError
from tests.scenes import as_file, scene

KILLS = int(os.environ.get("SOSIE_KILLS", "12"))
ACTIONS = ("link", "move", "delete")


@dataclass(frozen=True)
class Place:
    """A library of three pictures in five files each, and where its files go."""

    root: Path

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def library(self) -> Path:
        return self.root / "library"

    @property
    def moved(self) -> Path:
        return self.root / "moved"

    def lines(self, action: str) -> list[Line]:
        """Return the lines of a plan."""
        return [one for one in read_plan(self.root / f"{action}.json") if isinstance(one, Line)]

    def apply(self, lines: list[Line], **settings: bool) -> Applied:
        with sosie.open(self.library, create=False) as lib:
            chosen = Settings(self.moved, **settings)
            return apply_plan(lines, catalogue=lib.catalogue, library=self.library, settings=chosen)

    def undo(self) -> int:
        """Undo the last plan and return how many files could not be brought back."""
        with sosie.open(self.library, create=False) as lib:
            journal = last_journal(self.library)
            return len(undo_plan(journal, catalogue=lib.catalogue, library=self.library).refused)

    def state(self) -> dict[str, str]:
        """Return the digest of every file below the pictures, and make sure that none is another's hard link."""
        files = sorted(path for path in self.pictures.rglob("*") if path.is_file())
        assert len({path.stat().st_ino for path in files}) == len(files)
        return {path.name: digest(path) for path in files}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pictures, their library, and a plan for each action."""
    root = tmp_path_factory.mktemp("apply")
    place = Place(root)
    place.pictures.mkdir()
    for seed in range(3):
        for copy in range(5):
            (place.pictures / f"{seed}{copy}.png").write_bytes(as_file(scene(seed, width=64, height=48)))
    with sosie.open(place.library, model="histogram") as lib:
        lib.add(place.pictures)
        report = lib.copies.duplicates()
        from sosie.copies.identity import identity_of

        for action in ACTIONS:
            write_plan(make_plan(report, action=action, library=identity_of(lib.catalogue)), root / f"{action}.json")
    shutil.copytree(root, root / "master")
    return root


@pytest.fixture
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return the folder as it was made, with an empty trash of its own."""
    reset(made)
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.setenv("XDG_DATA_HOME", str(made / "data"))
    for name in [name for name in sys.modules if name.startswith("send2trash")]:
        monkeypatch.delitem(sys.modules, name)  # it reads the environment when it is imported
    yield Place(made)
    for name in [name for name in sys.modules if name.startswith("send2trash")]:
        del sys.modules[name]


def reset(root: Path) -> None:
    for name in ("pictures", "library", "moved", "data"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("pictures", "library"):
        shutil.copytree(root / "master" / name, root / name)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_plan_is_carried_out_and_undone(place: Place, action: str) -> None:
    before = place.state()
    applied = place.apply(place.lines(action))
    assert (len(applied.done), applied.refused) == (12, ())
    files = list(place.pictures.iterdir())
    assert len({path.stat().st_ino for path in files}) == 3
    assert len(files) == (15 if action == "link" else 3)
    with sosie.open(place.library, create=False) as lib:
        assert lib.catalogue.counts()["locations"] == len(files)
    assert place.undo() == 0
    assert place.state() == before
    with sosie.open(place.library, create=False) as lib:
        assert lib.catalogue.counts()["locations"] == 15
    with pytest.raises(NotFound):
        place.undo()


def test_a_dry_run_does_nothing(place: Place) -> None:
    before = place.state()
    applied = place.apply(place.lines("move"), dry_run=True)
    assert (len(applied.done), applied.journal, place.state()) == (12, None, before)
    assert not place.moved.exists()


def test_the_mode_and_date_of_a_linked_file_come_back(place: Place) -> None:
    file = place.pictures / "04.png"
    file.chmod(0o640)
    os.utime(file, ns=(10**18, 10**18))
    place.apply(place.lines("link"))
    assert place.undo() == 0
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o640, 10**18)


def test_what_lies_at_the_target_is_not_overwritten(place: Place) -> None:
    place.moved.mkdir()
    (place.moved / "01.png").write_bytes(b"mine")
    place.apply(place.lines("move"))
    assert (place.moved / "01.png").read_bytes() == b"mine"
    assert (place.moved / "01 (2).png").exists()


def test_a_plan_that_moves_wants_a_folder(place: Place) -> None:
    with sosie.open(place.library, create=False) as lib, pytest.raises(UsageError, match="--to"):
        apply_plan(place.lines("move"), catalogue=lib.catalogue, library=place.library)


def spoil(place: Place, how: str, line: Line) -> Line:
    """Make one line of a plan, or its files, wrong."""
    path, keep = (Path(uri.removeprefix("file://")) for uri in (line.uri, line.keep))
    if how == "another library":
        return replace(line, library="0" * 32)
    if how == "older state":
        with sosie.open(place.library, create=False) as lib:
            lib.catalogue.drop_locations([line.uri])
    elif how == "changed":
        path.write_bytes(as_file(scene(50)))
    elif how == "keep changed":
        keep.write_bytes(as_file(scene(50)))
    elif how == "keep gone":
        keep.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "a link":
        path.unlink()
        path.symlink_to(keep)
    elif how == "one file":
        path.unlink()
        os.link(keep, path)
    elif how == "read-only":
        path.chmod(0o444)
    return line


WRONG = {
    "another library": "another library",
    "older state": "changed since",
    "changed": "changed since",
    "keep changed": "keep is gone or has changed",
    "keep gone": "gone",
    "a folder": "folder",
    "a link": "symbolic link",
    "one file": "already the same file",
    "read-only": "read-only",
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_line_that_is_wrong_is_refused_and_the_rest_carried_out(place: Place, how: str, action: str) -> None:
    lines = place.lines(action)
    lines[0] = spoil(place, how, lines[0])
    applied = place.apply([lines[0], *lines[4:]])
    assert [one.uri for one in applied.refused] == [lines[0].uri]
    assert WRONG[how] in applied.refused[0].reason
    assert len(applied.done) == 8


def test_a_hard_link_to_another_disk_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == place.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    line = place.lines("link")[0]
    from sosie.copies.deeds import hard_link
    from sosie.errors import BadPicture

    keep = os.fsencode(line.keep.removeprefix("file://"))
    far = other / f"sosie-{os.getpid()}.png"
    far.write_bytes(b"x")
    try:
        with pytest.raises(BadPicture, match="another disk"):
            hard_link(os.fsencode(far), keep, os.fsencode(f"{far}.draft"))
        assert far.read_bytes() == b"x"
    finally:
        far.unlink()


def test_a_move_to_another_disk_is_undone(place: Place) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == place.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = other / f"sosie-{os.getpid()}"
    before = place.state()
    try:
        with sosie.open(place.library, create=False) as lib:
            settings = Settings(folder)
            apply_plan(place.lines("move"), catalogue=lib.catalogue, library=place.library, settings=settings)
        assert len(list(folder.iterdir())) == 12
        assert place.undo() == 0
        assert place.state() == before
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_undo_overwrites_nothing(place: Place) -> None:
    line = place.lines("move")[0]
    place.apply([line])
    path = Path(line.uri.removeprefix("file://"))
    path.write_bytes(b"something new")
    assert place.undo() == 1
    assert path.read_bytes() == b"something new"


def test_a_journal_that_was_cut_short_is_read(place: Place) -> None:
    applied = place.apply(place.lines("move"))
    assert applied.journal is not None
    data = applied.journal.read_bytes()
    applied.journal.write_bytes(data[:-9])
    assert len(read_journal(applied.journal)) == 12
    assert place.undo() == 0


def test_the_command_line_applies_and_undoes(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads((place.root / "link.json").read_text())
    rows[0]["keep"] = rows[5]["keep"]
    plan = place.root / "edited.json"
    plan.write_text(json.dumps(rows))
    before = place.state()
    assert main(["duplicates", "apply", str(plan), "-L", str(place.library), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (len(said["done"]), "edited by hand" in said["refused"][0]["reason"]) == (11, True)
    assert main(["duplicates", "undo", "-L", str(place.library)]) == 0
    assert place.state() == before
    plan.write_text("{")
    assert main(["duplicates", "apply", str(plan), "-L", str(place.library)]) == 3
    assert main(["duplicates", "apply", str(plan) + "x", "-L", str(place.library)]) == 3


def killed_while_applying(place: Place, action: str, after: float) -> None:
    """Fork, apply a plan there, and kill that process so many seconds after it began."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with sosie.open(place.library, create=False) as lib:
                os.write(writing, b"!")
                settings = Settings(place.moved)
                apply_plan(place.lines(action), catalogue=lib.catalogue, library=place.library, settings=settings)
        finally:
            os._exit(0)
    os.read(reading, 1)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork of this process")
def test_a_kill_at_any_moment_loses_nothing_and_is_undone(place: Place) -> None:
    before = place.state()
    originals = set(before.values())
    rng = random.Random(5)
    longest = {}
    for action in ACTIONS:
        started = time.perf_counter()
        place.apply(place.lines(action))
        longest[action] = time.perf_counter() - started
        reset(place.root)
    for number in range(KILLS):
        action = ACTIONS[number % 3]
        killed_while_applying(place, action, rng.random() * longest[action])
        files = [path for path in place.root.rglob("*.png") if "master" not in path.parts]
        assert {digest(path) for path in files if path.is_file()} >= originals
        lying = [path for path in files if path.is_file()]
        assert len(lying) >= 15 or action == "link"
        with contextlib.suppress(NotFound):  # killed before the first deed
            assert place.undo() == 0
        assert place.state() == before
        assert not list(place.moved.glob("*"))
        assert not list(place.pictures.glob(".sosie-*"))
        reset(place.root)
