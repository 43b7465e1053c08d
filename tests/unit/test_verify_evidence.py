"""Evidence of a pair, the certificate of what was done, and the probability."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.alterations import alter, chain
from sosie.errors import DamagedError, UsageError
from sosie.types import Pixels
from sosie.verify.calibration import Calibration, calibration_error, fit_calibration, shipped_calibration, terms
from sosie.verify.certificate import Certificate, certify, jpeg_quality
from sosie.verify.evidence import PairEvidence, examine
from sosie.verify.features import RootSift
from tests.scenes import as_file, as_picture, scene


def evidence_of(query: Pixels, reference: Pixels) -> PairEvidence:
    sift = RootSift()
    return examine(sift.extract(as_picture(query)), sift.extract(as_picture(reference)))


def certificate_of(query: Pixels, reference: Pixels) -> Certificate:
    found = certify(
        query,
        reference,
        evidence_of(query, reference),
        query_size=(query.shape[1], query.shape[0]),
        reference_size=(reference.shape[1], reference.shape[0]),
    )
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["crop_25", "flip", "rotate", "perspective", "jpeg", "grey", "meme", "background"])
def test_an_altered_copy_is_more_probable_than_not(name: str) -> None:
    altered = alter(scene(1), name, 5, others=[scene(50)]).pixels
    assert shipped_calibration().probability(evidence_of(altered, scene(1))) > 0.9


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_another_picture_is_improbable(seed: int) -> None:
    assert shipped_calibration().probability(evidence_of(scene(seed), scene(1))) < 0.05


def test_a_shared_logo_is_not_a_copy() -> None:
    first, second = scene(5).copy(), scene(6).copy()
    logo = scene(7)[:40, :50]
    first[10:50, 20:70] = logo
    second[180:220, 250:300] = logo
    assert shipped_calibration().probability(evidence_of(first, second)) < 0.5


def test_a_blurred_picture_without_local_features_agrees_as_a_whole() -> None:
    from PIL import Image, ImageFilter

    blurred = np.asarray(Image.fromarray(scene(8)).filter(ImageFilter.GaussianBlur(9)))
    found = evidence_of(blurred, scene(8))
    assert found.agreement > 0.7


@pytest.mark.parametrize("name", ["crop_50", "crop_25", "flip", "scale_down", "aspect", "pad", "rotate"])
def test_the_certificate_tells_the_crop_of_the_record(name: str) -> None:
    altered = alter(scene(9), name, 3)
    found, truth = certificate_of(altered.pixels, scene(9)), altered.record.crop
    assert truth is not None
    assert found.crop == pytest.approx(truth, abs=0.03)
    assert found.mirrored == altered.record.mirrored


def test_the_certificate_tells_turn_and_scale() -> None:
    turned = np.rot90(scene(10), -1)  # clockwise
    found = certificate_of(turned[::2, ::2], scene(10))
    assert found.turn == pytest.approx(90, abs=1)
    assert found.scale == pytest.approx((0.5, 0.5), abs=0.02)
    assert not found.mirrored


def test_the_certificate_tells_colour() -> None:
    darker = np.clip(scene(11).astype(float) * 0.6 + 20, 0, 255).astype(np.uint8)
    colour = certificate_of(darker, scene(11)).colour
    assert colour is not None
    assert colour.gain == pytest.approx((0.6, 0.6, 0.6), abs=0.06)
    assert colour.bias == pytest.approx((20, 20, 20), abs=8)
    assert not colour.grey


def test_the_certificate_tells_grey() -> None:
    found = certificate_of(alter(scene(12), "grey", 1).pixels, scene(12))
    assert found.colour is not None
    assert found.colour.grey
    assert "made grey" in found.sentences()


def test_the_certificate_finds_what_was_covered() -> None:
    altered = scene(13).copy()
    altered[60:130, 100:190] = 255
    found = certificate_of(altered, scene(13))
    assert found.covered
    x, y, width, height = found.covered[0]
    assert (x, y, x + width, y + height) == pytest.approx((100 / 320, 60 / 240, 190 / 320, 130 / 240), abs=0.06)
    assert found.covered_share == pytest.approx(70 * 90 / (320 * 240), abs=0.04)


def test_the_certificate_of_a_chain_says_each_step() -> None:
    altered = chain(scene(14), ["crop_50", "flip", "brightness"], 4)
    said = " ".join(certificate_of(altered.pixels, scene(14)).sentences())
    assert "mirrored" in said
    assert "cut to" in said


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_the_quality_of_a_jpeg_is_read_from_its_table(quality: int) -> None:
    assert jpeg_quality(as_file(scene(1), kind="JPEG", quality=quality)) == pytest.approx(quality, abs=2)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x43\x00", b"\x89PNG"])
def test_other_files_have_no_jpeg_quality(data: bytes) -> None:
    assert jpeg_quality(data) is None


# ------------------------------------------------------------------------------------------------ calibration


def rows(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random(count) < 0.5
    found = [
        PairEvidence(
            inliers=int(rng.poisson(60 if copy else 3)),
            agreement=float(np.clip(rng.normal(0.8 if copy else 0.15, 0.12), 0, 1)),
            correlation=float(np.clip(rng.normal(0.7 if copy else 0.1, 0.15), -1, 1)),
        )
        for copy in truth
    ]
    return terms(found), truth


def fitted() -> Calibration:
    matrix, truth = rows()
    return fit_calibration(matrix, truth, queries=list(range(len(truth))))


def test_fitted_probabilities_are_calibrated() -> None:
    matrix, truth = rows()
    assert calibration_error(fitted().probabilities(matrix), truth) < 0.05


@pytest.mark.parametrize("field", ["inliers", "agreement", "correlation"])
def test_more_evidence_never_lowers_a_probability(field: str) -> None:
    for calibration in (fitted(), shipped_calibration()):
        values = [
            calibration.probability(PairEvidence(**{"inliers": 10, "agreement": 0.4, "correlation": 0.3, field: value}))
            for value in ((0, 5, 50, 500) if field == "inliers" else (0.0, 0.3, 0.6, 1.0))
        ]
        assert values == sorted(values)


def test_cut_offs_rise_as_the_false_rate_falls() -> None:
    calibration = shipped_calibration()
    cut_offs = [calibration.cut_off(rate) for rate in (0.1, 1e-2, 1e-3, 1e-4, 1e-6)]
    assert cut_offs == sorted(cut_offs)
    assert all(calibration.false_rate(cut_off) <= 0.1 for cut_off in cut_offs)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        shipped_calibration().cut_off(rate)


def test_a_calibration_survives_being_stored() -> None:
    calibration = fitted()
    again = Calibration.from_json(calibration.to_json())
    assert again.weights == pytest.approx(calibration.weights, abs=1e-5)
    assert again.queries == calibration.queries


@pytest.mark.parametrize("document", [{}, {"version": 99}, {"version": 1, "weights": {"x": 1.0}}])
def test_a_foreign_calibration_is_an_error(document: dict[str, object]) -> None:
    with pytest.raises(DamagedError, match="sosie calibrate"):
        Calibration.from_json(document)


def test_a_small_sample_does_not_forget_the_worst_non_copies_of_the_prior() -> None:
    matrix, truth = rows(40)
    shipped = shipped_calibration()
    own = fit_calibration(matrix, truth, queries=list(range(40)), prior=shipped)
    alone = fit_calibration(matrix, truth, queries=list(range(40)))
    assert own.cut_off(1e-3) > 0.9 * shipped.cut_off(1e-3) > alone.cut_off(1e-3)


def test_a_calibration_needs_both_classes() -> None:
    matrix, _ = rows(10)
    with pytest.raises(UsageError, match="copies and non-copies"):
        fit_calibration(matrix, np.ones(10, bool), queries=list(range(10)))
