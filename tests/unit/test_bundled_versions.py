"""A library goes on answering by the bundled network that it was made by, until it is upgraded; that can be undone."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.embedders.bundled import NEWEST, bundled_name
from sosie.errors import UsageError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def made_by_5(tmp_path: Path, pictures: Path) -> Path:
    """A library as version 5 left it: it remembers `bundled`, and no version."""
    with sosie.open(tmp_path / "library", model="bundled-5") as lib:
        lib.add(pictures)
        known = dict(lib.catalogue.record("library") or {})
        known.pop("version")
        lib.catalogue.put_record("library", {**known, "model": "bundled"})
    return tmp_path / "library"


def answer(library: Path, picture: Path) -> tuple[str, str, list[int]]:
    """Return the model that answers, its space, and what it finds."""
    with sosie.open(library, create=False) as lib:
        return lib.model, lib.space.name, [hit.id for hit in lib.search(picture, k=4).hits]


def test_a_new_library_remembers_the_newest_version(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "new") as lib:
        assert lib.model == "bundled"
        assert (lib.catalogue.record("library") or {})["version"] == NEWEST


def test_a_library_of_version_5_answers_by_it_and_takes_more_pictures(made_by_5: Path, pictures: Path) -> None:
    model, space, found = answer(made_by_5, pictures / "0.png")
    assert (model, space) == ("bundled-5", "bundled@5/semantic/whole")
    assert len(found) == 4
    Image.new("RGB", (50, 50), (200, 20, 20)).save(pictures / "more.png")
    with sosie.open(made_by_5) as lib:
        assert lib.add(pictures).indexed == 1
    assert answer(made_by_5, pictures / "more.png")[1:] == (
        space,
        [5, *answer(made_by_5, pictures / "more.png")[2][1:]],
    )


def test_upgraded_it_answers_by_the_newest_and_undone_by_5_again(made_by_5: Path, pictures: Path) -> None:
    before = answer(made_by_5, pictures / "0.png")
    with sosie.open(made_by_5) as lib:
        done = lib.models.upgrade()
        assert (done.before, done.now, done.report.indexed) == ("bundled-5", "bundled", 4)
    model, space, found = answer(made_by_5, pictures / "0.png")
    assert (model, space, len(found)) == ("bundled", f"bundled@{NEWEST}/semantic/whole", 4)
    with sosie.open(made_by_5) as lib:
        assert lib.models.upgrade().report.indexed == 0
        undone = lib.models.upgrade(undo=True)
        assert (undone.before, undone.now, undone.report.indexed) == ("bundled", "bundled-5", 0)
    assert answer(made_by_5, pictures / "0.png") == before


def test_a_stopped_upgrade_changes_nothing_and_goes_on(made_by_5: Path, pictures: Path) -> None:
    stop = threading.Event()
    stop.set()
    with sosie.open(made_by_5) as lib:
        assert lib.models.upgrade(stop=stop).now == "bundled-5"
    assert answer(made_by_5, pictures / "0.png")[0] == "bundled-5"
    with sosie.open(made_by_5) as lib:
        assert lib.models.upgrade().now == "bundled"


def test_pictures_that_are_away_stop_an_upgrade(made_by_5: Path, pictures: Path) -> None:
    (pictures / "1.png").unlink()
    with sosie.open(made_by_5) as lib, pytest.raises(UsageError, match="1 pictures are away"):
        lib.models.upgrade()
    assert answer(made_by_5, pictures / "0.png")[0] == "bundled-5"


def test_what_was_never_upgraded_cannot_be_undone(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "new") as lib, pytest.raises(UsageError, match="nothing to undo"):
        lib.models.upgrade(undo=True)


def test_only_libraries_made_by_it_list_the_earlier_version(made_by_5: Path, tmp_path: Path) -> None:
    for place, listed in ((made_by_5, True), (tmp_path / "new", False)):
        with sosie.open(place) as lib:
            assert ("bundled-5" in [row.name for row in lib.models.list()]) is listed


def test_the_version_that_is_remembered_comes_before_what_the_spaces_tell() -> None:
    spaces = ["bundled@5/semantic/whole", "bundled@6/semantic/whole"]
    assert bundled_name({}, spaces) == "bundled-5"
    assert bundled_name({"version": NEWEST}, spaces) == "bundled"
    assert bundled_name({}, []) == "bundled"
