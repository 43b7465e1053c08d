"""Many regions become one score a picture, by weights that can be fitted to labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.cli import main
from sosie.errors import UsageError
from sosie.regions.fusion import Weights, combine, match_regions, weights_of
from sosie.types import Region
from tests.pictures import folder_of

EVEN = Weights(share=0.5, area=0.0, sure=0.0, trust=0.0)


def matched(weights: Weights = EVEN, asked: tuple[Region, ...] = (), confidence: tuple[float, ...] = (1, 1, 1)):
    parts = np.eye(2, dtype=np.float32)
    vectors = np.array([[1, 0], [0, 0.5], [0, 1]], np.float32)
    owners = np.array([4, 4, 9])
    sure = np.array(confidence, np.float32)
    return match_regions(parts, vectors, owners, asked=asked, confidence=sure, weights=weights)


def test_each_part_takes_the_region_that_fits_it_best() -> None:
    found = matched()
    assert found.contents.tolist() == [4, 9]
    np.testing.assert_allclose(found.scores, [(1 + 0.5) / 2, (0 + 1) / 2])
    assert found.region.tolist() == [0, 2]
    assert found.part.tolist() == [0, 1]


def test_large_and_sure_parts_count_more() -> None:
    asked = (Region((0, 0, 0.9, 1.0), "a", 0.9), Region((0, 0, 0.1, 0.1), "b", 0.3))
    found = matched(Weights(share=0.5, area=1.0, sure=1.0, trust=0.0), asked)
    assert found.scores[0] > 0.99 > 0.05 > found.scores[1]


def test_a_region_that_is_not_sure_counts_less() -> None:
    found = matched(Weights(share=0.5, area=0.0, sure=0.0, trust=1.0), confidence=(0.5, 1, 0.5))
    np.testing.assert_allclose(found.scores, [(0.5 + 0.5) / 2, 0.5 / 2])


def test_no_regions_match_nothing() -> None:
    none = np.empty((0, 2), np.float32)
    found = match_regions(none, none, np.empty(0, np.int64), asked=(), confidence=np.empty(0, np.float32), weights=EVEN)
    assert len(found.contents) == 0


def test_a_share_of_nothing_is_the_whole_picture_and_a_large_one_is_nearly_the_region() -> None:
    whole, regions = np.array([0.2], np.float32), np.array([0.8], np.float32)
    np.testing.assert_allclose(combine(whole, [(regions, 0.0)]), whole)
    np.testing.assert_allclose(combine(whole, [(regions, 0.5)]), [0.5], rtol=1e-6)
    np.testing.assert_allclose(combine(whole, [(regions, 0.9)]), [0.74], rtol=1e-6)


def test_stored_weights_are_taken_before_those_that_sosie_comes_with() -> None:
    assert weights_of("objects", {"objects": EVEN.to_json()}) == EVEN
    assert weights_of("mask:!person", None).share == 0.5
    with pytest.raises(UsageError):
        Weights(share=1.0)


def test_weights_are_fitted_to_labels_and_used_from_then_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, library = str(folder_of(tmp_path / "pictures", 16)), str(tmp_path / "lib")
    assert main(["add", pictures, "-L", library, "--label-from-folders", "--regions", "pooled"]) == 0
    capsys.readouterr()
    run = tmp_path / "run"
    assert main(["evaluate", "regions", "-L", library, "--fit", "--run", str(run), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["set-up"] for row in rows} == {"whole", "pooled", "whole+pooled"}
    assert "whole+pooled" in (run / "report.html").read_text(encoding="utf-8")
    assert "Queries and their neighbours" in (run / "pooled" / "report.html").read_text(encoding="utf-8")
    with sosie.open(library) as lib:
        fitted = weights_of("pooled", lib.catalogue.record("fusion"))
        hit = lib.search(1, regions=["pooled"], k=1)[0]
    parts = hit.evidence["parts"]
    odds = fitted.share / (1 - fitted.share)
    assert hit.score == pytest.approx((parts["whole"] + odds * parts["pooled"]) / (1 + odds), abs=1e-3)
    assert main(["evaluate", "compare", str(run / "whole"), str(run / "whole+pooled")]) == 0


def test_too_many_squares_to_look_at_are_still_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(folder_of(tmp_path / "pictures", 16), regions=["pooled"])
        looked = lib.search(1, regions=["pooled"], k=5)
        monkeypatch.setattr("sosie.query.regions.EXACT_UNTIL", 0)  # candidates then come from whole pictures alone
        alone = lib.search(1, regions=["pooled"], k=5)
    assert [(hit.id, hit.score) for hit in alone] == [(hit.id, hit.score) for hit in looked]
    assert all(set(hit.evidence["parts"]) == {"whole", "pooled"} for hit in alone)


def test_without_regions_the_message_says_how_to_get_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = str(tmp_path / "lib")
    assert main(["add", str(folder_of(tmp_path / "pictures", 4)), "-L", library]) == 0
    assert main(["evaluate", "regions", "-L", library]) == 2
    assert "--regions objects" in capsys.readouterr().err
