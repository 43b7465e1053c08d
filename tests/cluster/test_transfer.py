"""Libraries move between stores with everything that counts, and what does not arrive whole is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.cli import main
from sosie.errors import DamagedError, NewerSchema, NotFound, UsageError
from sosie.library import Library
from sosie.maintenance.transfer import export, load
from tests.cluster.conftest import Open
from tests.pictures import folder_of


def filled(folder: Path) -> Library:
    """A library in a folder with some of everything."""
    pictures = folder_of(folder / "p", 8)
    (pictures / "odd/again.jpg").write_bytes((pictures / "even/00000.jpg").read_bytes())
    (pictures / "odd/broken.jpg").write_bytes(b"no picture")
    lib = sosie.open(folder / "library", model="histogram")
    lib.add(pictures, label_from_folders=True, workers=1)
    first, second, *_ = lib.pictures()
    lib.set_labels(first.id, {"year": 1999.5, "tags": ("b", "a")})
    lib.catalogue.put_decision(first.sha256, second.sha256, "keep_both", note="two of a kind")
    return lib


def told(lib: Library) -> dict[str, object]:
    pictures = {p.sha256: {**p.to_json(), "id": None} for p in lib.pictures()}
    ids, vectors = lib.vectors()
    found = {p.id: p.sha256 for p in lib.pictures()}
    return {
        "pictures": pictures,
        "vectors": {found[i]: np.round(v, 4).tolist() for i, v in zip(ids.tolist(), vectors, strict=True)},
        "decisions": lib.catalogue.decisions(),
        "quarantine": [(row.uri, row.reason) for row in lib.quarantine()],
        "model": lib.models.in_use,
    }


def test_to_the_cluster_and_back(opened: Open, tmp_path: Path) -> None:
    with filled(tmp_path) as files, sosie.open(tmp_path / "back") as back:
        cluster = opened(model=None)
        there = export(files.catalogue, tmp_path / "there")
        assert load(cluster.catalogue, tmp_path / "there") == there
        assert there.counts == {"pictures": 8, "decisions": 1, "quarantine": 1}
        assert export(cluster.catalogue, tmp_path / "again") == there
        assert load(back.catalogue, tmp_path / "again") == there
        assert told(back) == told(cluster) == told(files)
        assert back.add(tmp_path / "p", label_from_folders=True, workers=1).unchanged == 9
        asked = files.pictures()[3]
        scores = [
            [round(hit.score, 4) for hit in lib.search(lib.catalogue.content_id(bytes.fromhex(asked.sha256)), k=5)]
            for lib in (files, cluster, back)
        ]
        assert scores[0] == scores[1] == scores[2]


def test_importing_twice_or_beside_other_pictures_changes_nothing_else(opened: Open, tmp_path: Path) -> None:
    cluster = opened()
    cluster.add(folder_of(tmp_path / "other", 4, first=6), labels={"mine": "yes"}, workers=1)  # two of them are known
    with filled(tmp_path) as files:
        export(files.catalogue, tmp_path / "out")
    for _ in range(2):
        load(cluster.catalogue, tmp_path / "out")
    assert cluster.stats()["pictures"] == 10 and len(cluster.pictures(where="mine")) == 4


def test_regions_come_along(opened: Open, tmp_path: Path) -> None:
    pictures = folder_of(tmp_path / "p", 4)
    with sosie.open(tmp_path / "library") as files, sosie.open(tmp_path / "back") as back:
        files.add(pictures, regions=["pooled"], workers=1)
        there = export(files.catalogue, tmp_path / "out")
        assert there.counts == {"pictures": 4, "regions": 4}
        cluster = opened(model=None)
        for _ in range(2):
            assert load(cluster.catalogue, tmp_path / "out") == there
        assert cluster.extractor.kinds == ("pooled",)
        assert cluster.add(pictures, workers=1).unchanged == 4
        assert export(cluster.catalogue, tmp_path / "again") == there
        assert load(back.catalogue, tmp_path / "again") == there


def test_the_commands_move_a_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path).close()
    assert main(["export", str(tmp_path / "out"), "--library", str(tmp_path / "library"), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert main(["import", str(tmp_path / "out"), "--library", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == out
    assert main(["export", str(tmp_path / "out"), "--library", str(tmp_path / "library")]) == 2


def test_others_can_read_the_files(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    with filled(tmp_path) as lib:
        export(lib.catalogue, tmp_path / "out")
        table = pq.read_table(tmp_path / "out/pictures.parquet").to_pylist()
        vector = dict(zip((p.sha256 for p in lib.pictures()), lib.vectors()[1], strict=True))
    for row in table:
        np.testing.assert_allclose(row["vector histogram@1/semantic/whole"], vector[row["sha256"]], atol=1e-3)


def damage(folder: Path, how: str) -> None:
    manifest = folder / "manifest.json"
    document = json.loads(manifest.read_text())
    match how:
        case "byte":
            data = bytearray((folder / "pictures.parquet").read_bytes())
            data[len(data) // 2] ^= 1
            (folder / "pictures.parquet").write_bytes(data)
        case "file":
            (folder / "decisions.parquet").unlink()
        case "manifest":
            manifest.write_text("{")
        case "none":
            manifest.unlink()
        case "version":
            manifest.write_text(json.dumps({**document, "version": 99}))
        case "digest":
            document["digests"]["pictures"] = "0" * 32
            manifest.write_text(json.dumps(document))
        case "count":
            document["counts"]["pictures"] = 9
            manifest.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("byte", DamagedError, "missing or damaged"),
        ("file", DamagedError, "missing or damaged"),
        ("manifest", DamagedError, "cannot be understood"),
        ("none", NotFound, "sosie export"),
        ("version", NewerSchema, "newer"),
        ("digest", DamagedError, "not those that were exported"),
        ("count", DamagedError, "8 of 9 pictures"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, how: str, error: type[Exception], words: str) -> None:
    with filled(tmp_path) as lib:
        export(lib.catalogue, tmp_path / "out")
        damage(tmp_path / "out", how)
        with sosie.open(tmp_path / "new") as new, pytest.raises(error, match=words):
            load(new.catalogue, tmp_path / "out")
        with pytest.raises(UsageError, match="not empty"):
            export(lib.catalogue, tmp_path / "out")
