"""Protocols: answers are stored, scored from the folder alone, and never mixed with those of another configuration."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.errors import DamagedError, UnknownName, UsageError
from sosie.evaluation.collection import Collection
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.copies import Answer, CopySettings, Sources, predict_copies
from sosie.evaluation.copy_scores import micro_statistic, pool_of, score_copies
from sosie.evaluation.index_runs import measure_indexes, score_indexes
from sosie.evaluation.labels import predict_labels, score_labels
from sosie.evaluation.runs import open_run, require_run, write_run


def collection(n: int = 60, *, classes: int = 5, noise: float = 0.5, seed: int = 0, **labels: object) -> Collection:
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % classes
    vectors = np.eye(classes, 16)[kinds] + noise * rng.normal(size=(n, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Collection(
        keys=tuple(f"k{at}" for at in range(n)),
        uris=tuple(f"file:///{at}.jpg" for at in range(n)),
        labels=tuple({"label": f"c{kind}", **labels} for kind in kinds),
        vectors=vectors,
    )


# ------------------------------------------------------------------------------------------------ run folders


def test_a_changed_configuration_is_refused_and_the_error_says_what_differs(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"protocol": "labels", "model": "a"}, arrays={}, tables={})
    with pytest.raises(UsageError, match=r"model: 'a' there, 'b' asked for"):
        open_run(tmp_path / "run", expect={"protocol": "labels", "model": "b"})


def test_an_edited_file_of_answers_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"protocol": "labels"}, arrays={}, tables={"queries": [{"key": "a"}]})
    (run.folder / "queries.csv").write_text("key\nb\n")
    with pytest.raises(DamagedError, match="not what was written"):
        open_run(run.folder)


def test_a_run_that_broke_off_is_no_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"protocol": "labels"}, arrays={}, tables={})
    (run.folder / "config.json").unlink()
    assert open_run(run.folder) is None
    with pytest.raises(OSError, match="holds no run"):
        require_run(run.folder)


def test_a_folder_of_something_else_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="holds other files"):
        write_run(tmp_path, {"protocol": "labels"}, arrays={}, tables={})


def test_objects_are_never_stored(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="objects"):
        write_run(tmp_path / "run", {}, arrays={"a": np.array([object()])}, tables={})


# ------------------------------------------------------------------------------------------------ labels


def test_labels_are_scored_from_the_folder_alone(tmp_path: Path) -> None:
    run = predict_labels(tmp_path / "run", collection())
    moved = run.folder.rename(tmp_path / "elsewhere")
    score = score_labels(require_run(moved))
    assert 0.3 < score.metrics["mAP"] < 1
    assert json.loads((moved / "score.json").read_text())["metrics"]["mAP"] == pytest.approx(score.metrics["mAP"])
    for name in ("per_query.csv", "per_label.csv", "confusion.csv"):
        assert (moved / name).stat().st_size > 100


def test_leave_one_out_agrees_with_a_naive_loop(tmp_path: Path) -> None:
    pictures = collection(40)
    score = score_labels(predict_labels(tmp_path / "run", pictures))
    kinds = [row["label"] for row in pictures.labels]
    precisions = []
    for at, vector in enumerate(pictures.vectors):
        order = [o for o in np.argsort(-(pictures.vectors @ vector)) if o != at]
        right, at_each = 0, []
        for place, other in enumerate(order, start=1):
            if kinds[other] == kinds[at]:
                right += 1
                at_each.append(right / place)
        precisions.append(np.mean(at_each))
    assert score.metrics["mAP"] == pytest.approx(np.mean(precisions))


def test_an_unchanged_run_is_not_predicted_again(tmp_path: Path) -> None:
    pictures = collection()
    first = predict_labels(tmp_path / "run", pictures)
    before = (first.folder / "arrays.npz").stat().st_mtime_ns
    predict_labels(tmp_path / "run", pictures)
    assert (first.folder / "arrays.npz").stat().st_mtime_ns == before


def test_other_vectors_are_another_configuration(tmp_path: Path) -> None:
    predict_labels(tmp_path / "run", collection())
    with pytest.raises(UsageError, match="digest"):
        predict_labels(tmp_path / "run", collection(seed=1))


def test_pictures_with_several_labels_are_judged_by_their_overlap(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.3]], np.float32)
    tags = (("a", "b"), ("a",), ("a", "b"))
    pictures = Collection(("x", "y", "z"), ("x", "y", "z"), tuple({"tags": each} for each in tags), vectors)
    score = score_labels(predict_labels(tmp_path / "run", pictures, keys=["tags"]))
    assert score.metrics["mAP"] == 1  # every picture shares a label with every other
    assert any("only nDCG@k says much" in line for line in score.notes)
    assert score.per_query["nDCG@1"][0] == 0.5  # but the nearest of the first has only half of them


def test_a_query_folder_is_ranked_against_all_references(tmp_path: Path) -> None:
    references, queries = collection(60), collection(10, seed=7)
    renamed = Collection(tuple(f"q{at}" for at in range(10)), queries.uris, queries.labels, queries.vectors)
    run = predict_labels(tmp_path / "run", references, queries=renamed)
    assert (run.arrays()["own"] == -1).all()
    assert run.arrays()["columns"].shape == (10, 60)


def test_large_collections_are_ranked_in_full_when_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = score_labels(predict_labels(tmp_path / "full", collection()))
    monkeypatch.setattr("sosie.evaluation.labels._FULL", 10)
    monkeypatch.setattr("sosie.evaluation.labels._DEPTH", 20)
    run = predict_labels(tmp_path / "deep", collection())
    assert run.arrays()["columns"].shape[1] == 20
    assert score_labels(run).metrics["mAP"] == pytest.approx(full.metrics["mAP"])


def test_answers_of_another_search_leave_the_query_out(tmp_path: Path) -> None:
    pictures = collection(20)

    def search(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = pictures.vectors[rows] @ pictures.vectors.T
        order = np.argsort(-scores, axis=1)[:, :k]
        return order, np.take_along_axis(scores, order, axis=1)

    by_search = score_labels(predict_labels(tmp_path / "a", pictures, search=search))
    by_vectors = score_labels(predict_labels(tmp_path / "b", pictures))
    assert by_search.metrics["mAP"] == pytest.approx(by_vectors.metrics["mAP"])


def test_without_shared_labels_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add labels"):
        predict_labels(tmp_path / "run", Collection(("a",), ("a",), ({},), np.ones((1, 2), np.float32)))


# ------------------------------------------------------------------------------------------------ copies


def pixels_of(row: int) -> np.ndarray:
    coarse = np.random.default_rng(row).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC))


def thumbprint(data: bytes) -> np.ndarray:
    small = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((6, 6), Image.Resampling.BOX), float)
    centred = small.ravel() - small.mean()
    return centred / (np.linalg.norm(centred) + 1e-9)


def known_pictures(n: int) -> tuple[Collection, dict[str, np.ndarray]]:
    prints = {}
    for row in range(n):
        out = io.BytesIO()
        Image.fromarray(pixels_of(row)).save(out, "PNG")
        prints[f"k{row}"] = thumbprint(out.getvalue())
    vectors = np.stack(list(prints.values())).astype(np.float32)
    uris = tuple(f"file:///{row}.png" for row in range(n))
    return Collection(tuple(prints), uris, ({},) * n, vectors), prints


def by_thumbprint(prints: dict[str, np.ndarray], files: list[bytes]) -> list[list[Answer]]:
    answers = []
    for data in files:
        mine = thumbprint(data)
        scores = {key: float(mine @ each) for key, each in prints.items()}
        ordered = sorted(scores.items(), key=lambda pair: -pair[1])
        answers.append([Answer(key, score, max(0.0, score)) for key, score in ordered])
    return answers


def copy_run(folder: Path, **settings: object):
    references, prints = known_pictures(30)
    return predict_copies(
        folder,
        references,
        methods={
            "prints": lambda files: by_thumbprint(prints, list(files)),
            "nothing": lambda files: [[Answer("k0", 0.5)] for _ in files],
        },
        sources=Sources(pixels_of),
        settings=CopySettings(
            sample=12, per_picture=3, negatives=20, alterations=("jpeg", "crop_50", "grey"), **settings
        ),  # type: ignore[arg-type]
    )


def test_copies_are_scored_for_each_method_and_each_alteration(tmp_path: Path) -> None:
    score = score_copies(copy_run(tmp_path / "run"), draws=50)
    assert score.metrics["prints"]["micro_ap"] > 0.6 > 0.1 > score.metrics["nothing"]["micro_ap"]
    jpeg = next(row for row in score.per_alteration if row["alteration"] == "jpeg")
    assert jpeg["prints recall@1"] == 1
    assert "calibration_error" in score.metrics["prints"]
    assert "calibration_error" not in score.metrics["nothing"]  # it states no probability
    interval = score.intervals["prints"]
    assert interval.low <= interval.value <= interval.high
    assert interval.value == pytest.approx(score.metrics["prints"]["micro_ap"])


def test_alterations_come_about_equally_often(tmp_path: Path) -> None:
    rows = copy_run(tmp_path / "run").table("queries")
    counts = [sum(row["alteration"] == name for row in rows) for name in ("jpeg", "crop_50", "grey")]
    assert max(counts) - min(counts) <= 2


def test_the_source_of_a_negative_is_no_answer(tmp_path: Path) -> None:
    run = copy_run(tmp_path / "run")
    negatives = {at: row["source"] for at, row in enumerate(run.table("queries")) if row["true"] == "0"}
    assert len(negatives) == 20
    for answer in run.table("answers"):
        assert negatives.get(int(answer["query"])) != answer["reference"]


def test_what_collages_are_filled_with_is_no_answer(tmp_path: Path) -> None:
    references, prints = known_pictures(240)
    run = predict_copies(
        tmp_path / "run",
        references,
        methods={"all": lambda files: [[Answer(key, 0.5) for key in prints] for _ in files]},
        sources=Sources(pixels_of),
        settings=CopySettings(sample=3, per_picture=1, negatives=2, alterations=("collage",), depth=240),
    )
    answered = [{row["reference"] for row in run.table("answers") if row["query"] == str(at)} for at in range(5)]
    sources = {row["source"] for row in run.table("queries") if row["true"] == "1"}
    assert len(answered[0]) == 240 - 24
    assert sources <= answered[0]


def test_no_picture_is_both_a_copy_and_a_negative(tmp_path: Path) -> None:
    rows = copy_run(tmp_path / "run").table("queries")
    by_truth = [{row["source"] for row in rows if row["true"] == truth} for truth in "01"]
    assert not by_truth[0] & by_truth[1]


def test_copies_are_made_only_of_the_pictures_asked_for(tmp_path: Path) -> None:
    references, _ = known_pictures(10)
    run = predict_copies(
        tmp_path / "run",
        references,
        methods={},
        sources=Sources(pixels_of, among=np.array([2, 5])),
        settings=CopySettings(sample=9, per_picture=2, negatives=0, alterations=("jpeg",)),
    )
    assert sorted(row["source"] for row in run.table("queries")) == ["2", "2", "5", "5"]


def test_drawing_every_query_once_gives_micro_ap_itself(tmp_path: Path) -> None:
    run = copy_run(tmp_path / "run")
    queries = run.table("queries")
    pool = pool_of(run.table("answers"), queries, "prints")
    once = micro_statistic(pool, len(queries))(np.arange(len(queries)))
    assert once == pytest.approx(pool.measures()["micro_ap"])


def test_an_unknown_alteration_is_answered_with_the_nearest(tmp_path: Path) -> None:
    references, _ = known_pictures(3)
    with pytest.raises(UnknownName, match="did you mean 'jpeg'"):
        predict_copies(
            tmp_path / "run",
            references,
            methods={},
            sources=Sources(pixels_of),
            settings=CopySettings(alterations=("jpg",)),
        )


# ------------------------------------------------------------------------------------------------ index, compare


def test_exact_search_is_measured_as_perfect_and_on_the_front(tmp_path: Path) -> None:
    run = measure_indexes(tmp_path / "run", collection(200), kinds=["exact"], queries=20)
    score = score_indexes(run)
    assert score.rows[0]["recall"] == 1
    assert score.rows[0]["pareto"]
    assert score.fastest["0.99"]["kind"] == "exact"


def test_a_better_set_up_is_told_from_a_worse_one(tmp_path: Path) -> None:
    runs = {
        "noisy": predict_labels(tmp_path / "a", collection(120, noise=1.0)),
        "clean": predict_labels(tmp_path / "b", collection(120, noise=0.3)),
    }
    rows = {(row["measure"], row["set-up"]): row for row in compare_runs(runs, draws=300).rows}
    better = rows["mAP", "clean"]
    assert better["clear"]
    assert better["low"] > 0
    assert better["value"] - rows["mAP", "noisy"]["value"] == pytest.approx(better["difference"])


def test_methods_of_one_copies_run_are_compared(tmp_path: Path) -> None:
    comparison = compare_runs({"run": copy_run(tmp_path / "run")}, draws=50)
    row = next(row for row in comparison.rows if row["measure"] == "micro_ap" and row["set-up"] == "nothing")
    assert row["high"] < 0


def test_runs_of_different_queries_cannot_be_compared(tmp_path: Path) -> None:
    first = predict_labels(tmp_path / "a", collection())
    strange = collection()
    renamed = Collection(tuple(f"s{at}" for at in range(60)), strange.uris, strange.labels, strange.vectors)
    second = predict_labels(tmp_path / "b", renamed)
    with pytest.raises(UsageError, match="no query in common"):
        compare_runs({"a": first, "b": second})
