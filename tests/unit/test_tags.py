"""Tags: what the bundled network surely recognises, kept as facts, filtered by, shown, and turned off."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import sosie
from sosie.catalogue.where import matches, parse
from sosie.cli import main
from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.tags import SURE
from sosie.errors import UsageError
from sosie.library import Library
from sosie.present.csv import to_csv
from sosie.training.examples import gather
from sosie.training.settings import Settings
from tests.serving import running


@pytest.fixture(scope="module")
def photos(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    images = sosie_shared / "data/crossdepict-dev/images"
    for kind in ("zebra", "hourglass", "people"):
        for path in sorted(images.glob(f"{kind}__*"))[:8]:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def lib(photos: Path, tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library") as made:
        made.add(photos, workers=1)
        yield made


def tags_of(lib: Library) -> dict[str, set[str]]:
    """Return the tags of each picture by the name of its file."""
    return {r.uris[0].rpartition("/")[2]: set(r.facts.get("tag", ())) for r in lib.pictures()}


def test_pictures_get_the_tags_that_they_surely_hold_and_no_labels(lib: Library) -> None:
    for name, tags in tags_of(lib).items():
        assert tags <= {"zebra": {"zebra", "animal"}, "hourglass": {"hourglass"}}.get(name.split("__")[0], tags)
    assert lib.tags()["zebra"] >= 3 and lib.tags()["hourglass"] >= 3
    assert lib.labels() == {}


def test_tags_filter_and_come_with_hits(lib: Library) -> None:
    zebras = lib.pictures(where="tag = 'zebra'")
    assert zebras and all("zebra__" in record.uris[0] for record in zebras)
    assert zebras[0].to_json()["facts"]["tag"] == list(zebras[0].facts["tag"])
    hit = lib.search(zebras[0].id, k=1, where="tag = 'zebra'")[0]
    assert "zebra" in hit.to_json()["facts"]["tag"]
    (row,) = csv.DictReader(io.StringIO(to_csv([lib.search(zebras[0].id, k=1, where="tag = 'zebra'")])))
    assert "zebra" in row["tags"].split("; ")
    assert not lib.pictures(where="'tag' = 'zebra'")


def test_tags_take_no_part_in_training_or_evaluation(lib: Library) -> None:
    with pytest.raises(UsageError, match="label"):
        gather(lib, Settings("classifier", labels=("tag",)))


def test_they_are_turned_off_and_told_again_by_stored_vectors(lib: Library, photos: Path) -> None:
    before = tags_of(lib)
    assert lib.tags.turn_off() == sum(map(bool, before.values()))
    assert lib.tags() == {} and not lib.tags.on
    lib.add(photos, again=True, workers=1)
    assert lib.tags() == {}
    for path in photos.iterdir():  # nothing is read
        path.rename(path.with_suffix(".away"))
    try:
        assert lib.tags.turn_on() == sum(map(bool, before.values()))
    finally:
        for path in photos.iterdir():
            path.rename(path.with_suffix(".jpg"))
    assert tags_of(lib) == before and lib.tags.on and not lib.tags.lacking


def test_upgrade_tells_the_tags_of_a_library_from_before_there_were_any(
    lib: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tags_of(lib)
    lib.catalogue.put_facts({record.id: {"tag": ()} for record in lib.pictures()})
    assert lib.tags.lacking
    assert main(["upgrade", "--json", "-L", str(lib.path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["embedded"], told["tagged"]) == (0, sum(map(bool, before.values())))
    assert tags_of(lib) == before
    assert main(["tags", "off", "-L", str(lib.path)]) == 0
    assert main(["upgrade", "-L", str(lib.path)]) == 0  # what was turned off stays so
    capsys.readouterr()
    assert main(["tags", "--json", "-L", str(lib.path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"on": False, "tags": {}}


def test_a_model_that_tells_none_says_so(lib: Library) -> None:
    with lib.with_model("bundled-5") as old:
        assert not old.tags.on and not old.tags.lacking
        with pytest.raises(UsageError, match="tells no tags"):
            old.tags.turn_on()


def test_the_page_and_the_api_show_them(lib: Library) -> None:
    zebra = lib.pictures(where="tag = 'zebra'")[0].id
    with running(lib) as address, httpx.Client(base_url=address) as web:
        assert "zebra" in web.get(f"/api/v1/pictures/{zebra}").json()["facts"]["tag"]
        assert "tag%3Azebra" in web.get("/").text
        assert "tag%3Azebra" in web.get(f"/picture/{zebra}").text
        found = web.get("/", params={"f": "tag:zebra"}).text
        assert "zebra__" in found and "hourglass__" not in found
        assert web.get("/api/v1/pictures", params={"where": "tag = 'zebra'"}).json()["pictures"]


def test_what_is_less_sure_is_no_tag() -> None:
    tagger = BundledEmbedder().vocabulary.tagger
    assert tagger is not None
    random = np.random.default_rng(0).normal(size=(200, 256))
    vectors = (random / np.linalg.norm(random, axis=1, keepdims=True)).astype(np.float32)
    probabilities = tagger.probabilities(vectors)
    for row, tags in zip(probabilities, tagger.tags(vectors), strict=True):
        assert {tagger.names[at] for at in np.flatnonzero(row >= SURE)} == set(tags)


@pytest.mark.parametrize(
    ("where", "met"), [("tag = 'cat'", True), ("tag", True), ("'tag' = 'cat'", False), ("tag = 'mine'", True)]
)
def test_a_tag_is_a_fact_or_a_label_of_that_name(where: str, met: bool) -> None:
    assert matches(parse(where), {"tag": "mine"}, {"tag": ("cat",)}) is met
