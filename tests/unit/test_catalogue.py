"""The catalogue: what is written is read back, and nothing else is trusted."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sosie.catalogue import AddContent, AddLocation, AddQuarantine, Catalogue, ContentRow, PictureRecord, schema
from sosie.embedders.histogram import HistogramEmbedder
from sosie.errors import DamagedError, LibraryBusy, NewerSchema, NotFound, UsageError
from sosie.types import ImageRef, LabelValue, Verdict

ROOT = "file:///pictures/"


def row(n: int) -> ContentRow:
    return ContentRow(bytes([n]) * 32, 100, "JPEG", 30, 20, bytes([n]) * 16, bytes([n]) * 32, 80, 2, 1)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    opened = Catalogue(tmp_path / "catalogue.sqlite")
    yield opened
    opened.close()


def add(catalogue: Catalogue, *numbers: int, **labels: str) -> None:
    space = catalogue.ensure_spaces(HistogramEmbedder.spec)[0]
    vector = np.zeros(space.dim, np.float32)
    vector[0] = 1
    changes = [AddContent(row(n), ImageRef(f"{ROOT}{n}.jpg", labels, 1, 2, 3), {space.id: vector}) for n in numbers]
    catalogue.apply(changes, root=ROOT)


def test_a_picture_is_found_by_its_place_its_bytes_and_its_pixels(catalogue: Catalogue) -> None:
    add(catalogue, 7, label="cat")
    content_id = catalogue.content_id(bytes([7]) * 32)
    assert catalogue.located(f"{ROOT}7.jpg").content_id == content_id
    assert catalogue.same(None, bytes([7]) * 16) == {content_id: Verdict.SAME_PIXELS}
    assert catalogue.pictures([content_id])[0].labels == {"label": "cat"}


_names = st.text(min_size=1, max_size=6)
_values = st.one_of(
    st.text(max_size=6),
    st.floats(allow_nan=False),
    st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=3, unique=True).map(
        lambda found: tuple(sorted(found))
    ),
)


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    labels=st.dictionaries(_names, _values, max_size=4),
    place=st.text(max_size=8),
    at=st.floats(min_value=1, max_value=4e9),
)
@example(
    labels={"a\0b": 'c\0"\\\u2028', "n": 0.1 + 0.2, "m": 1.7976931348623025e308},
    place="\0'\"\U0001f4f7",
    at=1700000000.1234567,
)
def test_records_come_back_as_they_were_written(
    catalogue: Catalogue, labels: dict[str, LabelValue], place: str, at: float
) -> None:
    catalogue.remove([1])
    with catalogue.transaction() as connection:
        connection.execute("DELETE FROM sqlite_sequence")  # the next is number 1 again
    uri = f"{ROOT}{place}"
    catalogue.apply([AddContent(row(1), ImageRef(uri, labels, 1, 2, 3), {}, added_at=at)], root=ROOT)
    record = catalogue.pictures([404, 1])[0]
    assert record == PictureRecord(1, row(1).sha256.hex(), 100, "JPEG", 30, 20, (uri,), labels, at)


def test_within_a_steady_block_the_epoch_is_asked_for_once(catalogue: Catalogue) -> None:
    before = catalogue.epoch()
    with catalogue.steady():
        add(catalogue, 1)
        assert catalogue.epoch() == before
        other = threading.Thread(target=lambda: seen.append(catalogue.epoch()))
        seen: list[int] = []
        other.start()
        other.join()
    assert seen[0] > before and catalogue.epoch() == seen[0]


def test_vectors_come_back_in_the_order_of_their_ids(catalogue: Catalogue) -> None:
    add(catalogue, 1, 2, 3)
    space = catalogue.spaces()[0]
    ids, vectors = catalogue.vectors(space, after=1)
    assert ids.tolist() == [2, 3]
    assert vectors.shape == (2, space.dim)
    assert vectors[:, 0].tolist() == [1, 1]


def test_the_same_bytes_at_two_places_are_one_picture(catalogue: Catalogue) -> None:
    add(catalogue, 1)
    catalogue.apply([AddLocation(bytes([1]) * 32, ImageRef(f"{ROOT}copy.jpg"))], root=ROOT)
    assert catalogue.counts()["pictures"] == 1
    assert len(catalogue.pictures([1])[0].uris) == 2


def test_a_picture_without_a_place_is_not_live(catalogue: Catalogue) -> None:
    add(catalogue, 1, 2)
    catalogue.drop_locations([f"{ROOT}1.jpg"])
    assert catalogue.live_ids().tolist() == [2]


def test_an_id_is_never_used_twice(catalogue: Catalogue) -> None:
    add(catalogue, 1, 2)
    catalogue.remove([2])
    add(catalogue, 3)
    assert catalogue.content_id(bytes([3]) * 32) == 3


def test_what_is_half_written_is_not_written(catalogue: Catalogue) -> None:
    add(catalogue, 1)
    no_such_space = {99: np.zeros(3, np.float32)}
    with pytest.raises(sqlite3.IntegrityError):
        catalogue.apply([AddContent(row(2), ImageRef("x"), no_such_space)], root=ROOT)
    assert catalogue.content_id(bytes([2]) * 32) is None
    assert catalogue.counts()["pictures"] == 1


def test_quarantine_counts_tries_and_ends_when_the_picture_is_indexed(catalogue: Catalogue) -> None:
    ref = ImageRef(f"{ROOT}5.jpg", {}, 1, 2, 3)
    for _ in range(2):
        catalogue.apply([AddQuarantine(ref, "truncated", "")], root=ROOT)
    assert [(r.reason, r.tries) for r in catalogue.quarantine()] == [("truncated", 2)]
    add(catalogue, 5)
    assert catalogue.quarantine() == []


def test_every_commit_moves_the_epoch_on(catalogue: Catalogue) -> None:
    before = catalogue.epoch()
    add(catalogue, 1)
    assert catalogue.epoch() > before


def test_a_decision_is_kept_by_content_and_can_be_undone(catalogue: Catalogue) -> None:
    catalogue.put_decision("02" * 32, "01" * 32, "not_a_copy", note="two sunsets")
    assert [(d.a, d.b, d.decision) for d in catalogue.decisions()] == [("01" * 32, "02" * 32, "not_a_copy")]
    assert catalogue.drop_decision("01" * 32, "02" * 32)
    assert catalogue.decisions() == []


def test_an_unknown_decision_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="not_a_copy"):
        catalogue.put_decision("02" * 32, "01" * 32, "perhaps")


# ------------------------------------------------------------------------------------------------ damage


def test_a_vector_that_was_tampered_with_is_not_searched(catalogue: Catalogue, tmp_path: Path) -> None:
    add(catalogue, 1)
    space = catalogue.spaces()[0]
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as other:
        other.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
    with pytest.raises(DamagedError, match="picture 1"):
        catalogue.vectors(space)


def test_a_row_that_was_tampered_with_is_not_believed(catalogue: Catalogue, tmp_path: Path) -> None:
    add(catalogue, 1)
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as other:
        other.execute("UPDATE contents SET width = 31")
    with pytest.raises(DamagedError, match="picture 1"):
        catalogue.content(1)


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DamagedError, match="damaged"):
        Catalogue(tmp_path / "catalogue.sqlite")


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(NewerSchema, match="upgrade"):
        Catalogue(path)
    assert path.read_bytes() == before


def test_a_library_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="sosie add"):
        Catalogue(tmp_path / "catalogue.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count open files")
def test_threads_that_ended_keep_no_file_open(catalogue: Catalogue) -> None:
    def opened() -> int:
        mine = str(catalogue.path.resolve())
        return sum(os.readlink(f"/proc/self/fd/{number}").startswith(mine) for number in _numbers())

    for _ in range(40):
        thread = threading.Thread(target=catalogue.counts)
        thread.start()
        thread.join()
    assert opened() < 12  # a connection holds three


def _numbers() -> list[int]:
    # the listing itself is one more, and gone when it is looked at
    return [int(name) for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]


# ------------------------------------------------------------------------------------------------ two processes


def _hold(path: Path, held: object, release: object) -> None:
    catalogue = Catalogue(path)
    with catalogue.writing("a long import"):
        held.set()
        release.wait(120)


def test_a_second_writer_is_told_who_holds_the_library(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    catalogue = Catalogue(path)
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, held, release))
    other.start()
    assert held.wait(120)
    try:
        with pytest.raises(LibraryBusy, match=f"a long import, pid {other.pid}"), catalogue.writing("me", wait=0.1):
            pass
        assert catalogue.counts()["pictures"] == 0  # readers are never blocked
    finally:
        release.set()
        other.join(120)
    with catalogue.writing("me", wait=5):
        pass
