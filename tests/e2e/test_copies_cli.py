"""``sosie copies``, ``compare``, ``duplicates`` and ``decisions`` as a user runs them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from sosie.alterations import alter
from sosie.cli import main
from tests.scenes import as_file, scene


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a library of six pictures, two of them copies, and a folder of suspects."""
    folder = tmp_path_factory.mktemp("cli")
    pictures, suspects = folder / "pictures", folder / "suspects"
    pictures.mkdir()
    suspects.mkdir()
    for seed in range(5):
        (pictures / f"{seed}.png").write_bytes(as_file(scene(seed)))
    (pictures / "2 small.jpg").write_bytes(as_file(scene(2)[::2, ::2], kind="JPEG"))
    (suspects / "crop.png").write_bytes(as_file(alter(scene(1), "crop_50", 1).pixels))
    (suspects / "new.png").write_bytes(as_file(scene(77)))
    (suspects / "torn.jpg").write_bytes(as_file(scene(3), kind="JPEG")[:400])
    library = folder / "library"
    assert main(["add", str(pictures), "--library", str(library), "--model", "histogram", "--json"]) == 0
    return library, suspects


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(each) for each in arguments])
    return code, capsys.readouterr().out


def test_a_folder_of_suspects_is_answered_one_by_one(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    library, suspects = places
    code, out = run(capsys, "copies", suspects, "--library", library, "--json", "--html", tmp_path / "report.html")
    found = {document["query"].rsplit("/", 1)[-1]: document for document in json.loads(out)}
    assert code == 0
    assert found["crop.png"]["hits"][0]["uri"].endswith("/1.png")
    assert found["new.png"]["hits"] == []
    assert found["torn.jpg"]["error"]["reason"]
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What was done to the reference" in report
    assert 'src="http' not in report


def test_copies_are_given_as_csv(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    library, suspects = places
    code, out = run(capsys, "copies", suspects, "--library", library, "--csv")
    (line,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert line["query"].endswith("crop.png") and line["uri"].endswith("/1.png")
    assert float(line["probability"]) > 0.5
    assert run(capsys, "copies", suspects, "--library", library, "--csv", "--json")[0] == 2


def test_copies_of_watched_pictures_are_given_as_csv(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    library, suspects = places
    assert run(capsys, "watch", "add", suspects / "crop.png", "--library", library)[0] == 0
    code, out = run(capsys, "watch", "look", "--all", "--csv", "--library", library)
    (line,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert line["name"] == "crop.png" and line["uri"].endswith("/1.png")


def test_no_copy_is_exit_code_1(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    library, suspects = places
    code, out = run(capsys, "copies", suspects / "new.png", "--library", library, "--explain")
    assert code == 1
    assert "no copy found" in out
    assert "words" in out


def test_compare_answers_by_its_exit_code(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    library, suspects = places
    original = library.parent / "pictures" / "1.png"
    code, out = run(capsys, "compare", suspects / "crop.png", original, "--library", library, "--json")
    assert code == 0
    document = json.loads(out)
    assert document["verdict"] in ("altered_copy", "contains")
    assert document["certificate"]["crop"][2] < 0.9
    assert run(capsys, "compare", suspects / "new.png", original, "--library", library)[0] == 1
    assert run(capsys, "compare", suspects / "torn.jpg", original, "--library", library)[0] == 2
    assert run(capsys, "compare", suspects / "missing.png", original)[0] == 2


def test_compare_needs_no_library(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, suspects = places
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOSIE_LIBRARY", raising=False)
    code, out = run(capsys, "compare", suspects / "crop.png", suspects / "crop.png")
    assert code == 0
    assert out.startswith("identical")
    assert not (tmp_path / "sosie-library").exists()


def test_duplicates_plan_and_delete_nothing(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    library, suspects = places
    before = sorted((library.parent / "pictures").iterdir())
    code, out = run(
        capsys, "duplicates", "--library", library, "--plan", tmp_path / "plan.json", "--action", "move", "--json"
    )
    assert code == 0
    assert [group["best"]["uris"][0].rsplit("/", 1)[-1] for group in json.loads(out)["groups"]] == ["2.png"]
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert [(row["action"], row["uri"].rsplit("/", 1)[-1]) for row in plan] == [("move", "2%20small.jpg")]
    assert sorted((library.parent / "pictures").iterdir()) == before
    code, out = run(capsys, "duplicates", "--library", library, "--against", suspects, "--json")
    assert [row["of"].rsplit("/", 1)[-1] for row in json.loads(out)["matches"]] == ["1.png"]


def test_a_decision_is_set_listed_and_undone(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    library, suspects = places
    pair = (suspects / "crop.png", library.parent / "pictures" / "1.png")
    assert run(capsys, "decisions", "set", "not_a_copy", *pair, "--library", library)[0] == 0
    assert (
        json.loads(run(capsys, "decisions", "list", "--library", library, "--json")[1])[0]["decision"] == "not_a_copy"
    )
    assert run(capsys, "copies", pair[0], "--library", library)[0] == 1
    assert run(capsys, "compare", *pair, "--library", library)[0] == 1
    assert run(capsys, "decisions", "undo", *pair, "--library", library)[0] == 0
    assert run(capsys, "copies", pair[0], "--library", library)[0] == 0
    assert run(capsys, "decisions", "set", "perhaps", *pair, "--library", library)[0] == 2
