"""Searching by words, with a tiny network of two towers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.cli import main
from sosie.embedders.store import ModelStore
from sosie.embedders.text import Words
from sosie.errors import UntrustedModel, UsageError
from sosie.library import Library
from sosie.types import SearchResult, Text
from tests.networks import coloured_folder, two_towers
from tests.serving import running


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("words")
    described = two_towers(folder / "model") / "wordy.json"
    with sosie.open(folder / "library", model=str(described)) as opened:
        opened.add(coloured_folder(folder / "pictures"), label_from_folders=True)
        yield opened


@pytest.fixture(scope="module")
def web(lib: Library) -> Iterator[httpx.Client]:
    with running(lib) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def colours(result: SearchResult) -> set[object]:
    return {hit.labels["label"] for hit in result}


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_words_find_what_they_say(lib: Library, colour: str) -> None:
    assert colours(lib.search(text=f"a {colour} thing", k=8)) == {colour}
    assert colours(lib.search(text=colour.upper(), k=8)) == {colour}  # its description says `lower`


def test_words_are_joined_with_pictures_by_arithmetic(lib: Library) -> None:
    red = lib.search(text="red", k=1)[0]
    assert colours(lib.search(red.id, text="green", k=15)) == {"red", "green"}  # yellow lies between, and blue far
    opposite = lib.search(f"{_path(red.uri)} - text:red - text:red", k=16)
    assert "red" not in colours(opposite)
    first, second = lib.search_many([f"text:green + {_path(red.uri)}", ((1.0, red.id), (1.0, Text("green")))], k=5)
    assert [hit.id for hit in first] == [hit.id for hit in second]  # the order of a sum changes nothing


def test_a_query_of_words_is_named_by_them(lib: Library) -> None:
    assert lib.search(text="red").query == "text:red"
    assert lib.search(1, text="red").query == "id:1 + text:red"


def test_words_keep_to_filters_and_k(lib: Library) -> None:
    found = lib.search(text="red", where="label = 'blue'", k=3)
    assert (len(found), colours(found)) == (3, {"blue"})


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001])
def test_no_words_and_too_many_are_refused(lib: Library, text: str) -> None:
    with pytest.raises(UsageError, match="describe the picture in some words"):
        lib.search(text=text)


def test_nothing_to_search_with_and_a_box_of_no_picture_are_refused(lib: Library) -> None:
    with pytest.raises(UsageError, match="with a picture, with words"):
        lib.search()
    with pytest.raises(UsageError, match="is of a picture"):
        lib.search(text="red", box=(0, 0, 0.5, 0.5))


@pytest.mark.parametrize("model", ["histogram"])
def test_a_model_without_words_says_which_have_them(lib: Library, model: str) -> None:
    with lib.with_model(model) as seen, pytest.raises(UsageError, match=f"{model} knows no words: .*clip-vit-b32"):
        seen.search(text="red")


def test_the_cut_of_a_long_text_and_the_fill_of_a_short_one(tmp_path: Path) -> None:
    described = two_towers(tmp_path / "m") / "wordy.json"
    raw = json.loads(described.read_text())
    raw["text"]["pad"] = 4  # "dark": zeros
    described.write_text(json.dumps(raw))
    shelf = ModelStore(tmp_path / "models")
    found = shelf.add(tmp_path / "m")
    assert found.text is not None
    words = Words(found.text)
    assert words.embed(["red"])[0] == pytest.approx(np.array([2, -1, -1]) / 8)
    assert words.embed(["red " * 50])[0] == pytest.approx([2, -1, -1])


@pytest.mark.parametrize("file", ["words.onnx", "words.tokenizer"])
def test_a_text_tower_that_was_changed_is_refused(tmp_path: Path, file: str) -> None:
    folder = two_towers(tmp_path / "m")
    data = bytearray((folder / file).read_bytes())
    data[-30] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(UntrustedModel):
        ModelStore(tmp_path / "models").add(folder)


def test_the_command_line_searches_by_words(lib: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--text", "a blue thing", "-k", "8", "--json", "-L", str(lib.path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["query"] == "text:a blue thing"
    assert {hit["labels"]["label"] for hit in found["hits"]} == {"blue"}
    blue = f"id:{found['hits'][0]['id']}"
    assert main(["search", blue, "--text", "green", "-k", "15", "--json", "-L", str(lib.path)]) == 0
    assert {hit["labels"]["label"] for hit in json.loads(capsys.readouterr().out)["hits"]} == {"blue", "green"}
    assert main(["search", "-L", str(lib.path)]) == 2
    assert "with a picture, with words" in capsys.readouterr().err


def test_the_api_searches_by_words_page_by_page(web: httpx.Client, lib: Library) -> None:
    first = web.get("/api/v1/search", params={"text": "red", "k": 4}).json()
    assert first["query"] == "text:red"
    second = web.get("/api/v1/search", params={"text": "red", "k": 4, "cursor": first["next_cursor"]}).json()
    expected = [hit.id for hit in lib.search(text="red", k=8)]
    assert [hit["id"] for hit in first["hits"] + second["hits"]] == expected
    other = web.get("/api/v1/search", params={"text": "blue", "k": 4, "cursor": first["next_cursor"]})
    assert other.json()["code"] == "bad_cursor"
    assert web.get("/api/v1/search").json()["code"] == "bad_request"


def test_the_api_joins_words_with_an_upload(web: httpx.Client, lib: Library, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (90, 30, 30)).save(tmp_path / "red.png")
    files = {"picture": ("red.png", (tmp_path / "red.png").read_bytes(), "image/png")}
    plain = web.post("/api/v1/search", files=files, data={"k": "8"}).json()["hits"]
    joined = web.post("/api/v1/search", files=files, data={"k": "16", "text": "green"}).json()["hits"]
    assert {hit["labels"]["label"] for hit in plain} == {"red"}
    assert {hit["labels"]["label"] for hit in joined} == {"red", "green"}


def test_the_client_searches_by_words(web: httpx.Client, lib: Library) -> None:
    with sosie.Client(str(web.base_url)) as client:
        assert colours(client.search(text="blue", k=5)) == {"blue"}


def test_the_page_has_a_field_for_words_where_the_model_knows_them(web: httpx.Client, lib: Library) -> None:
    assert 'name="text"' in web.get("/").text
    found = web.get("/", params={"text": "red"}).text
    assert 'value="red"' in found and 'id="hits"' in found and 'class="canvas"' not in found
    joined = web.get("/", params={"id": 1, "text": "red"}).text
    assert 'class="canvas"' in joined and 'name="id" value="1"' in joined


def test_the_page_has_no_such_field_otherwise(lib: Library) -> None:
    with lib.with_model("histogram") as seen, running(seen) as address:
        assert 'name="text"' not in httpx.get(address).text


def _path(uri: str) -> str:
    from sosie.sources.uris import path_of_uri

    return path_of_uri(uri).decode()
