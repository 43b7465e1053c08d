"""The commands as people type them: what they print, what they return."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sosie.cli import main
from tests.detectors import write_network
from tests.pictures import folder_of, jpeg


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of ten pictures with a label; tests only read it."""
    place = tmp_path_factory.mktemp("cli")
    folder = folder_of(place / "pictures", 10)
    assert main(["add", str(folder), "-L", str(place / "lib"), "--label-from-folders"]) == 0
    return place / "lib"


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def query_in(folder: Path, seed: int = 3) -> str:
    path = folder / f"{seed}.jpg"
    path.write_bytes(jpeg(seed))
    return str(path)


def test_search_answers_with_the_document_of_the_design(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "search", query_in(tmp_path), "-L", str(library), "-k", "4")
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4]
    assert {"query", "hits", "took_ms", "took", "index", "answered"} <= set(found)
    assert set(found["hits"][0]) == {
        "rank", "id", "uri", "score", "distance", "verdict", "probability", "labels", "region", "evidence",
    }  # fmt: skip
    assert found["hits"][0]["verdict"] == "identical"
    assert found["index"]["recall"] == 1.0


def test_a_filter_is_applied_before_the_top_k(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "search", query_in(tmp_path), "-L", str(library), "-k", "5", "--where", "label = 'even'")
    assert [hit["labels"]["label"] for hit in found["hits"]] == ["even"] * 5


