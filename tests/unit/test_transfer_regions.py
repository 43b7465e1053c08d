"""Regions move with their library, and what does not arrive whole is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.catalogue import AddRegions
from sosie.cli import main
from sosie.errors import DamagedError
from sosie.library import Library
from sosie.maintenance.transfer import export, load
from sosie.types import Region
from tests.pictures import folder_of

SEEN = [Region((0.1, 0.2, 0.3, 0.4), "cat", 0.87), Region((0.5, 0.5, 0.25, 0.5), "dog", 0.4)]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Eight pictures with squares; two have objects as well, as a detector would have found them."""
    with sosie.open(tmp_path / "library") as lib:
        lib.add(folder_of(tmp_path / "pictures", 8), regions=["pooled"], workers=1)
        spec = lib.embedder.spec
        [space] = lib.catalogue.ensure_spaces(spec, regions="objects:mine-12345678", heads=spec.heads[:1])
        vectors = np.random.default_rng(0).standard_normal((2, space.dim)).astype(np.float32)
        lib.catalogue.replace_regions([(i, space, AddRegions(space.regions, SEEN, vectors)) for i in (2, 5)])
        lib.catalogue.put_record("fusion", {"pooled": {"share": 0.25, "area": 0.0, "sure": 0.0, "trust": 0.0}})
        yield lib


def told(lib: Library) -> dict[str, dict[str, list[object]]]:
    """Return by space and picture what was found there, with the vectors."""
    names = {record.id: record.sha256 for record in lib.pictures()}
    found: dict[str, dict[str, list[object]]] = {}
    for space in lib.catalogue.spaces():
        if space.regions != "whole":
            rows, vectors = lib.catalogue.regions_of(space, sorted(names))
            for row, vector in zip(rows, vectors, strict=True):
                mine = found.setdefault(space.name, {}).setdefault(names[row.content_id], [])
                mine.append((row.region, vector.tolist()))
    return found


def test_regions_arrive_with_their_boxes_classes_and_vectors(library: Library, tmp_path: Path) -> None:
    written = export(library.catalogue, tmp_path / "out")
    assert written.counts["regions"] == 8 + 2
    with sosie.open(tmp_path / "new") as new:
        assert load(new.catalogue, tmp_path / "out") == written
        assert told(new) == told(library)
        assert new.extractor.kinds == ("pooled",)
        query = (tmp_path / "pictures" / "odd" / "00003.jpg").read_bytes()
        answers = [
            [(hit.uri, hit.region, hit.score) for hit in lib.search(query, regions=["pooled"], verify=False)]
            for lib in (library, new)
        ]
        assert answers[0] == answers[1]
        assert new.add(tmp_path / "pictures", workers=1).unchanged == 8  # nothing lacks

        space = new.extractor.existing_space("pooled")
        ids = new.catalogue.live_rows(space).tolist()
        assert load(new.catalogue, tmp_path / "out") == written
        assert new.catalogue.live_rows(space).tolist() == ids  # nothing was written twice
        assert export(new.catalogue, tmp_path / "again") == written


def test_regions_take_the_place_of_others_of_their_kind(library: Library, tmp_path: Path) -> None:
    export(library.catalogue, tmp_path / "out")
    before = told(library)
    [space] = [each for each in library.catalogue.spaces() if each.regions.startswith("objects:")]
    other = AddRegions(space.regions, SEEN[:1], np.ones((1, space.dim), np.float32))
    library.catalogue.replace_regions([(2, space, other)])
    assert told(library) != before
    load(library.catalogue, tmp_path / "out")
    assert told(library) == before


def test_a_damaged_export_is_refused(library: Library, tmp_path: Path) -> None:
    export(library.catalogue, tmp_path / "out")
    path = tmp_path / "out" / "regions.parquet"
    sound = path.read_bytes()
    path.write_bytes(sound[:-200] + bytes(100) + sound[-100:])
    with sosie.open(tmp_path / "new") as new:
        with pytest.raises(DamagedError, match=r"regions\.parquet is missing or damaged"):
            load(new.catalogue, tmp_path / "out")
        path.unlink()
        with pytest.raises(DamagedError, match=r"regions\.parquet is missing or damaged"):
            load(new.catalogue, tmp_path / "out")
        path.write_bytes(sound)
        manifest = tmp_path / "out" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"regions": 10', '"regions": 11'))
        with pytest.raises(DamagedError, match="10 of 11 regions arrived"):
            load(new.catalogue, tmp_path / "out")


def test_damaged_regions_are_not_exported(library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(library.catalogue.path) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE region_id = 9")
    connection.close()
    assert main(["export", str(tmp_path / "out"), "--library", str(library.path)]) == 3
    assert "region 9" in capsys.readouterr().err
    assert main(["doctor", "--fix", "--library", str(library.path)]) == 0
    assert main(["export", str(tmp_path / "sound"), "--library", str(library.path)]) == 0


def test_what_an_older_sosie_exported_is_read(library: Library, tmp_path: Path) -> None:
    export(library.catalogue, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    for part in (manifest["counts"], manifest["digests"], manifest):
        del part["regions"]
    del manifest["files"]["regions.parquet"]
    path.write_text(json.dumps({**manifest, "version": 1}))
    (tmp_path / "out" / "regions.parquet").unlink()
    with sosie.open(tmp_path / "new") as new:
        assert load(new.catalogue, tmp_path / "out").counts == {"pictures": 8}


def test_records_that_no_export_carries_are_left_out(library: Library, tmp_path: Path) -> None:
    export(library.catalogue, tmp_path / "export")
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    evil = {"pictures": {"holiday.jpg": "/etc/passwd"}, "seen": 0}
    manifest["records"] |= {"watch": evil, "server/keys": {"keys": []}, "library": {"model": "/tmp/evil.json"}}
    (tmp_path / "export" / "manifest.json").write_text(json.dumps(manifest))
    with sosie.open(tmp_path / "other") as other:
        load(other.catalogue, tmp_path / "export")
        assert other.catalogue.record("watch") is None and other.catalogue.record("server/keys") is None
        assert other.models.in_use == "bundled" and other.catalogue.record("fusion") is not None


def test_a_watched_name_that_leads_elsewhere_removes_nothing(library: Library, tmp_path: Path) -> None:
    victim = tmp_path / "thesis.txt"
    victim.write_text("the only copy")
    library.catalogue.put_record("watch", {"pictures": {"holiday.jpg": str(victim)}, "seen": 0})
    assert main(["watch", "remove", "holiday.jpg", "--library", str(library.path)]) == 0
    assert victim.exists()
