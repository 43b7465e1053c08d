"""Searching by single words with the bundled network: a table of classes, plurals, names of more words, labels."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

import sosie
from sosie.cli import main
from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.onnx import OnnxEmbedder
from sosie.embedders.store import ModelStore
from sosie.embedders.vocabulary import WordTable, WordVectors, read_vocabulary
from sosie.errors import NotFound, UntrustedModel, UsageError
from sosie.library import Library
from sosie.types import FloatMatrix, SearchResult, Text
from tests.networks import package
from tests.painted import paint
from tests.serving import running

CLASSES = np.eye(4, 8, dtype=np.float32)
KNOWN = {"red panda": [0], "panda": [0, 1], "dog": [2], "mouse": [3], "mice": [3], "jeans": [1]}


@pytest.fixture
def few() -> WordVectors:
    return WordVectors(CLASSES, KNOWN, name="small")


@pytest.fixture(scope="module")
def bundled() -> BundledEmbedder:
    return BundledEmbedder(threads=1)


@pytest.fixture(scope="module")
def lib(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Photos of ten kinds, six of each, labelled in capitals and underscores as their folder has them."""
    kinds = ("flamingo", "lobster", "pizza", "llama", "anchor", "wrench", "octopus", "menorah", "scissors", "stapler")
    folder = tmp_path_factory.mktemp("photos")
    images = sosie_shared / "data/caltech101-dev/images"
    with sosie.open(tmp_path_factory.mktemp("words") / "library") as made:
        for kind in kinds:
            (folder / kind).mkdir()
            for path in sorted(images.glob(f"{kind}__*"))[:6]:
                (folder / kind / path.name).write_bytes(path.read_bytes())
        made.add(folder)
        for record in made.pictures():
            made.set_labels(record.id, {"kind": record.uris[0].split("/")[-2]})
        yield made


def kinds(found: SearchResult) -> set[str]:
    return {hit.uri.split("/")[-2] for hit in found}


# ------------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("dog", {2}),
        ("Dogs", {2}),
        ("a photo of a DOG", {2}),
        ("red-panda", {0}),
        ("redpanda", {0}),
        ("Red  Pandas", {0}),
        ("panda", {0, 1}),
        ("pandas and dogs", {0, 1, 2}),
        ("mice", {3}),
        ("jean", {1}),
        ("red pandas with a mouse", {0, 3}),
    ],
)
def test_names_are_found_by_any_spelling_the_longest_first(few: WordVectors, text: str, classes: set[int]) -> None:
    vector = few.embed(text)
    assert set(np.flatnonzero(vector[:4])) == classes
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_each_of_several_words_counts_the_same(few: WordVectors) -> None:
    assert few.embed("panda dog") @ few.embed("dog") == pytest.approx(few.embed("panda dog") @ few.embed("panda"))


@pytest.mark.parametrize("text", ["helicopter", "a red dog", "фламинго", "犬", "of the", "!?", "a dog " * 300 + "x y"])
def test_what_is_not_known_is_refused_as_a_whole(few: WordVectors, text: str) -> None:
    with pytest.raises(UsageError, match=r"small knows 6 single words, and not .*clip-vit-b32.* understand sentences"):
        few.embed(text)


@pytest.mark.parametrize("text", ["", " \n", "dog " * 501])
def test_no_words_and_too_many_are_refused(few: WordVectors, text: str) -> None:
    with pytest.raises(UsageError, match="describe the picture in some words, at most 2000 letters"):
        few.embed(text)


def test_the_nearest_words_are_named(few: WordVectors) -> None:
    with pytest.raises(UsageError, match="not 'moose': the nearest words that it knows are mouse; "):
        few.embed("moose")
    with pytest.raises(UsageError, match="not 'red': the nearest words that it knows are red panda; "):
        few.embed("red dog")


def test_names_of_a_library_go_before_the_tables_words(few: WordVectors) -> None:
    def own(keys: Sequence[str]) -> FloatMatrix | None:
        return np.eye(8, dtype=np.float32)[7] if {"rex", "dog"} & set(keys) else None

    assert few.embed("Rex", own)[7] == 1
    assert few.embed("dogs", own)[7] == 1
    assert set(np.flatnonzero(few.embed("rex and a panda", own))) == {0, 1, 7}


# ------------------------------------------------------------------------------------------------ what is bundled


def test_the_bundled_table_is_small_and_read_when_it_is_first_needed() -> None:
    embedder = BundledEmbedder()
    assert embedder._vocabulary is None
    assert embedder.embed_text(["flamingo"]).shape == (1, 256)
    assert len(embedder.vocabulary.words) > 3_000
    assert embedder.files[1].stat().st_size <= 500_000


@pytest.mark.parametrize(
    ("one", "other"), [("mouse", "mice"), ("bus", "buses"), ("T-shirts", "tee shirt"), ("wolf", "wolves")]
)
def test_spellings_of_one_word_mean_the_same(bundled: BundledEmbedder, one: str, other: str) -> None:
    a, b = bundled.embed_text([one, other])
    assert a @ b == pytest.approx(1, abs=1e-5)


def test_a_kind_of_things_is_the_mean_of_its_classes(bundled: BundledEmbedder) -> None:
    dog, poodle, fish = bundled.embed_text(["dog", "poodle", "fish"])
    assert dog @ poodle > dog @ fish + 0.3


