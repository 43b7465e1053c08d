"""One search: the copy, the part, the lookalike, in this order; no local features are stored of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.alterations import alter
from sosie.errors import NotFound
from sosie.query.verifier import LIKEST
from sosie.types import Verdict
from tests.scenes import as_file, scene

COUNT = 24
BOX = (0.3, 0.25, 0.5, 0.5)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("verdicts")
    with sosie.open(folder / "library") as made:
        made.add(scenes_of(folder / "pictures"))
        yield made


def scenes_of(folder: Path) -> Path:
    folder.mkdir()
    for seed in range(COUNT):
        (folder / f"{seed:02d}.png").write_bytes(as_file(scene(seed)))
    return folder


def id_of(library: sosie.Library, seed: int) -> int:
    return next(each.id for each in library.pictures() if each.uris[0].endswith(f"{seed:02d}.png"))


def part_of(seed: int) -> np.ndarray:
    pixels = scene(seed)
    height, width = pixels.shape[:2]
    x, y, w, h = (round(edge * side) for edge, side in zip(BOX, (width, height, width, height), strict=True))
    return np.ascontiguousarray(pixels[y : y + h, x : x + w])


@pytest.mark.parametrize("seed", range(6))
def test_a_box_on_a_picture_of_the_library_finds_that_picture_first(library: sosie.Library, seed: int) -> None:
    hit = library.search(id_of(library, seed), box=BOX)[0]
    assert (hit.id, hit.verdict, hit.probability) == (id_of(library, seed), Verdict.CONTAINS, 1.0)
    assert hit.region == pytest.approx(BOX)
    assert hit.evidence["cut_from"] == pytest.approx(BOX)


def test_a_box_on_an_upload_finds_the_picture_with_its_bytes(library: sosie.Library) -> None:
    hit = library.search(as_file(scene(7)), box=BOX)[0]
    assert (hit.id, hit.verdict, hit.probability) == (id_of(library, 7), Verdict.CONTAINS, 1.0)


def test_equal_bytes_and_pixels_stay_what_they_are(library: sosie.Library) -> None:
    own = library.pictures.read(id_of(library, 10))
    assert library.search(own)[0].verdict is Verdict.IDENTICAL
    assert library.search(as_file(scene(10)) + b"more")[0].verdict is Verdict.SAME_PIXELS


@pytest.mark.parametrize("seed", [8, 10, 11])
def test_an_uploaded_part_is_found_and_nothing_is_written(library: sosie.Library, seed: int) -> None:
    epoch, stored = library.catalogue.epoch(), len(library.copies.finder.unprepared())
    hit = library.search(as_file(part_of(seed)))[0]
    assert (hit.id, hit.verdict) == (id_of(library, seed), Verdict.CONTAINS)
    assert hit.probability is not None and hit.probability >= 0.9
    assert hit.region == pytest.approx(BOX, abs=0.12)
    assert (library.catalogue.epoch(), len(library.copies.finder.unprepared())) == (epoch, stored) == (epoch, COUNT)


def test_a_copy_never_stands_below_a_lookalike(library: sosie.Library) -> None:
    for seed, way in ((1, "crop_50"), (2, "flip"), (3, "grey"), (4, "rotate")):
        hits = library.search(as_file(alter(scene(seed), way, seed).pixels), k=COUNT).hits
        verdicts = [hit.verdict is Verdict.SIMILAR for hit in hits]
        assert verdicts == sorted(verdicts)
        assert hits[0].id == id_of(library, seed), way
        scores = [hit.score for hit in hits if hit.verdict is Verdict.SIMILAR]
        assert scores == sorted(scores, reverse=True)


def test_what_is_judged_depends_on_neither_k_nor_the_page(library: sosie.Library) -> None:
    data = as_file(part_of(15))
    answers = [library.search(data, k=k) for k in (1, 3, COUNT, 3)]
    assert len({each.not_judged for each in answers}) == 1
    assert [hit.to_json() for hit in answers[1]] == [hit.to_json() for hit in answers[3]]
    assert [hit.to_json() for hit in answers[2]][:3] == [hit.to_json() for hit in answers[1]]


def test_what_could_not_be_judged_is_said(library: sosie.Library) -> None:
    found = library.search(as_file(scene(90)))
    assert 0 < found.not_judged <= 2 * LIKEST
    assert found.to_json()["not_judged"] == found.not_judged
    assert "not_judged" not in library.search(as_file(scene(90)), verify=False).to_json()


def test_a_blank_part_has_no_verdict_and_says_why(library: sosie.Library) -> None:
    blank = library.search(as_file(np.full((80, 90, 3), 140, np.uint8)))
    assert all(hit.verdict is Verdict.SIMILAR for hit in blank)
    assert blank.asked["plain"] is True


def test_candidates_of_other_channels_meet_the_filter(library: sosie.Library) -> None:
    library.catalogue.set_labels(id_of(library, 20), {"kind": "kept"})
    found = library.search(id_of(library, 5), box=BOX, where="kind = 'kept'")
    assert [hit.id for hit in found] == [id_of(library, 20)]


def test_no_server_is_asked_for_a_reference(library: sosie.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(uri: str) -> bytes:
        read.append(uri)
        raise AssertionError(f"{uri} was read")

    record = library.pictures()[0]
    monkeypatch.setattr("sosie.maintenance.pictures.read_uri", reading)
    object.__setattr__(record, "uris", ("https://example.org/a.jpg",))
    monkeypatch.setattr(library.pictures, "record", lambda content_id: record)
    with pytest.raises(NotFound):
        library.pictures.read(record.id, here=True)
    assert read == []
