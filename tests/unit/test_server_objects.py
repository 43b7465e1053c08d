"""Objects and masks through the API and on the page, with a real detector and a real segmenter."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.library import Library
from tests.serving import running

API = "/api/v1"
CAT = "coco__08cd25e319.jpg"


@pytest.fixture(scope="module")
def library(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("objects")
    (folder / "pictures").mkdir()
    for path in sorted((sosie_shared / "data" / "regions-dev" / "images").iterdir())[:8]:
        shutil.copy(path, folder / "pictures")
    weights = sosie_shared / "weights"
    with sosie.open(folder / "library") as made:
        made.extractor.use(
            detector=f"yolox_nano:{weights / 'yolox_nano.onnx'}",
            segmenter=f"deeplabv3_pascal:{weights / 'deeplabv3_mnv2_pascal.onnx'}",
        )
        made.add(folder / "pictures", regions=["objects"], workers=1)
        yield made


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def cat(library: Library) -> int:
    return next(record.id for record in library.pictures() if record.uris[0].endswith(CAT))


def test_objects_are_listed_by_the_numbers_that_a_search_takes(web: httpx.Client, cat: int) -> None:
    listed = web.get(f"{API}/objects", params={"id": cat}).json()["objects"]
    assert (listed[0]["number"], listed[0]["label"]) == (1, "cat")
    found = web.get(f"{API}/search", params={"id": cat, "object": 1, "k": 3}).json()
    assert found["asked"]["box"] == pytest.approx(listed[0]["box"], abs=1e-4)
    assert found["hits"][0]["id"] == cat
    assert found["hits"][0]["region"] == pytest.approx(listed[0]["box"], abs=1e-3)


def test_an_upload_is_searched_object_by_object(web: httpx.Client, library: Library, cat: int) -> None:
    files = {"picture": ("cat.jpg", library.read(cat), "image/jpeg")}
    found = web.post(f"{API}/search", files=files, data={"objects": "true"}).json()
    assert found["hits"][0]["verdict"] == "identical"
    assert {"whole", "objects"} == set(found["hits"][0]["evidence"]["parts"])


def test_a_mask_is_told_with_its_share(web: httpx.Client, cat: int) -> None:
    told = web.get(f"{API}/search", params={"id": cat, "mask": "cat"}).json()["asked"]["mask"]
    assert told["found"]
    assert 0.05 < told["share"] < 0.9


def test_where_pictures_have_no_such_regions_a_mask_says_what_would_tell_them_apart(
    web: httpx.Client, cat: int
) -> None:
    told = web.get(f"{API}/search", params={"id": cat, "mask": "!cat"}).json()["asked"]["mask"]
    assert "`--regions 'mask:!cat'`" in told["advice"]
    page = web.get("/", params={"id": cat, "mask": "cat"}).text
    assert "--regions mask:cat are told apart" in page
    assert "are told apart" not in web.get("/", params={"id": cat}).text


@pytest.mark.parametrize(("params", "word"), [({"object": 90}, "no object 90"), ({"mask": "persn"}, "person")])
def test_parts_that_are_not_there_are_a_bad_request(
    web: httpx.Client, cat: int, params: dict[str, object], word: str
) -> None:
    answer = web.get(f"{API}/search", params={"id": cat, **params})
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


def test_objects_of_nothing_or_of_two_things_are_a_bad_request(web: httpx.Client) -> None:
    assert web.get(f"{API}/objects").status_code == 400
    assert web.get(f"{API}/objects", params={"id": 1, "query": "0" * 64}).status_code == 400


def test_the_page_offers_objects_and_masks_and_outlines_what_was_found(web: httpx.Client, cat: int) -> None:
    page = web.get("/", params={"id": cat, "object": 1}).text
    assert 'class="chips parts"' in page
    assert f'/?object=2&id={cat}"'.replace("&", "&amp;") in page
    assert "Without person" in page
    assert 'class="region"' in page
    french = web.get("/", params={"id": cat}, headers={"Accept-Language": "fr"}).text
    assert "Sans : person" in french


def test_without_a_detector_the_page_has_no_chips_and_the_api_says_why(tmp_path: Path, library: Library) -> None:
    with sosie.open(tmp_path / "plain") as plain:
        plain.add_bytes(library.read(1))
        with running(plain) as address, httpx.Client(base_url=address, timeout=60) as web:
            assert "chips parts" not in web.get("/", params={"id": 1}).text
            answer = web.get(f"{API}/objects", params={"id": 1})
            assert answer.status_code == 400
            assert "--detector" in answer.json()["detail"]
