"""`sosie doctor` on damaged regions: they are found anew where the picture is there, else removed, and it says so."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import sosie
from sosie.catalogue.records import digest_of
from sosie.cli import main
from tests.pictures import folder_of


class Library:
    """Twelve pictures with squares, for planting damage in."""

    def __init__(self, path: Path) -> None:
        self.folder, self.path = folder_of(path / "pictures", 12), path / "lib"
        with sosie.open(self.path) as lib:
            lib.add(self.folder, regions=["pooled"], workers=1)
            self.space = lib.extractor.existing_space("pooled").id

    def sql(self, statement: str) -> int:
        with sqlite3.connect(self.path / "catalogue.sqlite") as connection:
            changed = connection.execute(statement).rowcount
        connection.close()
        return changed

    def first_region(self, picture: int) -> str:
        """Return an SQL condition for one region's vector."""
        return f"region_id = (SELECT min(id) FROM regions WHERE content_id = {picture})"

    def regions(self) -> dict[int, list[int]]:
        with sosie.open(self.path) as lib:
            rows, _ = lib.catalogue.regions_of(
                lib.extractor.existing_space("pooled"), lib.catalogue.live_ids().tolist()
            )
        found: dict[int, list[int]] = {}
        for row in rows:
            found.setdefault(row.content_id, []).append(row.id)
        return found


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def doctor(library: Library, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict], str]:
    capsys.readouterr()
    code = main(["doctor", "-L", str(library.path), "--json", *options])
    out, err = capsys.readouterr()
    return code, json.loads(out)["findings"], err


def test_damaged_regions_are_found_and_made_anew(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(library, capsys) == (0, [], "")
    before = library.regions()
    planted = [
        f"UPDATE vectors SET vector = zeroblob(length(vector)) WHERE {library.first_region(3)}",
        f"UPDATE vectors SET vector = x'00', digest = x'{digest_of(bytes(1)).hex()}' WHERE {library.first_region(5)}",
        f"DELETE FROM vectors WHERE {library.first_region(7)}",
        "DELETE FROM regions WHERE id = (SELECT min(id) FROM regions WHERE content_id = 9)",
    ]
    assert [library.sql(each) for each in planted] == [1, 1, 1, 1]
    search = ["search", "id:1", "-L", str(library.path), "--regions", "pooled", "--json"]
    assert main(search) == 3
    assert "`sosie doctor --fix`" in capsys.readouterr().err

    code, found, _ = doctor(library, capsys)
    assert code == 1
    assert [(each["kind"], each["what"]) for each in found] == [
        ("damaged_regions", f"picture {picture}") for picture in (3, 5, 7, 9)
    ]
    code, found, _ = doctor(library, capsys, "--fix")
    assert (code, [each["mended"] for each in found]) == (0, [True] * 4)
    assert doctor(library, capsys) == (0, [], "")

    after = library.regions()
    whole = {picture: ids for picture, ids in before.items() if picture not in (3, 5, 7, 9)}
    assert whole.items() <= after.items()
    assert {picture: len(ids) for picture, ids in after.items()} == {i: len(ids) for i, ids in before.items()}
    assert main(search) == 0


def test_where_the_picture_is_away_its_regions_are_removed_and_a_note_says_so(
    library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    before = library.regions()
    library.sql(f"UPDATE vectors SET vector = zeroblob(length(vector)) WHERE {library.first_region(3)}")
    away = library.folder.with_name("away")
    library.folder.rename(away)
    _, found, err = doctor(library, capsys, "--fix")
    assert {each["kind"]: each["mended"] for each in found} == {"damaged_regions": True, "source_away": False}
    assert "picture 3 has no pooled regions now" in err
    assert "`sosie add FOLDER --regions pooled`" in err
    assert library.regions().keys() == before.keys() - {3}
    assert main(["search", "--no-verify", str(next(away.rglob("*.jpg"))), "-L", str(library.path), "--json"]) == 0

    away.rename(library.folder)
    assert main(["add", str(library.folder), "-L", str(library.path)]) == 0
    assert library.regions().keys() == before.keys()


def test_a_picture_that_was_never_given_regions_is_not_ill(
    library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    library.sql("DELETE FROM vectors WHERE content_id = 2 AND region_id > 0")
    library.sql("DELETE FROM regions WHERE content_id = 2")
    assert doctor(library, capsys) == (0, [], "")
