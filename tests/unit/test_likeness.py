"""A likeness is set beside that of random pairs, and a query without an answer is told so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.query.likeness import LEAST, Background
from sosie.types import Hit, Verdict
from tests.scenes import as_file, scene

NOISE = as_file(np.random.default_rng(7).integers(0, 255, (200, 200, 3), np.uint8))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("likeness")
    with sosie.open(folder / "library") as made:
        made.add(scenes_of(folder / "pictures", range(LEAST + 10)))
        yield made


def scenes_of(folder: Path, seeds: range) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        (folder / f"{seed:03d}.png").write_bytes(as_file(scene(seed)))
    return folder


def test_what_is_like_nothing_is_told_so_and_nothing_is_left_out(library: sosie.Library) -> None:
    found = library.search(NOISE, k=10)
    assert len(found) == 10
    assert [hit.weak for hit in found] == [True] * 10
    assert found.to_json()["answered"] is False
    assert all(hit.to_json()["weak"] is True for hit in found)


def test_a_copy_is_never_weak_and_answers(library: sosie.Library) -> None:
    found = library.search(as_file(scene(3)), k=10)
    assert found[0].verdict is Verdict.SAME_PIXELS or found[0].verdict is Verdict.IDENTICAL
    assert not found[0].weak
    assert found.to_json()["answered"] is True
    assert "weak" not in found[0].to_json()


def test_a_score_is_told_beside_those_of_random_pairs(library: sosie.Library) -> None:
    hits = library.search(1, k=40).hits
    told = [hit.evidence["likeness"] for hit in hits]
    assert [each["z"] for each in told] == sorted((each["z"] for each in told), reverse=True)
    assert [each["random_share"] for each in told] == sorted(each["random_share"] for each in told)
    assert {each["cut_off"] for each in told} == {told[0]["cut_off"]}
    assert all(hit.weak == (hit.score < told[0]["cut_off"]) for hit in hits if hit.verdict is Verdict.SIMILAR)


def test_the_least_likeness_leaves_out_what_is_only_alike(library: sosie.Library) -> None:
    every = library.search(as_file(scene(3)), k=20)
    least = every[5].score
    kept = library.search(as_file(scene(3)), k=20, min_likeness=least)
    assert [hit.id for hit in kept] == [hit.id for hit in every if hit.score >= least]
    assert [hit.id for hit in library.search(as_file(scene(3)), min_likeness=1.0)] == [every[0].id]


def test_what_was_measured_is_kept_and_measured_again_when_the_library_has_grown(
    library: sosie.Library, tmp_path: Path
) -> None:
    library.search(NOISE)
    file = library.path / "likeness.json"
    kept = json.loads(file.read_text())[library.space.name]
    assert kept["count"] == LEAST + 10
    epoch = library.catalogue.epoch()
    with sosie.open(library.path) as again:
        assert again.engine.likeness.background() == Background.from_json(kept)
        assert again.catalogue.epoch() == epoch
        again.add(scenes_of(tmp_path, range(100, 100 + LEAST)))
        background = again.engine.likeness.background()
    assert background is not None and background.count == 2 * LEAST + 10
    assert json.loads(file.read_text())[library.space.name]["count"] == 2 * LEAST + 10


def test_a_damaged_file_is_measured_anew(library: sosie.Library) -> None:
    expected = library.engine.likeness.background()
    (library.path / "likeness.json").write_text('{"bundled": [')
    with sosie.open(library.path, read_only=True) as again:
        found = again.engine.likeness.background()
    assert found is not None and expected is not None
    assert found.levels == pytest.approx(expected.levels, abs=0.2)


def test_words_sums_and_small_libraries_have_no_background(library: sosie.Library, tmp_path: Path) -> None:
    summed = library.search(((1.0, 1), (1.0, 2)), k=5)
    assert not any("likeness" in hit.evidence for hit in summed)
    with sosie.open(tmp_path / "small") as small:
        small.add(scenes_of(tmp_path / "few", range(5)))
        found = small.search(NOISE)
    assert found.has_answer and not any("likeness" in hit.evidence for hit in found)


def test_a_verdict_outweighs_a_weak_likeness() -> None:
    background = Background(100, None, 0.0, 0.1, 0.5, tuple(np.linspace(0, 0.9, 12).tolist()))
    hit = Hit(1, 1, "file:///a.jpg", 0.2, Verdict.SIMILAR)
    assert background.weighed(hit).weak
    assert not background.weighed(Hit(1, 1, "file:///a.jpg", 0.2, Verdict.CONTAINS)).weak