@pytest.mark.parametrize("harm", ["changed", "gone", "pickled", "cut"])
def test_a_table_that_is_not_what_it_should_be_is_refused(harm: str, tmp_path: Path) -> None:
    description = BundledEmbedder().description
    assert description.words is not None
    data = description.words.path.read_bytes()
    path, sha256 = tmp_path / "words.npz", description.words.sha256
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    if harm == "gone":
        path.unlink()
    if harm in ("pickled", "cut"):
        buffer = io.BytesIO()
        np.savez(buffer, rows=np.array([{}], object))
        path.write_bytes(buffer.getvalue() if harm == "pickled" else data[:1000])
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(NotFound if harm == "gone" else UntrustedModel, match=r"words\.npz"):
        read_vocabulary(WordTable(path, sha256), name="bundled", dim=256)


def test_a_package_may_bring_words(tmp_path: Path) -> None:
    folder = package(tmp_path / "package", "colours", np.eye(4, 4))
    (described,) = folder.glob("*.json")
    raw = json.loads(described.read_text())
    dim = raw["heads"][0]["dim"]
    members = np.arange(2, dtype=np.int16)
    arrays = {"rows": np.eye(2, dim, dtype=np.int8), "scales": np.ones(2, np.float32), "members": members}
    words = np.frombuffer(b"day\nnight", np.uint8)
    np.savez(folder / "w.npz", words=words, ends=members + 1, **arrays)
    raw["words"] = {"file": "w.npz", "sha256": hashlib.sha256((folder / "w.npz").read_bytes()).hexdigest()}
    described.write_text(json.dumps(raw))
    added = ModelStore(tmp_path / "models").add(folder)
    assert OnnxEmbedder(added).embed_text(["nights"])[0].tolist() == np.eye(dim)[1].tolist()


# ------------------------------------------------------------------------------------------------ a library


def test_words_find_photos_of_what_they_name(lib: Library) -> None:
    for kind in ("flamingo", "lobsters", "pizza", "llamas"):
        assert kinds(lib.search(text=kind, k=5)) == {kind.rstrip("s")}
    both = lib.search(text="pizzas and lobsters", k=10)
    assert kinds(both) == {"pizza", "lobster"}
    assert both.query == "text:pizzas and lobsters"


def test_words_go_with_pictures_filters_and_sums(lib: Library) -> None:
    pizza = lib.search(text="pizza", k=1)[0].id
    assert kinds(lib.search(pizza, text="lobster", k=12)) >= {"pizza", "lobster"}
    assert kinds(lib.search(text="pizza", where="kind = 'wrench'", k=3)) == {"wrench"}
    assert "flamingo" in kinds(lib.search(((1.0, Text("flamingo")), (-1.0, pizza)), k=3))
    with pytest.raises(UsageError, match="give one along with the words"):
        lib.search(text="pizza", box=(0, 0, 0.5, 0.5))


def test_labels_of_five_pictures_are_words_until_they_are_fewer(lib: Library) -> None:
    first, second, *_ = lib.search(text="Menorahs", k=6)
    assert kinds(lib.search(text="Menorahs", k=5)) == {"menorah"}
    lib.set_labels(first.id, {"kind": None})
    assert kinds(lib.search(text="menorah", k=5)) == {"menorah"}
    lib.set_labels(second.id, {"kind": None})
    with pytest.raises(UsageError, match="not 'menorah'"):
        lib.search(text="menorah")
    for hit in (first, second):
        lib.set_labels(hit.id, {"kind": "menorah"})


def test_a_label_goes_before_the_word_of_the_same_spelling(lib: Library) -> None:
    wrenches = [record.id for record in lib.pictures(where="kind = 'wrench'")]
    for content_id in wrenches:
        lib.set_labels(content_id, {"name": "flamingo's"})
    assert kinds(lib.search(text="flamingos", k=3)) == {"wrench"}
    for content_id in wrenches:
        lib.set_labels(content_id, {"name": None})
    assert kinds(lib.search(text="flamingos", k=5)) == {"flamingo"}


def test_the_command_line_refuses_an_unknown_word(lib: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--text", "flamingo", "-k", "3", "--json", "-L", str(lib.path)]) == 0
    assert "flamingo" in json.loads(capsys.readouterr().out)["hits"][0]["uri"]
    assert main(["search", "--text", "flamingoes at dusk", "-L", str(lib.path)]) == 2
    assert "not 'dusk'" in capsys.readouterr().err


def test_the_api_and_the_page_search_by_words(lib: Library) -> None:
    with running(lib) as address, httpx.Client(base_url=address) as web:
        hits = web.get("/api/v1/search", params={"text": "lobster", "k": 4}).json()["hits"]
        assert all("/lobster/" in hit["uri"] for hit in hits)
        refused = web.get("/api/v1/search", params={"text": "zeppelin"})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
        assert "knows" in refused.json()["detail"]
        assert 'name="text"' in web.get("/").text
        shown = web.get("/", params={"text": "zeppelin"}, headers={"accept": "text/html"})
        assert shown.status_code == 400 and "zeppelin" in shown.text


def test_a_library_of_version_5_is_told_what_gives_it_words(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "old", model="bundled-5") as old:
        old.add(paint(tmp_path / "pictures", 1))
        with pytest.raises(UsageError, match="version 5, knows no words: `sosie upgrade` gives the library them"):
            old.search(text="flamingo")
        with sosie.open(tmp_path / "old", model="bundled-5") as seen, running(seen) as address:
            assert 'name="text"' not in httpx.get(address).text
