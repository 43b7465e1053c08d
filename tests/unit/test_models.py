"""Several models in one library: adding one, trying it, swapping, swapping back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.errors import NotFound, UnknownName, UntrustedModel, UsageError
from sosie.evaluation.trial import compare_spaces, try_model
from sosie.library import Library
from sosie.models.trained_on import TrainedOn
from sosie.models.trial import read_trial
from tests.networks import colour_blind, coloured_folder, colourful, describe


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return coloured_folder(tmp_path / "pictures")


@pytest.fixture
def lib(tmp_path: Path, pictures: Path) -> Iterator[Library]:
    """A library that answers with a colour-blind network, and knows a better one."""
    described = colour_blind(tmp_path / "a") / "colour-blind.json"
    with sosie.open(tmp_path / "library", model=str(described)) as opened:
        opened.models.add(tmp_path / "a")
        opened.models.add(colourful(tmp_path / "b"))
        opened.add(pictures, label_from_folders=True)
        opened.models.use("colour-blind", force=True)
    with sosie.open(tmp_path / "library") as opened:
        yield opened


def rows(library: Library) -> dict[str, object]:
    return {row.name: row for row in library.models.list()}


# ------------------------------------------------------------------------------------------------ adding


def test_a_package_is_copied_and_used_by_its_name(lib: Library, tmp_path: Path) -> None:
    for file in (tmp_path / "b").iterdir():
        file.unlink()
    with lib.with_model("colourful") as other:
        assert other.embedder.spec.name == "colourful"
        assert other.models.catch_up().indexed == 24


def test_the_same_package_may_be_added_twice_but_not_another_of_its_name(lib: Library, tmp_path: Path) -> None:
    assert lib.models.add(tmp_path / "b") == "colourful"
    with pytest.raises(UsageError, match="another model called colourful"):
        lib.models.add(colour_blind(tmp_path / "c", "colourful"))
    assert lib.models.add(tmp_path / "c", name="other") == "other"


def test_a_network_that_is_not_what_its_description_says_is_not_kept(lib: Library, tmp_path: Path) -> None:
    folder = colourful(tmp_path / "c", "tampered")
    data = bytearray((folder / "tiny.onnx").read_bytes())
    data[-20] ^= 1
    (folder / "tiny.onnx").write_bytes(data)
    with pytest.raises(UntrustedModel, match="SHA-256"):
        lib.models.add(folder)
    assert "tampered" not in lib.models.store.names()
    assert [path.name for path in lib.models.store.folder.iterdir() if path.name.startswith(".")] == []


def test_a_network_that_gives_other_vectors_than_described_is_not_kept(lib: Library, tmp_path: Path) -> None:
    data = (colourful(tmp_path / "c") / "tiny.onnx").read_bytes()
    with pytest.raises(UntrustedModel, match="gives 3 numbers a picture, its description says 5"):
        lib.models.add(describe(tmp_path / "d", "short", data, dim=5))


@pytest.mark.parametrize("name", ["bundled", "../out", "", ".hidden", "a/b"])
def test_a_name_that_is_taken_or_no_name_is_refused(lib: Library, tmp_path: Path, name: str) -> None:
    data = (colourful(tmp_path / "c") / "tiny.onnx").read_bytes()
    folder = describe(tmp_path / "d", "plain", data, dim=3)
    description = json.loads((folder / "plain.json").read_text())
    (folder / "plain.json").write_text(json.dumps({**description, "name": name}))
    with pytest.raises(UsageError, match="--name"):
        lib.models.add(folder)


def test_a_folder_without_a_description_and_a_bare_network_are_explained(lib: Library, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no description of a model"):
        lib.models.add(tmp_path / "empty")
    with pytest.raises(UsageError, match="write a description"):
        lib.models.add(tmp_path / "b" / "tiny.onnx")


# ------------------------------------------------------------------------------------------------ trying


def test_trying_measures_both_on_the_same_pictures_and_changes_nothing(lib: Library) -> None:
    before = lib.search(1, k=5)
    trial = try_model(lib, "colourful")
    assert trial is not None
    assert (trial.candidate.measure, trial.candidate.by, trial.candidate.pictures) == ("mAP", ("label",), 24)
    assert trial.candidate.value > 0.95 > trial.in_use.value + 0.2
    assert trial.clear and trial.low < trial.difference < trial.high
    assert [hit.id for hit in lib.search(1, k=5)] == [hit.id for hit in before]
    assert lib.model == "colour-blind"
    measured = rows(lib)["colourful"].measured
    assert measured["value"] == trial.candidate.value and measured["ms"] > 0


def test_a_trial_that_is_stopped_goes_on(lib: Library) -> None:
    stop = threading.Event()
    stop.set()
    assert try_model(lib, "colourful", stop=stop) is None
    with lib.with_model("colourful") as other:
        assert other.models.lacking() == 24
        assert try_model(lib, "colourful") is not None
        assert other.models.lacking() == 0
        assert other.models.catch_up().seen == 0


def test_without_labels_altered_copies_are_the_measure(tmp_path: Path, pictures: Path) -> None:
    with sosie.open(tmp_path / "plain", model="histogram") as lib:
        lib.add(pictures)
        lib.models.add(colourful(tmp_path / "b"))
        trial = try_model(lib, "colourful")
    assert trial is not None
    assert (trial.candidate.measure, tuple(trial.candidate.by)) == ("micro_ap", ())
    assert trial.in_use.value > trial.candidate.value  # three numbers do not tell 24 pictures apart


def test_pictures_that_are_away_are_left_out_of_a_trial_and_kept(lib: Library, pictures: Path) -> None:
    gone = sorted(pictures.glob("*/*.png"))[0]
    gone.rename(pictures / "elsewhere.bak")
    trial = try_model(lib, "colourful")
    assert trial is not None
    assert (trial.away, trial.candidate.pictures) == (1, 23)
    assert lib.stats()["pictures"] == 24
    with pytest.raises(UsageError, match="1 pictures are away"):
        lib.models.use("colourful")


def trained_on(lib: Library, folder: Path, *, pictures: list[int], classes: list[str]) -> str:
    """Add a package that says which pictures and classes it learned from; return its name."""
    package = colourful(folder, "learned")
    description = json.loads((package / "learned.json").read_text())
    (package / "learned.json").write_text(json.dumps({**description, "trained_on": "trained_on.json"}))
    digests = frozenset(lib.picture(each).sha256 for each in pictures)
    TrainedOn(digests, ("label",), frozenset(classes)).write(package / "trained_on.json")
    return lib.models.add(package)


def test_pictures_that_a_model_was_trained_on_do_not_judge_it(lib: Library, tmp_path: Path) -> None:
    of = {picture.id: str(picture.labels["label"]) for picture in lib.pictures()}
    classes = sorted(set(of.values()))
    learned = [each for each, label in of.items() if label in classes[:2]][::2]
    trial = try_model(lib, trained_on(lib, tmp_path / "l", pictures=learned, classes=classes[:2]))
    assert trial is not None
    unseen = sum(label not in classes[:2] for label in of.values())
    counted = {part.name: part.queries for part in trial.parts}
    assert counted == {"all": 24, "outside training": 24 - len(learned), "unseen classes": unseen}
    judge = trial.parts[1]
    assert (trial.judged_by, trial.candidate.value, trial.difference) == (
        "outside training",
        judge.candidate,
        judge.difference,
    )
    kept = read_trial(lib.catalogue, trial.candidate.spec_hash)
    assert kept is not None and kept.to_json() == trial.to_json()
    lib.models.use("learned")


def test_a_model_that_was_trained_on_every_picture_is_not_taken_for_better(lib: Library, tmp_path: Path) -> None:
    every = [picture.id for picture in lib.pictures()]
    trial = try_model(lib, trained_on(lib, tmp_path / "l", pictures=every, classes=["red"]))
    assert trial is not None and trial.difference > 0 and not trial.better
    with pytest.raises(UsageError, match="trained on all pictures that could judge it"):
        lib.models.use("learned")


def test_a_model_whose_training_pictures_are_gone_is_judged_by_all(lib: Library, tmp_path: Path) -> None:
    name = trained_on(lib, tmp_path / "l", pictures=[1], classes=["red"])
    lib.remove([1])
    trial = try_model(lib, name)
    assert trial is not None
    assert [(part.name, part.queries) for part in trial.parts] == [("all", 23)]
    assert trial.fair and trial.better


def test_without_labels_copies_of_what_was_trained_on_do_not_judge(tmp_path: Path, pictures: Path) -> None:
    with sosie.open(tmp_path / "plain", model="histogram") as lib:
        lib.add(pictures)
        trial = try_model(lib, trained_on(lib, tmp_path / "l", pictures=list(range(1, 13)), classes=[]))
    assert trial is not None
    assert 0 < trial.parts[1].queries < trial.parts[0].queries
    assert trial.judged_by == "outside training"


def test_the_model_in_use_cannot_be_tried(lib: Library) -> None:
    with pytest.raises(UsageError, match="is the model in use"):
        try_model(lib, "colour-blind")
    with pytest.raises(UnknownName, match="did you mean 'colourful'"):
        try_model(lib, "colorful")


def test_two_spaces_are_compared_side_by_side(lib: Library, tmp_path: Path) -> None:
    try_model(lib, "colourful")
    with lib.with_model("colourful") as other:
        runs = compare_spaces([lib, other], tmp_path / "runs")
    assert {run.config["references"]["count"] for run in runs.values()} == {24}
    assert list(runs) == ["colour-blind", "colourful"]


# ------------------------------------------------------------------------------------------------ swapping


def test_a_model_is_swapped_in_where_it_measured_better(lib: Library) -> None:
    with pytest.raises(UsageError, match="was not measured beside colour-blind here"):
        lib.models.use("colourful")
    try_model(lib, "colourful")
    lib.models.use("colourful")
    assert lib.model == "colourful"
    labels = [hit.labels["label"] for hit in lib.search(1, k=7)]
    assert labels == [lib.picture(1).labels["label"]] * 7


def test_a_model_that_measured_worse_stays_out_unless_forced(lib: Library) -> None:
    try_model(lib, "colourful")
    lib.models.use("colourful")
    try_model(lib, "histogram")
    with pytest.raises(UsageError, match="it stays in use"):
        lib.models.use("histogram")
    lib.models.use("histogram", force=True)
    assert lib.space.name.startswith("histogram@")


def test_swapping_back_needs_no_measuring_and_embeds_what_came_since(lib: Library, tmp_path: Path) -> None:
    lib.models.use("colourful", force=True)
    lib.add(coloured_folder(tmp_path / "more", 30))  # six that are new
    report = lib.models.use("colour-blind")
    assert report.indexed == 6
    assert (lib.model, lib.models.lacking()) == ("colour-blind", 0)


def test_an_index_is_built_before_the_swap_where_there_was_one(lib: Library) -> None:
    lib.indexes.build("hnsw")
    lib.models.use("colourful", force=True)
    assert lib.view().description["tail"] == 0
    assert lib.view().description["generation"]
    assert lib.models.use("colour-blind").indexed == 0
    assert lib.view().description["kind"] == "hnsw"


def test_what_another_model_embeds_does_not_touch_the_index_in_use(lib: Library) -> None:
    lib.indexes.build("hnsw")
    before = lib.catalogue.rewrites(lib.space)
    with lib.with_model("colourful") as other:
        other.models.catch_up()
        assert other.catalogue.rewrites(other.space) == 24
    assert lib.catalogue.rewrites(lib.space) == before
    assert lib.view().description["tail"] == 0


def test_a_library_that_is_open_elsewhere_sees_the_swap(lib: Library) -> None:
    with sosie.open(lib.path) as running:
        first = running.search(1, k=1).index
        assert running.model == "colour-blind"
        lib.models.use("colourful", force=True)
        assert running.model == "colourful"
        assert running.search(1, k=1).index["kind"] == first["kind"]
        lib.models.use("colour-blind")
        assert running.search(1, k=1)[0].score == pytest.approx(lib.search(1, k=1)[0].score)


def test_each_model_keeps_its_calibration(lib: Library) -> None:
    keys = []
    for name in ("colour-blind", "colourful"):
        lib.models.use(name, force=True)
        keys.append(lib.copies.finder.model)
    assert keys == ["colour-blind@1/semantic/whole", "colourful@1/semantic/whole"]


def test_a_library_opened_with_another_model_is_not_changed_by_it(lib: Library) -> None:
    with sosie.open(lib.path, model="histogram") as seen:
        assert (seen.model, seen.models.in_use) == ("histogram", "colour-blind")
    with sosie.open(lib.path) as again:
        assert again.model == "colour-blind"


def test_an_unknown_model_is_not_remembered_by_a_new_library(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'bundled'"):
        sosie.open(tmp_path / "new", model="bundeld")
    with sosie.open(tmp_path / "new") as lib:
        assert lib.model == "bundled"


def test_removing_a_model_takes_its_vectors_along_but_not_the_one_in_use(lib: Library) -> None:
    with lib.with_model("colourful") as other:
        other.models.catch_up()
        assert rows(lib)["colourful"].pictures == 24
    lib.models.remove("colourful")
    assert "colourful" not in rows(lib)
    assert [space.name for space in lib.catalogue.spaces() if "colourful" in space.name] == []
    with pytest.raises(UsageError, match="is in use"):
        lib.models.remove("colour-blind")
    with pytest.raises(UnknownName, match="no model of this library's own"):
        lib.models.remove("bundled")


def test_another_network_under_a_known_name_and_version_gets_a_space_of_its_own(lib: Library, tmp_path: Path) -> None:
    with sosie.open(lib.path, model=str(colour_blind(tmp_path / "c", "colourful") / "colourful.json")) as other:
        other.models.catch_up()
        names = {space.name for space in other.spaces}
    with lib.with_model("colourful") as first:
        first.models.catch_up()
        assert names.isdisjoint(space.name for space in first.spaces)


def test_doctor_finds_a_model_that_cannot_be_used_and_one_half_copied(lib: Library) -> None:
    from sosie.maintenance.checkup import examine

    (lib.models.store.folder / ".half.123.part").mkdir()
    (lib.models.store.folder / "colour-blind" / "model.onnx").write_bytes(b"not what it was")
    with sosie.open(lib.path) as again:
        found = {finding.kind: finding for finding in examine(again)}
    assert "SHA-256" in found["unusable_model"].detail
    assert found["leftover"].what == "models/.half.123.part"
