"""What a search by parts holds in memory is what the catalogue holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sosie
from sosie.regions.table import Table
from tests.pictures import folder_of


def table(ids: list[int], owners: list[int]) -> Table:
    return Table.of(np.array(ids), np.array(owners), np.ones(len(ids), np.float32))


def test_rows_come_picture_by_picture_even_where_an_older_picture_got_its_regions_last() -> None:
    known = table([1, 2, 5, 6, 7], [8, 8, 9, 9, 3])
    assert known.rows_of(np.array([3, 4, 9])).tolist() == [4, 2, 3]
    assert known.rows_of(np.array([4])).tolist() == []
    assert known.owners_of(np.array([[7, 4], [-1, 1]])).tolist() == [[3, -1], [-1, 8]]
    assert known.below(np.array([3, 8])).tolist() == [1, 2, 7]


def test_a_table_grows_and_one_of_nothing_has_no_rows() -> None:
    nothing = table([], [])
    assert nothing.rows_of(np.array([1])).tolist() == [] and nothing.owners_of(np.array([-1, 4])).tolist() == [-1, -1]
    grown = nothing.grown(table([4], [2])).grown(table([6], [1]))
    assert grown.rows_of(np.array([1, 2])).tolist() == [1, 0]
    assert grown.grown(nothing) is grown


def held(lib: sosie.Library) -> list[tuple[int, int]]:
    """Compare memory with the catalogue, and return the regions and their pictures."""
    space = lib.extractor.existing_space("pooled")
    view, ids = lib.view(space), lib.catalogue.live_ids()
    found, (rows, vectors) = view.regions_of(ids), lib.catalogue.regions_of(space, ids.tolist())
    assert found.ids.tolist() == [row.id for row in rows]
    assert found.owners.tolist() == [row.content_id for row in rows]
    np.testing.assert_array_equal(found.vectors, vectors)
    np.testing.assert_array_equal(found.sure, 1)  # nobody judged a square
    assert lib.catalogue.regions(space, found.ids.tolist()) == {row.id: row for row in rows}
    assert sorted(found.ids.tolist()) == lib.catalogue.live_rows(space).tolist()
    return list(zip(found.ids.tolist(), found.owners.tolist(), strict=True))


def test_memory_follows_what_is_added_removed_and_looked_at_again(tmp_path: Path) -> None:
    pictures = folder_of(tmp_path / "pictures", 12)
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(pictures, regions=["pooled"], workers=1)
        first = held(lib)
        lib.indexes.build("exact", space=lib.extractor.existing_space("pooled"))
        assert held(lib) == first

        lib.remove([1])
        assert [pair for pair in first if pair[1] != 1] == held(lib)
        lib.add(pictures, workers=1)  # it comes back under an id of its own
        again = held(lib)
        assert len(again) == len(first)
        assert max(owner for _, owner in again) == 13

        with lib.catalogue.writing("a test"), lib.catalogue.transaction("a test") as connection:
            connection.execute("DELETE FROM vectors WHERE content_id = 2")
            connection.execute("DELETE FROM regions WHERE content_id = 2")
        lib.add(pictures, again=True, workers=1)  # an older picture gets its regions last
        late = held(lib)
        assert len(late) == len(first)
        assert min(region for region, owner in late if owner == 2) > max(region for region, _ in again)


def test_a_filter_lets_the_regions_of_its_pictures_through(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(folder_of(tmp_path / "pictures", 12), regions=["pooled"], label_from_folders=True, workers=1)
        lib.set_labels(3, {"shade": "dark"})
        lib.set_labels(7, {"shade": "dark"})
        space, condition = lib.extractor.existing_space("pooled"), lib.catalogue.condition("shade = 'dark'")
        allowed = lib.view(space).allowed(condition)
        assert allowed.tolist() == lib.catalogue.live_rows(space, condition).tolist()
        assert {row.content_id for row in lib.catalogue.regions(space, allowed.tolist()).values()} == {3, 7}
        found = lib.search(3, regions=["pooled"], where="shade = 'dark'")
        assert [hit.id for hit in found] == [7]
