"""Plans: equal files are listed; no line gives up the last copy, an animation for a still, a larger picture."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.cli import main
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport, Match
from sosie.copies.places import places_of
from sosie.copies.plans import Line, Plan, Refusal, make_plan, read_plan, write_plan
from tests.scenes import as_file, scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    return pictures


@pytest.fixture
def library(tmp_path: Path) -> Iterator[sosie.Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


def listed(library: sosie.Library, folder: Path) -> DuplicateReport:
    """Add a folder and return its duplicates."""
    library.add(folder)
    library.copies.prepare()
    return library.copies.duplicates()


def paired(library: sosie.Library, best: str, other: str, verdict: str = "altered_copy") -> DuplicateReport:
    """Return a report that says of two files of a library that the second is a copy of the first."""
    records = library.catalogue.pictures(library.catalogue.live_ids().tolist())
    by_name = {record.uris[0].rsplit("/", 1)[-1]: record for record in records}
    first, second = by_name[best], by_name[other]
    match = Match(*sorted((first.id, second.id)), 0.999, verdict)
    places = {one.id: places_of(one) for one in (first, second)}
    return DuplicateReport((DuplicateGroup(first, ((second, match),), places),), (), 0.9, 2)


def names(plan: Plan) -> list[str]:
    return sorted(line.uri.rsplit("/", 1)[-1] for line in plan.lines)


def test_one_picture_in_two_places_is_a_group_of_identical_files(library: sosie.Library, folder: Path) -> None:
    (folder / "a.png").write_bytes(as_file(scene(1)))
    (folder / "b.png").write_bytes(as_file(scene(1)))
    report = listed(library, folder)
    (group,) = report.to_json()["groups"]
    assert [(other["verdict"], other["uris"][0][-5:]) for other in group["others"]] == [("identical", "b.png")]
    assert names(make_plan(report, action="link", library="x")) == ["b.png"]


def test_hard_links_of_one_file_are_no_copies(library: sosie.Library, folder: Path) -> None:
    (folder / "a.png").write_bytes(as_file(scene(1)))
    os.link(folder / "a.png", folder / "b.png")
    assert listed(library, folder).groups == ()


def test_a_hard_link_beside_a_copy_is_told_apart(library: sosie.Library, folder: Path) -> None:
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(as_file(scene(1)))
    os.link(folder / "a.png", folder / "b.png")
    report = listed(library, folder)
    assert report.groups[0].copies == 1
    twins = [place["uri"][-5:] for place in report.to_json()["groups"][0]["places"] if place["hard_link_of"]]
    assert twins == ["b.png"]
    assert names(make_plan(report, action="delete", library="x")) == ["c.png"]


def test_equal_files_make_the_exit_code_0(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(as_file(scene(1)))
    main(["add", str(folder), "-L", str(tmp_path / "lib"), "--model", "histogram"])
    capsys.readouterr()
    assert main(["duplicates", "-L", str(tmp_path / "lib")]) == 0
    assert "1 copies in 1 groups" in capsys.readouterr().out
    (folder / "b.png").unlink()
    assert main(["duplicates", "-L", str(tmp_path / "lib")]) == 1


@pytest.mark.parametrize("damage", ["removed", "changed", "changed, same size", "made a link"])
def test_the_last_copy_is_never_in_a_plan(library: sosie.Library, folder: Path, damage: str) -> None:
    (folder / "large.png").write_bytes(as_file(scene(1)))
    (folder / "small.jpg").write_bytes(as_file(scene(1)[::2, ::2], kind="JPEG"))
    library.add(folder)
    report = paired(library, "large.png", "small.jpg")
    large = folder / "large.png"
    data = bytearray(large.read_bytes())
    large.unlink()
    if damage == "changed":
        large.write_bytes(data + b"more")
    elif damage == "changed, same size":
        data[-20] ^= 1
        large.write_bytes(data)
    elif damage == "made a link":
        large.symlink_to(folder / "small.jpg")
    plan = make_plan(report, action="delete", library="x")
    assert plan.lines == ()
    assert "last one" in plan.refused[0].reason


def test_equal_files_of_which_one_is_gone_keep_the_other(library: sosie.Library, folder: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(as_file(scene(1)))
    library.add(folder)
    (folder / "a.png").unlink()
    library.copies.prepare()
    (line,) = make_plan(library.copies.duplicates(), action="delete", library="x").lines
    assert (line.keep[-5:], line.uri[-5:]) == ("b.png", "c.png")


def test_a_file_that_changed_since_it_was_added_is_left_alone(library: sosie.Library, folder: Path) -> None:
    (folder / "large.png").write_bytes(as_file(scene(1)))
    (folder / "small.png").write_bytes(as_file(scene(1)[::2, ::2]))
    library.add(folder)
    report = paired(library, "large.png", "small.png")
    (folder / "small.png").write_bytes(as_file(scene(9)))
    plan = make_plan(report, action="delete", library="x")
    assert (plan.lines, "changed" in plan.refused[0].reason) == ((), True)


def test_an_animation_is_never_given_up_for_a_still(library: sosie.Library, folder: Path) -> None:
    frames = [Image.fromarray(scene(seed)) for seed in (1, 2, 3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.repeat(np.repeat(scene(1), 2, 0), 2, 1)).save(folder / "still.png")
    library.add(folder)
    plan = make_plan(paired(library, "still.png", "moving.gif"), action="move", library="x")
    assert plan.lines == ()
    assert "3 frames" in plan.refused[0].reason


def test_a_larger_picture_is_never_given_up_for_a_smaller(library: sosie.Library, folder: Path) -> None:
    (folder / "large.png").write_bytes(as_file(scene(1)))
    (folder / "small.png").write_bytes(as_file(scene(1)[::2, ::2]))
    library.add(folder)
    plan = make_plan(paired(library, "small.png", "large.png"), action="move", library="x")
    assert (plan.lines, "larger" in plan.refused[0].reason) == ((), True)


def test_a_link_is_for_equal_bytes_alone(library: sosie.Library, folder: Path) -> None:
    (folder / "large.png").write_bytes(as_file(scene(1)))
    (folder / "small.png").write_bytes(as_file(scene(1)[::2, ::2]))
    library.add(folder)
    report = paired(library, "large.png", "small.png")
    assert make_plan(report, action="link", library="x").lines == ()
    assert names(make_plan(report, action="move", library="x")) == ["small.png"]


LINE = Line("move", "file:///a", "file:///b", "identical", 1.0, "aa", "aa", "lib")


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_plan(Plan((LINE,), ()), tmp_path / "plan.json")
    assert list(read_plan(tmp_path / "plan.json")) == [LINE]


@pytest.mark.parametrize("field", ["action", "uri", "keep", "sha256", "keep_sha256", "library", "verdict"])
def test_a_line_that_was_edited_is_refused(tmp_path: Path, field: str) -> None:
    row = {**LINE.to_json(), field: "file:///c"}
    (tmp_path / "plan.json").write_text(json.dumps([row, 7, {"uri": "file:///d"}]))
    read = list(read_plan(tmp_path / "plan.json"))
    assert all(isinstance(one, Refusal) for one in read)
    assert "edited by hand" in read[0].reason


def test_lines_of_a_plan_may_be_taken_out(tmp_path: Path) -> None:
    second = replace(LINE, uri="file:///c")
    (tmp_path / "plan.json").write_text(json.dumps([second.to_json()]))
    assert list(read_plan(tmp_path / "plan.json")) == [second]
