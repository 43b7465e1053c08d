"""Everything in one query: words, a sum of pictures, a box, a mask and a filter, with tiny real networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.analysis.regions import Parts
from sosie.library import Library
from sosie.types import Box, SearchResult
from tests.detectors import write_network
from tests.networks import coloured_folder, two_towers

RIGHT_HALF: Box = (0.5, 0.0, 0.5, 1.0)


def segmenter(folder: Path) -> Path:
    """Write a network that takes the upper half of every picture for a person."""
    folder.mkdir()
    logits = np.zeros((1, 2, 64, 64), np.float32)
    logits[0, 1, :32] = logits[0, 0, 32:] = 8
    return write_network(
        folder,
        {"logits": logits},
        task="segment",
        layout="classes",
        input={"name": "images"},
        outputs=["logits"],
        classes=["background", "person"],
    )


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("all")
    described = two_towers(folder / "model") / "wordy.json"
    with sosie.open(folder / "library", model=str(described)) as opened:
        opened.extractor.use(segmenter=str(segmenter(folder / "network")))
        opened.add(coloured_folder(folder / "pictures"), label_from_folders=True)
        yield opened


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture that is blue on the left; on the right it is red above, and green below."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[:, :48] = 0, 0, 200
    pixels[:48, 48:] = 200, 0, 0
    pixels[48:, 48:] = 0, 200, 0
    path = tmp_path_factory.mktemp("query") / "quarters.png"
    Image.fromarray(pixels).save(path)
    return str(path)


def colours(result: SearchResult) -> set[object]:
    return {hit.labels["label"] for hit in result}


def test_each_part_of_one_query_has_its_say(lib: Library, quarters: str) -> None:
    above, below = Parts(box=RIGHT_HALF, mask="person"), Parts(box=RIGHT_HALF, mask="!person")
    assert colours(lib.search(quarters, parts=above, k=8)) == {"red"}
    assert colours(lib.search(quarters, parts=below, k=8)) == {"green"}
    assert colours(lib.search(quarters, parts=above, text="green", k=16)) == {"red", "green"}
    assert colours(lib.search(f"{quarters} - text:red - text:red", parts=above, text="green", k=8)) == {"green"}


def test_box_mask_words_sum_and_filter_are_one_query(lib: Library, quarters: str) -> None:
    blue = lib.search(text="blue", k=1)[0]
    found = lib.search(
        ((1.0, quarters), (1.0, blue.id)),
        parts=Parts(box=RIGHT_HALF, mask="person"),
        text="green",
        where="label = 'red' or label = 'green'",
        k=24,
    )
    assert colours(found) == {"red", "green"}
    assert len(found) == 16  # all that meet the filter, and no more
    assert found.asked["box"] == list(RIGHT_HALF)
    assert found.asked["mask"]["found"]
    terms = found[0].evidence["terms"]
    assert list(terms) == [quarters, f"id:{blue.id}", "text:green"]
    vectors = {hit.id: hit.evidence["terms"] for hit in found}
    reds = [vectors[hit.id][quarters] for hit in found if hit.labels["label"] == "red"]
    greens = [vectors[hit.id][quarters] for hit in found if hit.labels["label"] == "green"]
    assert min(reds) > max(greens)  # the box and the mask leave red of the picture
    assert min(vectors[hit.id]["text:green"] for hit in found if hit.labels["label"] == "green") > 0.5
