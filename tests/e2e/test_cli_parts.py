"""Searching by parts on the command line: boxes, objects, masks, and regions of the library's pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sosie.cli import main

CAT = "coco__08cd25e319.jpg"


@pytest.fixture(scope="module")
def networks(sosie_shared: Path) -> list[str]:
    weights = sosie_shared / "weights"
    return [
        *("--detector", f"yolox_nano:{weights / 'yolox_nano.onnx'}"),
        *("--segmenter", f"deeplabv3_pascal:{weights / 'deeplabv3_mnv2_pascal.onnx'}"),
    ]


@pytest.fixture(scope="module")
def pictures(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for path in sorted((sosie_shared / "data" / "regions-dev" / "images").iterdir())[:12]:
        shutil.copy(path, folder)
    assert (folder / CAT).exists()
    return folder


@pytest.fixture(scope="module")
def library(pictures: Path, networks: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library whose pictures have objects, squares and person masks; tests only read it."""
    place = tmp_path_factory.mktemp("parts") / "lib"
    kinds = ["--regions", "objects", "--regions", "pooled", "--regions", "mask:person"]
    assert main(["add", str(pictures), "-L", str(place), *kinds, *networks]) == 0
    return place


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_second_run_has_nothing_to_do(library: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "add", str(pictures), "-L", str(library))
    assert (report["unchanged"], report["indexed"]) == (12, 0)


def test_pictures_that_are_there_get_the_regions_that_they_lack(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "add", str(pictures), "-L", str(tmp_path))
    report = answer(capsys, "add", str(pictures), "-L", str(tmp_path), "--regions", "pooled")
    assert (report["unchanged"], report["indexed"], report["pictures"]) == (0, 12, 12)
    again = answer(capsys, "add", str(pictures), "-L", str(tmp_path))
    assert again["unchanged"] == 12
    found = answer(capsys, "search", str(pictures / CAT), "-L", str(tmp_path), "--regions", "pooled", "-k", "2")
    assert found["hits"][0]["uri"].endswith(CAT)
    assert found["hits"][1]["region"] is not None


def test_every_object_is_listed_and_searched(library: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "search", str(pictures / CAT), "-L", str(library), "--objects")
    assert found["asked"]["objects"][0]["label"] == "cat"
    first = found["hits"][0]
    assert first["verdict"] == "identical"
    assert first["evidence"]["object"]["label"] == "cat"
    assert set(first["evidence"]["parts"]) == {"whole", "objects"}
    assert len({hit["id"] for hit in found["hits"]}) == len(found["hits"])


def test_a_crop_of_an_object_finds_its_scene_and_shows_where(
    library: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = answer(capsys, "search", str(pictures / CAT), "-L", str(library), "--objects")["asked"]["objects"]
    x, y, width, height = listed[0]["box"]
    scene = Image.open(pictures / CAT)
    w, h = scene.size
    scene.crop((round(x * w), round(y * h), round((x + width) * w), round((y + height) * h))).save(tmp_path / "cat.png")
    [first, *_] = answer(capsys, "search", str(tmp_path / "cat.png"), "-L", str(library), "--regions", "objects")[
        "hits"
    ]
    assert first["uri"].endswith(CAT)
    assert first["verdict"] == "contains"
    assert first["region"] == pytest.approx([x, y, width, height], abs=0.01)
    assert first["evidence"]["parts"]["objects"] > 0.95 > first["evidence"]["parts"]["whole"]


def test_one_query_joins_box_mask_sum_and_filter(
    library: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = sorted(path for path in pictures.iterdir() if path.name != CAT)
    query = f"{pictures / CAT} + {others[0]} - {others[1]}"
    found = answer(
        capsys,
        *("search", query, "-L", str(library), "--box", "0,0,0.9,0.9", "--mask", "!person"),
        *("--where", "width > 100", "-k", "5"),
    )
    assert len(found["hits"]) == 5
    assert found["asked"]["mask"]["asked"] == "!person"
    assert found["asked"]["box"] == [0, 0, 0.9, 0.9]
    assert len(found["hits"][0]["evidence"]["terms"]) == 3


def test_an_empty_mask_is_searched_whole_and_says_so(
    library: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(pictures / CAT), "-L", str(library), "--mask", "sheep", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "no sheep was found" in err
    assert json.loads(out)["asked"]["mask"] == {"asked": "sheep", "found": False, "share": 1.0, "box": [0, 0, 1, 1]}


def test_a_mask_that_no_picture_was_given_says_how_they_are_told_apart(
    library: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(pictures / CAT), "-L", str(library), "--mask", "cat", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "`--regions mask:cat`" in err
    assert "`--regions mask:cat`" in json.loads(out)["asked"]["mask"]["advice"]
    person = next(p for p in sorted(pictures.iterdir()) if _has_person(capsys, library, p))
    assert (
        "advice" not in answer(capsys, "search", str(person), "-L", str(library), "--mask", "person")["asked"]["mask"]
    )


def _has_person(capsys: pytest.CaptureFixture[str], library: Path, picture: Path) -> bool:
    mask = answer(capsys, "search", str(picture), "-L", str(library), "--mask", "person")["asked"]["mask"]
    return bool(mask["found"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--object", "40"], "there is no object 40"),
        (["--mask", "persn"], "did you mean 'person'"),
        (["--box", "0.5,0.5,0.9,0.9"], "inside the picture"),
        (["--box", "0.5,0.5,0,0.1"], "inside the picture"),
        (["--regions", "mask:dog"], "no picture has mask:dog regions yet"),
        (["--regions", "things"], "no kind of regions is called 'things'"),
        (["--fill", "red", "--mask", "person"], "--fill is mean or blur"),
        (["--detector", "yolox:none.onnx", "--objects"], "none.onnx"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    library: Path, pictures: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["search", str(pictures / CAT), "-L", str(library), *options]) in (2, 3)
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_without_a_detector_the_message_says_how_to_get_one(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["add", str(pictures), "-L", str(tmp_path)])
    assert main(["search", str(pictures / CAT), "-L", str(tmp_path), "--objects"]) == 2
    assert "--detector yolox:FILE.onnx" in capsys.readouterr().err


def test_a_network_that_was_exchanged_is_refused(
    sosie_shared: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tmp_path / "mine.onnx"
    shutil.copy(sosie_shared / "weights" / "yolox_nano.onnx", network)
    network.chmod(0o644)
    library = str(tmp_path / "lib")
    main(["add", str(pictures), "-L", library, "--detector", f"yolox_nano:{network}", "--regions", "objects"])
    network.write_bytes((sosie_shared / "weights" / "FastestDet.onnx").read_bytes())
    assert main(["search", str(pictures / CAT), "-L", library, "--objects"]) == 3
    assert "SHA-256" in capsys.readouterr().err