def test_k_larger_than_the_library_gives_what_there_is(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(answer(capsys, "search", query_in(tmp_path), "-L", str(library), "-k", "1000")["hits"]) == 10


def test_several_queries_are_answered_in_the_order_asked(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [query_in(tmp_path, seed) for seed in (5, 1, 4)]
    found = answer(capsys, "search", *asked, "-L", str(library), "-k", "1")
    assert [each["query"] for each in found] == asked
    assert {each["hits"][0]["verdict"] for each in found} == {"identical"}


def test_pictures_can_be_added_and_subtracted(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = query_in(tmp_path, 1), query_in(tmp_path, 2)
    same = answer(capsys, "search", f"{a} + {b} - {b}", "-L", str(library), "-k", "1")
    assert same["hits"][0]["uri"].endswith("00001.jpg")
    assert same["hits"][0]["score"] == pytest.approx(1, abs=1e-3)


def test_a_picture_of_the_library_is_not_an_answer_to_itself(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 3 not in [hit["id"] for hit in answer(capsys, "search", "id:3", "-L", str(library))["hits"]]


def test_a_box_searches_for_a_part(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = answer(capsys, "search", query_in(tmp_path), "-L", str(library), "--box", "0,0,1,1")
    part = answer(capsys, "search", query_in(tmp_path), "-L", str(library), "--box", "0.5,0.5,0.5,0.5")
    assert whole["hits"][0]["score"] > part["hits"][0]["score"]


def test_search_shows_a_table_csv_and_a_contact_sheet(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.html"
    assert main(["search", query_in(tmp_path), "-L", str(library), "--html", str(sheet)]) == 0
    assert "00003.jpg" in capsys.readouterr().out
    assert "data:image/jpeg" in sheet.read_text(encoding="utf-8")
    assert main(["search", query_in(tmp_path), "-L", str(library), "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11


def test_remove_forgets_and_leaves_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "pictures", 3)
    place = str(tmp_path / "lib")
    main(["add", str(folder), "-L", place])
    assert main(["remove", str(folder / "odd" / "00001.jpg"), "-L", place]) == 0
    assert (folder / "odd" / "00001.jpg").exists()
    assert main(["remove", "999", "-L", place]) == 1
    assert answer(capsys, "info", "-L", place)["pictures"] == 2


# ------------------------------------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["search", "{q}", "-k", "0", "-L", "{lib}"], 2, "-k"),
        (["search", "nowhere.jpg", "-L", "{lib}"], 3, "no picture at nowhere.jpg"),
        (["search", "{q}", "-L", "{tmp}/nothing"], 3, "sosie add"),
        (["search", "{text}", "-L", "{lib}"], 3, "{text}: not_a_picture"),
        (["search", "{q}", "{text}", "-L", "{lib}"], 3, "{text}: not_a_picture"),
        (["search", "{q}", "-L", "{lib}", "--where", "label ="], 2, "expected"),
        (["search", "{q}", "-L", "{lib}", "--box", "2,0,1,1"], 2, "box"),
        (["search", "{q}", "-L", "{lib}", "--box", "a,b"], 2, "box"),
        (["search", "id:999", "-L", "{lib}"], 2, "no picture 999"),
        (["search", "{q}", "-L", "{lib}", "--json", "--csv"], 2, "one of"),
        (["add", "{tmp}/nothing", "-L", "{tmp}/new"], 3, "cannot be read"),
        (["add", "{tmp}", "-L", "{tmp}/new", "--label", "cat"], 2, "name=value"),
        (["add", "{tmp}", "-L", "{q}"], 2, "is a file"),
        (["add", "{tmp}", "-L", "{tmp}/new", "--model", "bundeld"], 2, "did you mean 'bundled'"),
        (["add", "{tmp}", "-L", "{tmp}/new", "--forget-all"], 2, "add --sync"),
        (["serch"], 2, "did you mean 'search'"),
        (["run", "{tmp}/nothing.yaml"], 3, "--schema"),
    ],
)
def test_wrong_use_is_one_clear_line(
    argv: list[str], code: int, says: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    known = {"q": query_in(tmp_path), "lib": library, "tmp": tmp_path, "text": tmp_path / "text.jpg"}
    assert main([word.format(**known) for word in argv]) == code
    said = capsys.readouterr().err
    assert says.format(**known) in said
    assert "Traceback" not in said


def test_a_folder_without_pictures_is_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    assert main(["add", str(tmp_path / "empty"), "-L", str(tmp_path / "lib")]) == 0
    assert "no pictures" in capsys.readouterr().out


def test_an_empty_library_answers_with_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    main(["add", str(tmp_path / "empty"), "-L", str(tmp_path / "lib")])
    assert answer(capsys, "search", query_in(tmp_path), "-L", str(tmp_path / "lib"))["hits"] == []


# ------------------------------------------------------------------------------------------------ application.yaml


def test_run_does_the_whole_pipeline_from_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of(tmp_path / "pictures", 4)
    query_in(tmp_path)
    (tmp_path / "application.yaml").write_text(
        "library: lib\nmodel: histogram\nsources:\n  - path: pictures\n    label_from_folders: true\n"
        "search:\n  images: [3.jpg]\n  k: 2\n  html: sheet.html\n  json: answers.json\n"
        "index:\n  kind: exact\nevaluation:\n  labels: label\n  copies: 2\n"
    )
    done = answer(capsys, "run", str(tmp_path / "application.yaml"))
    assert done["library"]["pictures"] == 4
    assert done["add"][0]["indexed"] == 4
    assert len(json.loads((tmp_path / "answers.json").read_text())[0]["hits"]) == 2
    assert (tmp_path / "sheet.html").exists()
    assert done["index"]["generation"] is not None
    assert [sorted({"mAP", "micro_ap"} & set(each["metrics"])) for each in done["evaluate"]] == [["mAP"], ["micro_ap"]]


def test_run_gives_pictures_the_parts_that_the_file_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of(tmp_path / "pictures", 4)
    boxes = np.zeros((1, 84, 8), np.float32)
    boxes[0, :5, 0] = 32, 32, 32, 32, 0.9  # a person in the middle of 64 pixels, whatever the picture
    write_network(tmp_path, {"output0": boxes}, like="yolov8")
    text = "library: lib\nsources:\n  - path: pictures\nregions:\n  kinds: [objects, pooled]\n  detector: tiny.json\n"
    (tmp_path / "application.yaml").write_text(text)
    assert answer(capsys, "run", str(tmp_path / "application.yaml"))["add"][0]["indexed"] == 4
    picture = str(next((tmp_path / "pictures").rglob("*.jpg")))
    found = answer(capsys, "search", picture, "-L", str(tmp_path / "lib"), "--objects")
    assert [each["label"] for each in found["asked"]["objects"]] == ["person"]
    assert set(found["hits"][0]["evidence"]["parts"]) == {"whole", "objects"}
    (tmp_path / "application.yaml").write_text(text.replace("tiny", "gone"))
    assert main(["run", str(tmp_path / "application.yaml")]) == 3
    assert str(tmp_path / "gone.json") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("libary: x", "did you mean 'library'"),
        ("sources:\n  - pth: x", "did you mean 'path'"),
        ("serving:\n  port: 99999", "serving.port"),
        ("library: [", "not YAML"),
        ("just text", "keys and values"),
    ],
)
def test_a_wrong_key_names_the_nearest_known_one(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "application.yaml").write_text(text)
    assert main(["run", str(tmp_path / "application.yaml")]) == 2
    assert says in capsys.readouterr().err


def test_the_environment_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "application.yaml").write_text("library: from-file\nmodel: histogram\n")
    monkeypatch.setenv("SOSIE_LIBRARY", "from-environment")
    assert answer(capsys, "run", str(tmp_path / "application.yaml"))["library"]["path"].endswith("from-environment")


def test_the_schema_for_editors_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--schema"]) == 0
    assert "sources" in json.loads(capsys.readouterr().out)["properties"]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from sosie.cli import COMMANDS

    main(["--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("name", __import__("sosie.cli", fromlist=["COMMANDS"]).COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    assert "Usage" in capsys.readouterr().out
