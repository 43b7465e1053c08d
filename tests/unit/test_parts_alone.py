"""Parts as spaces of their own: how much they count, and their vectors and indexes as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.analysis.regions import Parts
from sosie.cli import main
from sosie.library import Library
from tests.networks import colourful
from tests.unit.test_one_query import segmenter

ABOVE = Parts(mask="person")


def halves(folder: Path, above: tuple[int, int, int], below: tuple[int, int, int]) -> str:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32], pixels[32:] = above, below
    path = folder / f"{above[0]}-{above[1]}-{below[0]}-{below[2]}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Pictures whose upper half is the person: red over blue, green over red, green over blue."""
    folder = tmp_path_factory.mktemp("parts")
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    for above, below in ((red, blue), (green, red), (green, blue)):
        halves(folder / "pictures", above, below)
    model = colourful(folder / "model", "tones") / "tones.json"
    with sosie.open(folder / "library", model=str(model)) as opened:
        opened.extractor.use(segmenter=str(segmenter(folder / "network")))
        opened.add(folder / "pictures", regions=["mask:person"], workers=1)
        yield opened


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> str:
    return halves(tmp_path_factory.mktemp("query"), (190, 0, 0), (0, 190, 10))


def test_the_part_alone_decides_where_whole_pictures_have_no_share(lib: Library, query: str) -> None:
    found = lib.search(query, parts=ABOVE, shares={"whole": 0, "mask": 1}, verify=False)
    assert found[0].uri.endswith("200-0-0-200.png") and found.asked["shares"] == {"whole": 0, "mask:person": 1}
    assert all(hit.score == pytest.approx(hit.evidence["parts"]["mask:person"], abs=1e-4) for hit in found)


def test_shares_are_relative(lib: Library, query: str) -> None:
    found = lib.search(query, parts=ABOVE, shares={"whole": 1, "mask:person": 3}, verify=False)
    parts = [hit.evidence["parts"] for hit in found]
    assert [hit.score for hit in found] == pytest.approx(
        [each["whole"] / 4 + 3 * each["mask:person"] / 4 for each in parts], abs=2e-4
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mask", "person", "--share", "whole=0,mask=0"], "above 0"),
        (["--mask", "person", "--share", "whole=-1,mask=1"], "0 or more"),
        (["--mask", "person", "--share", "msk=1"], "mask:person"),
        (["--mask", "person", "--share", "mask=much"], "a number"),
        (["--mask", "person", "--share", "mask=1", "--only-part"], "one of"),
        (["--share", "whole=1"], "only whole pictures"),
        (["--only-part"], "only whole pictures"),
    ],
)
def test_wrong_shares_are_one_line(
    options: list[str], says: str, lib: Library, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", query, "-L", str(lib.path), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_only_part_is_a_share_of_nothing_for_whole_pictures(
    lib: Library, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", query, "-L", str(lib.path), "--mask", "person", "--only-part", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asked"]["shares"]["whole"] == 0


def test_masks_are_delivered_as_an_annoy_file(lib: Library, tmp_path: Path) -> None:
    annoy = pytest.importorskip("annoy")
    argv = ["index", "export", str(tmp_path), "-L", str(lib.path), "--space", "mask:person", "--metric", "euclidean"]
    assert main(argv) == 0
    ids, pictures, vectors = (np.load(tmp_path / f"{name}.npy") for name in ("ids", "pictures", "vectors"))
    index = annoy.AnnoyIndex(vectors.shape[1], "euclidean")
    index.load(str(tmp_path / f"{vectors.shape[1]}-euclidean-50.ann"))
    assert index.get_n_items() == len(ids) == 3 and sorted(pictures) == [each.id for each in lib.pictures()]
    assert [index.get_nns_by_vector(vector, 1)[0] for vector in vectors] == [0, 1, 2]


@pytest.mark.parametrize("form", ["npz", "npy", "parquet"])
def test_vectors_of_a_space_are_a_file(form: str, lib: Library, tmp_path: Path) -> None:
    file = tmp_path / f"out.{form}"
    assert main(["export-vectors", str(file), "-L", str(lib.path), "--space", "mask:person"]) == 0
    _, expected = lib.vectors(lib.extractor.space_named("mask:person"))
    if form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(file)
        vectors = np.array(table["vector"].to_pylist(), np.float32)
        assert table["uri"].to_pylist()[0].endswith(".png")
    else:
        vectors = np.load(file)["vectors"] if form == "npz" else np.load(file)
    assert np.array_equal(vectors, expected)


def test_a_space_that_is_not_there_is_one_line(
    lib: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        ["export-vectors", str(tmp_path / "a.npz")],
        ["index", "export", str(tmp_path)],
        ["index", "build"],
    ):
        assert main([*command, "-L", str(lib.path), "--space", "mask:persn"]) == 2
        said = capsys.readouterr().err
        assert "did you mean 'person'" in said and said.count("\n") == 1
    assert main(["export-vectors", str(tmp_path / "a.csv"), "-L", str(lib.path)]) == 2
    assert "npz, npy or parquet" in capsys.readouterr().err


def test_an_index_of_a_space_answers_searches_in_it(lib: Library, query: str) -> None:
    before = [hit.id for hit in lib.search(query, parts=ABOVE, shares={"mask": 1}, verify=False)]
    assert main(["index", "build", "-L", str(lib.path), "--kind", "annoy", "--space", "mask:person"]) == 0
    assert lib.view(lib.extractor.space_named("mask:person")).description["kind"] == "annoy"
    assert [hit.id for hit in lib.search(query, parts=ABOVE, shares={"mask": 1}, verify=False)] == before
