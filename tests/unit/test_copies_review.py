"""What a person chooses about groups of duplicates, as a plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.copies.duplicates import DuplicateGroup
from sosie.copies.plans import Line, line_of
from sosie.copies.review import bytes_of_plan, class_of, current_groups, files_of, plan_of_choices
from sosie.errors import UsageError
from sosie.library import Library
from tests.pictures import jpeg, png_of


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Return a library with one picture in three places, and another as PNG twice and as BMP once."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.jpg").write_bytes(jpeg(1))
    (folder / "d.png").write_bytes(png_of(jpeg(2)))
    shutil.copyfile(folder / "d.png", folder / "e.png")
    Image.open(folder / "d.png").save(folder / "f.bmp")
    with sosie.open(tmp_path / "library") as made:
        made.add(folder, workers=1)
        yield made


def groups_of(library: Library) -> tuple[DuplicateGroup, ...]:
    return current_groups(library.copies.duplicates(same="pixels"), library.catalogue)


def uri(library: Library, name: str) -> str:
    return (library.path.parent / "pictures" / name).as_uri()


def plan(library: Library, *names: str, action: str = "delete") -> dict[str, str]:
    """Return name of each file that is given up → name of the file that is kept for it, or the reason."""
    made = plan_of_choices(groups_of(library), [uri(library, name) for name in names], action=action, library="x")
    kept = {Path(line.uri).name: Path(line.keep).name for line in made.lines}
    return {**kept, **{Path(one.uri).name: one.reason for one in made.refused}}


def test_groups_of_equal_files_alone_have_their_files_class_and_reason(library: Library) -> None:
    by_class = {class_of(group): group for group in groups_of(library)}
    assert sorted(by_class) == ["bytes", "pixels"]
    assert [Path(file.place.uri).name for file in files_of(by_class["bytes"])] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (by_class["bytes"].reason, by_class["pixels"].reason) == ("first_place", "most_bytes")


def test_a_file_is_given_up_for_one_that_stays(library: Library) -> None:
    assert plan(library, "b.jpg") == {"b.jpg": "a.jpg"}
    assert plan(library, "a.jpg", "c.jpg") == {"a.jpg": "b.jpg", "c.jpg": "b.jpg"}


def test_the_best_is_given_up_for_another_that_was_compared_with_it(library: Library) -> None:
    assert plan(library, "f.bmp", "e.png") == {"f.bmp": "d.png", "e.png": "d.png"}


def test_a_group_keeps_a_file(library: Library) -> None:
    with pytest.raises(UsageError, match="keep at least one file"):
        plan(library, "a.jpg", "b.jpg", "c.jpg")


def test_a_file_of_no_group_is_named(library: Library) -> None:
    assert "look for duplicates again" in plan(library, "nowhere.jpg")["nowhere.jpg"]


def test_the_size_of_a_plan_is_that_of_the_files(library: Library) -> None:
    groups = groups_of(library)
    made = plan_of_choices(groups, [uri(library, "b.jpg"), uri(library, "c.jpg")], action="link", library="x")
    assert bytes_of_plan(made, groups) == 2 * len(jpeg(1))


def test_groups_follow_what_became_of_their_files(library: Library) -> None:
    report = library.copies.duplicates(same="bytes")
    for name in ("b.jpg", "c.jpg"):
        (library.path.parent / "pictures" / name).unlink()
    assert [len(files_of(group)) for group in current_groups(report, library.catalogue)] == [2]  # d.png and e.png


def test_a_plan_that_a_browser_wrote_holds(library: Library) -> None:
    (line,) = plan_of_choices(groups_of(library), [uri(library, "b.jpg")], action="link", library="x").lines
    written = json.loads(json.dumps(line.to_json()).replace("1.0", "1"))
    assert line_of(written) == line
    assert not isinstance(line_of({**written, "uri": uri(library, "a.jpg")}), Line)
