"""A bit that flips in a row of places, labels or decisions is an error, never an answer; the doctor names it."""

from __future__ import annotations

import random
import runpy
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.errors import DamagedError
from sosie.library import Library
from sosie.maintenance.checkup import examine
from tests.pictures import folder_of

FLIPS = {
    "damaged_refusal": "UPDATE quarantine SET reason = 'other'",
    "damaged_record": "UPDATE records SET value = '{\"seen\": [7]}' WHERE key = 'noted'",
    "damaged_fact": "UPDATE facts SET text = 'other'",
    "damaged_log": "UPDATE log SET actor = 'other'",
    "damaged_row": "UPDATE contents SET added_at = added_at + 1 WHERE id = 1",
    "damaged_place": "UPDATE locations SET gone_at = 5 WHERE content_id = 1",
    "damaged_label": "UPDATE labels SET text = 'cow' WHERE content_id = 1 AND name = 'label'",
    "damaged_decision": "UPDATE decisions SET decision = 'keep_both'",
}


def library_of(folder: Path) -> Library:
    lib = sosie.open(folder / "library", model="histogram")
    (folder_of(folder / "pictures", 4) / "no.jpg").write_bytes(b"text")
    lib.add(folder / "pictures", workers=1)
    lib.set_labels(1, {"label": "cat", "year": 1999.5})
    lib.catalogue.put_facts({1: {"exif.camera": ("Model",)}})
    lib.catalogue.put_record("noted", {"seen": [1]})
    lib.catalogue.append_log("somebody", "added")
    first, second = (record.sha256 for record in lib.pictures()[:2])
    lib.catalogue.put_decision(first, second, "not_a_copy", at=20)
    return lib


def read_all(lib: Library) -> object:
    store, pictures = lib.catalogue, lib.pictures()
    located = [store.located(uri) for record in pictures for uri in record.uris]
    rest = lib.quarantine(), store.record("noted"), store.facts_of([1]), lib.catalogue.log()
    return pictures, store.all_labels(), store.decisions(), located, rest


@pytest.mark.parametrize("kind", FLIPS)
def test_a_row_that_was_changed_is_refused_found_and_forgotten(tmp_path: Path, kind: str) -> None:
    with library_of(tmp_path) as lib:
        assert read_all(lib) == read_all(lib)
        lib.catalogue.connection().execute(FLIPS[kind])
        with pytest.raises(DamagedError, match="sosie doctor"):
            read_all(lib)
        assert {finding.kind for finding in examine(lib)} - {"unreadable"} == {kind}
    assert main(["doctor", "--fix", "--library", str(tmp_path / "library")]) == 0
    with sosie.open(tmp_path / "library") as lib:
        read_all(lib)
        assert not list(examine(lib))


def test_flipped_bits_of_values_are_never_answers(tmp_path: Path) -> None:
    with library_of(tmp_path) as lib:
        before, path = read_all(lib), lib.catalogue.path
    data, rng, silent = path.read_bytes(), random.Random(7), 0
    with closing(sqlite3.connect(path)) as file:
        texts = [row[0].encode() for row in file.execute("SELECT uri FROM locations UNION SELECT text FROM labels")]
    places = [
        at for text in texts for first in [data.find(text)] for at in range(first, first + len(text)) if first > 0
    ]
    for at in rng.sample(places, 12):
        flipped = bytearray(data)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        try:
            with sosie.open(tmp_path / "library", read_only=True) as lib:
                # a row that an index page does not lead to any more is missed, and the doctor says so
                silent += read_all(lib) != before and not list(examine(lib))
        except DamagedError:
            pass
    assert silent == 0


def test_a_section_that_breaks_off_is_a_finding_and_the_others_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[int]:
        raise IndexError("planted")

    with library_of(tmp_path) as lib:
        lib.catalogue.connection().execute(FLIPS["damaged_label"])
        monkeypatch.setattr("sosie.maintenance.checkup.check.orphans", broken)
        assert [finding.kind for finding in examine(lib)] == ["unreadable", "damaged_label"]


def test_random_flips_are_errors_or_findings(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "flips.py"
    found = runpy.run_path(str(script))["run"](25, 7, tmp_path)
    assert (found["silent"], found["crashes"]) == (0, 0), found["examples"]
    assert found["refused"] > 5
