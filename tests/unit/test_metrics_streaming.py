"""Streaming over blocks gives what ranking everything at once gives."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.evaluation import ranking
from sosie.evaluation.metrics import ranked_measures, ranks_of_answers
from sosie.evaluation.ranking import Blocks, nearest, ranks_of_scores, same_label, score_blocks, stream_measures
from sosie.evaluation.relevance import choose_keys, label_sets


def unit(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    vectors = np.round(rng.normal(size=(n, dim)) * 2).astype(np.float32)  # coarse, so that scores tie
    vectors[:, 0] += 5
    return vectors


def test_ranks_of_scores_agree_with_sorting_on_1000_cases_with_ties() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(1, 4)), int(rng.integers(1, 40)))
        scores = (rng.integers(0, 12, shape) / 4).astype(np.float32)
        relevant = rng.random(shape) < rng.choice([0, 0.2, 1])
        got, wanted = ranks_of_scores(scores, relevant), ranks_of_answers(relevant, scores, relevant.sum(axis=1))
        assert np.array_equal(got.rank, wanted.rank)
        assert np.array_equal(got.query, wanted.query)
        assert np.array_equal(got.total, wanted.total)


def test_streamed_measures_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors, labels = unit(rng, 90, 6), rng.integers(-1, 7, 90)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    relevant = (labels[:, None] == labels) & (labels[:, None] >= 0) & ~np.eye(90, dtype=bool)
    wanted = ranked_measures(ranks_of_answers(relevant, scores, relevant.sum(axis=1)), (1, 5, 200))
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 4 * 90 * 7)  # blocks of seven queries
    got = stream_measures(Blocks(vectors, vectors, np.arange(90)), same_label(labels, labels), (1, 5, 200))
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        assert got[name] == pytest.approx(values, nan_ok=True)


def test_leave_one_out_never_counts_the_query_itself() -> None:
    vectors = np.eye(4, dtype=np.float32)
    labels = np.array([0, 1, 2, 3])
    got = stream_measures(Blocks(vectors, vectors, np.arange(4)), same_label(labels, labels), (1,))
    assert np.isnan(got["mAP"]).all()  # its only relevant reference would be itself
    columns, _ = score_blocks(Blocks(vectors, vectors, np.arange(4)), 4)
    assert not (columns == np.arange(4)[:, None]).any()
    assert (columns[:, -1] == -1).all()


@pytest.mark.parametrize("k", [1, 3, 9, 60])
def test_the_nearest_are_those_of_a_full_sort(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.random((20, 50)).astype(np.float32)
    columns, best = nearest(scores, k)
    wanted = np.argsort(-scores, axis=1)[:, :k]
    assert np.array_equal(columns, wanted)
    assert np.array_equal(best, np.take_along_axis(scores, wanted, axis=1))


def test_label_sets_take_words_and_tuples_and_leave_numbers_out() -> None:
    sets = label_sets([{"tag": ("a", "b")}, {"tag": "a"}, {"tag": 3.0}, {}], ["tag"])
    assert sets.names == ("a", "b")
    assert sets.overlap(sets)[0].tolist() == [1.0, 0.5, 0.0, 0.0]
    assert sets.overlap(sets)[3, 3] == 0


def test_several_keys_keep_equal_words_apart() -> None:
    sets = label_sets([{"style": "x", "artist": "x"}], ["style", "artist"])
    assert sets.names == ("artist=x", "style=x")


def test_one_label_each_is_judged_like_label_sets() -> None:
    labels = [{"label": word} if word else {} for word in ("a", "b", "a", "", "b", "c")]
    sets = label_sets(labels, ["label"])
    assert sets.codes is not None
    assert np.array_equal(sets.shared(sets), (sets.member @ sets.member.T) > 0)


def test_the_key_to_judge_by_is_one_that_tells_pictures_apart() -> None:
    labels = [{"source": "x", "style": "a" if at % 2 else "b", "title": str(at)} for at in range(10)]
    assert choose_keys(labels) == ("style",)
    assert choose_keys([{"title": "x"}, {"title": "y"}]) == ()


def test_a_label_that_all_labelled_pictures_have_is_not_judged_by() -> None:
    labels = [{"label": "person", "tags": ("hat", "bag") if at % 2 else ("hat", "coat")} for at in range(10)]
    assert choose_keys([*labels, {}, {}, {}]) == ("tags",)
