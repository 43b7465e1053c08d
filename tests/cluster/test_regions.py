"""Parts of pictures are found on a cluster as they are in a folder."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.analysis.regions import WHOLE
from sosie.catalogue import AddRegions
from sosie.catalogue.elastic.region_documents import MOST, regions
from sosie.cli import main
from sosie.errors import UsageError
from sosie.library import Library
from sosie.maintenance.transfer import export, load
from tests.cluster.conftest import Open
from tests.detectors import write_network
from tests.painted import paint
from tests.pictures import folder_of

K = 10
BOX = (0.2, 0.1, 0.6, 0.7)


def packed(folder: Path, shared: Path, *, classes: int = 12, each: int = 5) -> Path:
    """Copy some pictures of Caltech-101, one folder a class."""
    pack = shared / "data/caltech101-dev"
    by_class: dict[str, list[str]] = {}
    with (pack / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            by_class.setdefault(row["label"], []).append(row["path"])
    for label in sorted(by_class)[:classes]:
        (folder / label).mkdir(parents=True)
        for path in sorted(by_class[label])[:each]:
            shutil.copy(pack / path, folder / label)
    return folder


def seeing(folder: Path) -> str:
    """Write a detector that sees a cat on the left and a dog on the right of every square picture."""
    rows = np.array([[16, 32, 24, 48, 0.9, 0], [48, 32, 24, 48, 0, 0.6]], np.float32)
    return str(write_network(folder, {"output0": rows.T[None]}, like="yolov8", classes=["cat", "dog"]))


def answers(lib: Library, asked: object, **how: object) -> list[tuple[str, float, object]]:
    return [(hit.uri, hit.score, hit.region) for hit in lib.search(asked, k=K, verify=False, **how)]  # type: ignore[arg-type]


def test_the_top_ten_by_parts_are_those_of_sqlite(opened: Open, tmp_path: Path, sosie_shared: Path) -> None:
    pictures = packed(tmp_path / "p", sosie_shared)
    with sosie.open(tmp_path / "library") as files:
        files.add(pictures, label_from_folders=True, regions=["pooled"], workers=1)
        export(files.catalogue, tmp_path / "out")
        cluster = opened(model=None)
        load(cluster.catalogue, tmp_path / "out")
        same = asked = 0
        for path in sorted(pictures.rglob("*.jpg"))[::4]:
            for how in ({"regions": ["pooled"]}, {"box": BOX}, {"box": BOX, "where": "label < 'b'"}):
                expected, got = answers(files, path, **how), answers(cluster, path, **how)
                np.testing.assert_allclose([s for _, s, _ in got], [s for _, s, _ in expected], atol=1e-4)
                same += {uri for uri, _, _ in got} == {uri for uri, _, _ in expected}
                asked += 1
        assert asked == 45 and same >= 0.97 * asked


def test_the_commands_find_parts_on_an_address(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(tmp_path / "p", 2)
    kinds = ["--regions", "objects", "--regions", "pooled", "--detector", seeing(tmp_path)]
    assert main(["add", str(tmp_path / "p"), "--library", address, *kinds]) == 0
    capsys.readouterr()
    assert main(["add", str(tmp_path / "p"), "--library", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"] == 6
    query = str(tmp_path / "p/red/00.png")
    assert main(["search", query, "--library", address, "--regions", "objects", "--json"]) == 0
    first, *_ = json.loads(capsys.readouterr().out)["hits"]
    assert first["uri"].endswith("red/00.png") and set(first["evidence"]["parts"]) == {"whole", "objects"}
    assert first["region"] == pytest.approx([0.0625, 0.125, 0.375, 0.75])
    assert main(["search", query, "--library", address, "--box", "0,0,0.5,1", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert len(hits) == 6 and all(set(hit["evidence"]["parts"]) == {"whole", "objects"} for hit in hits)


def test_regions_come_along_into_another_version(opened: Open, tmp_path: Path) -> None:
    lib = opened(model=None)
    lib.add(folder_of(tmp_path / "p", 6), regions=["pooled"], workers=1)
    space, ids = lib.extractor.existing_space("pooled"), lib.catalogue.live_ids().tolist()
    rows, vectors = lib.catalogue.regions_of(space, ids)
    before = answers(lib, tmp_path / "p/even/00002.jpg", regions=["pooled"])
    lib.catalogue.rebuild("flat")
    again, same = lib.catalogue.regions_of(space, ids)
    assert again == rows and np.array_equal(same, vectors) and {row.content_id for row in rows} == set(ids)
    assert answers(lib, tmp_path / "p/even/00002.jpg", regions=["pooled"]) == before


def test_more_regions_than_ids_tell_apart_are_refused() -> None:
    assert len(regions(AddRegions("objects", [WHOLE] * MOST, np.ones((MOST, 2))))) == MOST
    with pytest.raises(UsageError, match="at most 1,023 regions"):
        regions(AddRegions("objects", [WHOLE] * (MOST + 1), np.ones((MOST + 1, 2))))
