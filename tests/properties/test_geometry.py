"""Fitting how one picture lies in another: true transformations are found, impossible ones refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.verify.geometry import Fit, fit_pairs, map_points, refused

SIZE = (400, 300)
CORNERS = np.array([[0.0, 0.0], [400.0, 0.0], [400.0, 300.0], [0.0, 300.0]])


def moved_pairs(matrix: np.ndarray, *, count: int, outliers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return paired points (n, 4) that a similarity takes onto one another, and some that it does not."""
    rng = np.random.default_rng(seed)
    query = np.column_stack(
        [rng.uniform(0, 400, count), rng.uniform(0, 300, count), np.full(count, 4.0), np.zeros(count)]
    )
    reference = query.copy()
    reference[:, :2] = map_points(matrix, query[:, :2])
    reference[:, 2] *= np.sqrt(np.linalg.det(matrix[:2, :2]))
    reference[:, 3] = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    wrong = rng.uniform(0, 300, (outliers, 4))
    return np.vstack([query, wrong]).astype(np.float32), np.vstack([reference, wrong[::-1]]).astype(np.float32)


def similarity(turn: float, scale: float, x: float, y: float) -> np.ndarray:
    c, s = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])


@settings(max_examples=40, deadline=None)
@given(
    turn=st.floats(-180, 180),
    scale=st.floats(0.2, 4),
    x=st.floats(-200, 200),
    y=st.floats(-200, 200),
    seed=st.integers(0, 2**31),
)
def test_a_similarity_is_found_among_wrong_pairs(turn: float, scale: float, x: float, y: float, seed: int) -> None:
    truth = similarity(turn, scale, x, y)
    fit = fit_pairs(*moved_pairs(truth, count=30, outliers=20, seed=seed))
    assert fit is not None
    assert np.abs(map_points(fit.matrix, CORNERS) - map_points(truth, CORNERS)).max() < 3 * max(1, scale)
    assert refused(fit, SIZE, SIZE) is None


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_random_pairs_agree_on_little(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, reference = rng.uniform(1, 300, (2, 60, 4)).astype(np.float32)
    fit = fit_pairs(query, reference)
    assert fit is None or fit.inliers <= 8


def test_a_homography_is_found_where_an_affine_map_does_not_do() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([[0.9, 0.05, 10.0], [0.02, 0.95, 5.0], [0.0006, 0.0003, 1.0]])
    start = np.column_stack([rng.uniform(0, 400, 200), rng.uniform(0, 300, 200)])
    goal = map_points(truth, start)
    pose = np.tile([4.0, 0.0], (200, 1))
    fit = fit_pairs(np.hstack([start, pose]).astype(np.float32), np.hstack([goal, pose]).astype(np.float32))
    assert fit is not None
    assert np.abs(map_points(fit.matrix, CORNERS) - map_points(truth, CORNERS)).max() < 6


def test_fitting_twice_gives_the_same_matrix() -> None:
    pairs = moved_pairs(similarity(30, 0.7, 20, 10), count=60, outliers=30, seed=1)
    first, second = fit_pairs(*pairs), fit_pairs(*pairs)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.matrix, second.matrix)


def spread(count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 280, (count, 2))


def fit_of(matrix: np.ndarray, points: np.ndarray) -> Fit:
    return Fit(matrix, False, points, map_points(matrix, points), len(points), 1.0)


LINE = np.column_stack([np.linspace(10, 290, 20), np.linspace(20, 200, 20)])
FOLDING = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.004, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        (fit_of(np.eye(3), LINE), "line"),
        (fit_of(np.eye(3), spread(3)), "few"),
        (fit_of(np.diag([0.01, 0.01, 1.0]), spread()), "squeezes"),
        (fit_of(np.diag([1.0, 0.1, 1.0]), spread()), "squeezes"),
        (fit_of(FOLDING, spread()), "folds"),
        (fit_of(np.diag([-1.0, 1.0, 1.0]), spread()), "mirrors"),
    ],
    ids=["line", "few", "collapsed", "flattened", "folded", "mirrored"],
)
def test_impossible_transformations_are_refused(fit: Fit, reason: str) -> None:
    assert reason in (refused(fit, SIZE, SIZE) or "")


def test_a_plain_transformation_is_not_refused() -> None:
    assert refused(fit_of(similarity(20, 0.8, 5, 5), spread()), SIZE, SIZE) is None


def test_a_copy_fits_precisely_and_another_view_of_the_scene_does_not() -> None:
    query, reference = moved_pairs(similarity(10, 0.9, 5, 5), count=60, outliers=10, seed=2)
    assert fit_pairs(query, reference).precise > 0.95
    depth = np.random.default_rng(1).normal(0, 3, (len(query), 2))  # parallax, which no plane map explains
    reference[:, :2] += depth
    assert fit_pairs(query, reference).precise < 0.5
