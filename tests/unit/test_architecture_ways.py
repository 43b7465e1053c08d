"""A picture that is added, and one that is searched with, comes through the functions that the page names, in order."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image

import sosie

SOURCE = Path(sosie.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs/explanation/architecture.md").read_text("utf-8")
_STEP = re.compile(r"^\| `([\w.]+)` \| `([\w/]+\.py)` \| (.*) \|$", re.MULTILINE)


def _way(title: str) -> list[tuple[str, str]]:
    """Return (file, function) of the steps of a way, but for those of the worker processes."""
    _, _, section = PAGE.partition(f"## {title}\n")
    steps = _STEP.findall(section.partition("\n## ")[0])
    return [(file, function) for function, file, told in steps if not told.startswith("*in the worker:*")]


@contextmanager
def _begun() -> Iterator[dict[tuple[str, str], int]]:
    """Give (file, function) → its turn, of all functions of the source that begin within the block, on any thread."""
    turns: dict[tuple[str, str], int] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(SOURCE)):
            turns.setdefault((str(Path(code.co_filename).relative_to(SOURCE)), code.co_qualname), len(turns))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield turns
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, rng = tmp_path_factory.mktemp("ways") / "pictures", np.random.default_rng(7)
    place.mkdir()
    for number in range(3):
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def library(folder: Path) -> Iterator[sosie.Library]:
    with sosie.open(folder.parent / "library") as lib:
        yield lib


@pytest.fixture(scope="module")
def filled(folder: Path) -> Iterator[sosie.Library]:
    with sosie.open(folder.parent / "filled") as lib:
        lib.add(folder, workers=1)
        lib.copies.prepare()
        yield lib


def _check(title: str, turns: dict[tuple[str, str], int]) -> None:
    way = _way(title)
    assert len(way) > 10
    assert [step for step in way if step not in turns] == []
    assert sorted(way, key=turns.__getitem__) == way


def test_a_picture_comes_the_way_that_is_told(library: sosie.Library, folder: Path) -> None:
    with _begun() as turns:
        library.add(folder, workers=1)
    _check("A picture's way", turns)


def test_a_query_comes_the_way_that_is_told(filled: sosie.Library, folder: Path) -> None:
    altered = folder.parent / "altered.jpg"
    with Image.open(folder / "0.png") as image:
        image.convert("RGB").save(altered, quality=60)
    with _begun() as turns:
        found = filled.search(altered, k=2)
    assert found[0].uri.endswith("0.png")
    _check("A query's way", turns)
