"""Places that move, vanish and overlap: living ones first, and nothing forgotten that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.errors import UsageError
from sosie.library import Library
from tests.pictures import folder_of, jpeg


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


def flat(path: Path, *seeds: int) -> Path:
    path.mkdir(parents=True)
    for seed in seeds:
        (path / f"{seed}.jpg").write_bytes(jpeg(seed))
    return path


def test_a_renamed_folder_is_shown_where_it_is_and_its_old_places_are_marked(lib: Library, tmp_path: Path) -> None:
    album = flat(tmp_path / "Album", 0, 1, 2, 3)
    lib.add(album)
    holiday = album.rename(tmp_path / "Holiday")
    report = lib.add(holiday)
    assert report.left == {(tmp_path / "Album").as_uri() + "/": 4}
    hit = lib.search(jpeg(0), k=1)[0]
    assert hit.uri == (holiday / "0.jpg").as_uri()
    assert not hit.gone
    places = lib.catalogue.places_of(hit.id)
    assert [place.gone_at is not None for place in places] == [False, True]


def test_a_deleted_picture_is_marked_gone_and_is_back_when_its_file_is(lib: Library, tmp_path: Path) -> None:
    folder = flat(tmp_path / "a", 0, 1)
    lib.add(folder)
    (folder / "0.jpg").rename(tmp_path / "away.jpg")
    lib.add(folder)
    hit = lib.search(jpeg(0), k=1)[0]
    assert hit.gone
    assert hit.to_json()["gone"] is True
    (tmp_path / "away.jpg").rename(folder / "0.jpg")
    lib.add(folder)
    assert not lib.search(jpeg(0), k=1)[0].gone


@pytest.mark.parametrize("first", ["P", "P/2024"])
def test_sync_means_below_by_path(lib: Library, tmp_path: Path, first: str) -> None:
    flat(tmp_path / "P/2024", 0, 1)
    flat(tmp_path / "P/2023", 2, 3)
    other = "P/2024" if first == "P" else "P"
    lib.add(tmp_path / first)
    lib.add(tmp_path / other)
    (tmp_path / "P/2024/0.jpg").unlink()
    assert lib.add(tmp_path / other, sync=True).dropped == 1
    assert lib.search(jpeg(0), k=1)[0].verdict != "identical"


def test_sync_with_patterns_keeps_what_came_by_another_root(lib: Library, tmp_path: Path) -> None:
    from sosie.sources.folder import FolderSource

    drafts = flat(tmp_path / "P/drafts", 0, 1)
    flat(tmp_path / "P/done", 2)
    lib.add(drafts)
    report = lib.add(FolderSource(tmp_path / "P", exclude=("drafts",)), sync=True)
    assert report.dropped == 0
    assert lib.stats()["pictures"] == 3


def test_a_root_is_forgotten_and_pictures_at_other_places_stay(lib: Library, tmp_path: Path) -> None:
    one, two = flat(tmp_path / "one", 0, 1), flat(tmp_path / "two", 1, 2)
    lib.add(one)
    lib.add(two)
    assert lib.sources.forget(one.as_uri() + "/") == 2
    assert lib.stats()["pictures"] == 2
    with pytest.raises(UsageError, match="no root"):
        lib.sources.forget(one.as_uri() + "/")


def test_a_root_is_re_pointed_without_reading(lib: Library, tmp_path: Path) -> None:
    old = folder_of(tmp_path / "old", 60)
    lib.add(old, label_from_folders=True)
    new = old.rename(tmp_path / "new")
    moved = lib.sources.move(old.as_uri() + "/", new.as_uri() + "/")
    assert (moved.moved, moved.checked, moved.left) == (60, 32, ())
    assert [root.root for root in lib.sources] == [new.as_uri() + "/"]
    assert lib.add(new).unchanged == 60
    assert lib.labels() == {"label": {"even": 30, "odd": 30}}


def test_a_move_to_other_pictures_changes_nothing(lib: Library, tmp_path: Path) -> None:
    old, new = flat(tmp_path / "old", 0), flat(tmp_path / "new")
    lib.add(old)
    data = jpeg(0)
    (new / "0.jpg").write_bytes(data[:-3] + b"abc")
    with pytest.raises(UsageError, match="nothing was moved"):
        lib.sources.move(old.as_uri() + "/", new.as_uri() + "/")
    assert lib.search(jpeg(0), k=1)[0].uri == (old / "0.jpg").as_uri()


def test_the_command_line_lists_moves_and_forgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library, old = str(tmp_path / "lib"), flat(tmp_path / "old", 0, 1)
    assert main(["add", str(old), "-L", library, "--model", "histogram"]) == 0
    new = old.rename(tmp_path / "new")
    (new / "1.jpg").unlink()
    capsys.readouterr()
    assert main(["sources", "list", "-L", library, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["sources"]
    assert (row["places"], row["reachable"]) == (2, False)
    assert row["last_run"] > 0
    assert main(["sources", "move", str(old), str(new), "-L", library, "--all-checked"]) == 1
    assert "1 places are at" in capsys.readouterr().out
    assert main(["sources", "forget", str(old), "-L", library]) == 0
    assert main(["sources", "list", "-L", library]) == 0
    assert str(new) in capsys.readouterr().out
