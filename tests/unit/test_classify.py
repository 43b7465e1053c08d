"""Which class a picture is of, and the search within it: command, library, server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.catalogue.where import matches, parse
from sosie.cli import main
from sosie.errors import UsageError
from sosie.query.class_first import ClassFirst, where_class
from tests.networks import classifier, package
from tests.painted import paint, painted
from tests.serving import running


@pytest.fixture
def library(tmp_path: Path) -> Iterator[sosie.Library]:
    """Pictures of three tones with their labels, and a classifier of tones."""
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        lib.add(paint(tmp_path / "pictures", 4), label_from_folders=True, workers=1)
        lib.models.add(classifier(tmp_path / "net"))
        yield lib


@pytest.fixture
def red(tmp_path: Path) -> str:
    (tmp_path / "query.png").write_bytes(painted("red", 77))
    return str(tmp_path / "query.png")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_picture_is_classified_with_probabilities(library: sosie.Library, red: str) -> None:
    found = library.classify(red)
    assert found.classes[0][0] == "red" and found.model == "tones"
    assert sum(probability for _, probability in found.classes) == pytest.approx(1)
    assert library.classify(Path(red).read_bytes()).classes == found.classes


def test_the_command_prints_a_table_json_or_csv(
    library: sosie.Library, red: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = run(capsys, "classify", red, "-L", str(library.path), "-k", "2")
    assert "red" in text.splitlines()[1] and "%" in text and len(text.splitlines()) == 3
    _, text, _ = run(capsys, "classify", red, "-L", str(library.path), "--json")
    assert json.loads(text)["classes"][0]["class"] == "red"
    _, text, _ = run(capsys, "classify", red, f"id:{library.pictures()[0].id}", "-L", str(library.path), "--csv")
    assert text.splitlines()[0] == "query,rank,class,probability,model" and len(text.splitlines()) == 7


def test_class_first_finds_that_class_alone_and_says_so(library: sosie.Library, red: str) -> None:
    found = library.search(red, k=12, class_first=True)
    assert {hit.labels["label"] for hit in found} == {"red"} and len(found) == 4
    assert found.asked["class"]["searched"] == ["red"] and found.query == red
    everything = library.search(red, k=12)
    assert [hit.id for hit in everything if hit.labels["label"] == "red"] == [hit.id for hit in found]
    assert [hit.score for hit in everything if hit.labels["label"] == "red"] == [hit.score for hit in found]


def test_a_class_that_is_unsure_is_searched_among_all(library: sosie.Library) -> None:
    found = library.search(painted("grey", 5), k=12, class_first=ClassFirst(0.9))
    assert len(found) == 12 and found.asked["class"]["searched"] is None
    assert found.asked["class"]["reason"] == "unsure"


def test_a_class_without_pictures_is_searched_among_all(library: sosie.Library, red: str, tmp_path: Path) -> None:
    other = str(classifier(tmp_path / "other", "model", names=("apple", "lime", "plum")) / "model.json")
    found = library.search(red, k=12, class_first=ClassFirst(classifier=other))
    assert len(found) == 12 and found.asked["class"]["reason"] == "no picture of this class"


def test_queries_of_several_classes_keep_their_order(library: sosie.Library) -> None:
    tones = ["blue", "red", "grey", "blue", "green"]
    found = library.search_many([painted(tone, 9) for tone in tones], k=3, class_first=ClassFirst(0.9))
    assert [(each.asked["class"]["searched"] or ["grey"])[0] for each in found] == tones


def test_a_filter_holds_beside_the_class(library: sosie.Library, red: str) -> None:
    wanted = [record.id for record in library.pictures(where="label = 'red'")][:1]
    library.set_labels(wanted[0], {"mood": "calm"})
    found = library.search(red, k=12, class_first=True, where="mood = 'calm' or label = 'blue'")
    assert [hit.id for hit in found] == wanted


def test_pictures_without_a_label_count_by_what_was_predicted(library: sosie.Library, red: str) -> None:
    first = library.pictures(where="label = 'blue'")[0].id
    library.set_labels(first, {"label": None, "predicted.class": "red"})
    second = library.pictures(where="label = 'red'")[0].id
    library.set_labels(second, {"predicted.class": "blue"})  # what a person said counts more
    found = {hit.id for hit in library.search(red, k=12, class_first=True)}
    assert {first, second} <= found and len(found) == 5


@pytest.mark.parametrize("name", ["it's", 'a "quote"', "back\\slash", "käse", "a' or label = 'x"])
def test_names_of_classes_are_values_and_never_syntax(name: str) -> None:
    expression = parse(where_class("the label", [name]))
    assert matches(expression, {"the label": name}) and not matches(expression, {"the label": "x"})
    assert matches(expression, {"predicted.class": name})


def test_classes_of_several_labels_are_looked_for_in_their_own() -> None:
    expression = parse(where_class("media mood", ["mood=calm", "media=oil=paint"]))
    assert matches(expression, {"mood": "calm"}) and matches(expression, {"media": "oil=paint"})
    assert not matches(expression, {"media": "calm"})


def test_what_is_wrong_is_one_line(
    library: sosie.Library, red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(library.path)
    library.models.add(classifier(tmp_path / "second", "again"))
    code, _, said = run(capsys, "classify", red, "-L", path)
    assert code == 2 and "again, tones" in said
    plain = package(tmp_path / "plain", "model", [[1, 0], [0, 1], [1, 1], [0, 0]])  # type: ignore[arg-type]
    code, _, said = run(capsys, "classify", red, "-L", path, "--classifier", str(plain))
    assert code == 2 and "tells no classes" in said
    code, _, said = run(capsys, "search", red, "-L", path, "--class-first", "--classifier", "tonse")
    assert code == 2 and "'tones'" in said and said.count("\n") == 1
    code, _, said = run(capsys, "search", "--text", "a boat", "-L", path, "--class-first", "--classifier", "tones")
    assert code == 2 and "one picture" in said
    with pytest.raises(UsageError, match="between 0 and 1"):
        ClassFirst(1.5)


def test_a_library_without_a_classifier_says_how_to_get_one(
    tmp_path: Path, red: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sosie.open(tmp_path / "bare", model="histogram").close()
    code, _, said = run(capsys, "classify", red, "-L", str(tmp_path / "bare"))
    assert code == 2 and "sosie train classifier" in said


def test_a_server_classifies_and_searches_by_class(library: sosie.Library, red: str) -> None:
    with running(library) as address, httpx.Client(base_url=f"{address}/api/v1", timeout=30) as web:
        told = web.post("/classify", files={"picture": Path(red).read_bytes()}, data={"k": 2}).json()
        assert told["classes"][0]["class"] == "red" and len(told["classes"]) == 2
        assert web.get("/classify", params={"query": told["query"]}).json()["classes"][0]["class"] == "red"
        first = library.pictures(where="label = 'blue'")[0].id
        assert web.get("/classify", params={"id": first}).json()["classes"][0]["class"] == "blue"
        sent = {"class_first": "true", "k": 12}
        found = web.post("/search", files={"picture": Path(red).read_bytes()}, data=sent).json()
        assert {hit["labels"]["label"] for hit in found["hits"]} == {"red"}
        assert found["asked"]["class"]["searched"] == ["red"]
        by_id = web.get("/search", params={"id": first, "class_first": True, "k": 12}).json()
        assert {hit["labels"]["label"] for hit in by_id["hits"]} == {"blue"} and len(by_id["hits"]) == 3
        assert web.get("/search", params={"id": first, "class_first": True, "min_class": 2}).status_code == 422
    with running(library) as address, sosie.Client(address) as client:
        assert client.classify(red)["classes"][0]["class"] == "red"
        assert client.search(red, k=12, class_first=True).asked["class"]["searched"] == ["red"]
