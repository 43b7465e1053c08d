"""A library is a container of records: sized, iterable, asked with ``in`` and ``[id]``, shown, closed once."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.errors import LibraryClosed, UnknownName, WrongType
from sosie.maintenance import pictures
from tests.pictures import folder_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("container") / "pictures", 7)


@pytest.fixture(scope="module")
def lib(folder: Path) -> Iterator[sosie.Library]:
    with sosie.open(folder.parent / "library", model="histogram") as opened:
        opened.add(folder, workers=1, labels={"colour": "red"})
        opened.set_labels(1, {"n": 3, "colour": None, "tags": ["a", "b"]})
        yield opened


def test_it_has_a_length_and_is_true_when_it_is_empty(lib: sosie.Library, tmp_path: Path) -> None:
    assert len(lib) == 7
    with sosie.open(tmp_path / "empty", model="histogram") as empty:
        assert len(empty) == 0 and empty


def test_it_holds_ids_hits_records_and_places(lib: sosie.Library, folder: Path) -> None:
    hit = lib.search(2, k=1)[0]
    place = next(iter(sorted(folder.rglob("*.*"))))
    for known in (1, hit, lib[3], place, str(place), place.as_uri()):
        assert known in lib
    for unknown in (99, -1, True, "nowhere.jpg", folder / "nowhere.jpg", 1.0, None, object()):
        assert unknown not in lib


def test_a_record_by_its_id(lib: sosie.Library) -> None:
    assert lib[3] == lib.picture(3)
    with pytest.raises(KeyError, match="no picture 99"):
        lib[99]
    with pytest.raises(WrongType, match="known by its id"):
        lib["a.jpg"]  # type: ignore[index]
    assert issubclass(UnknownName, KeyError)


def test_iterating_reads_a_page_at_a_time(lib: sosie.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_PAGE", 3)
    read: list[int] = []
    one_page = lib.catalogue.pictures
    monkeypatch.setattr(lib.catalogue, "pictures", lambda ids: (read.append(len(ids)), one_page(ids))[1])
    records = iter(lib)
    assert next(records).id == 1 and read == [3]
    assert [record.id for record in records] == [2, 3, 4, 5, 6, 7]
    assert read == [3, 3, 1, 0]


def test_it_says_what_it_is(lib: sosie.Library) -> None:
    assert repr(lib) == f"<Library {str(lib.path)!r}: 7 pictures>"
    card = lib._repr_html_()
    assert card is not None and "<td>7</td>" in card and "<td>histogram</td>" in card


def test_its_card_shows_names_as_text(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "<script>alert(1)", model="histogram") as hostile:
        card = hostile._repr_html_()
        assert card is not None and "<script" not in card and "&lt;script&gt;" in card


def test_a_closed_library_refuses_everything_alike(folder: Path, tmp_path: Path) -> None:
    lib = sosie.open(tmp_path / "library", model="histogram")
    lib.add(folder, workers=1)
    assert len(lib.search(1)) == 6
    lib.close()
    lib.close()
    for use in (
        lambda: lib.search(1),
        lambda: lib.search(folder / "0.png"),
        lambda: len(lib),
        lambda: lib[1],
        lambda: list(lib),
        lambda: lib.add(folder),
        lambda: lib.embed(1),
        lib.labels,
        lambda: lib.thumbnail(1),
        lib.view,
        lib.stats,
        lambda: lib.set_labels(1, {"a": "b"}),
    ):
        with pytest.raises(LibraryClosed, match=r"was closed: open it again with sosie\.open"):
            use()
    assert repr(lib) == f"<Library {str(lib.path)!r}, closed>" and lib._repr_html_() is None


def test_results_and_hits_are_pickled_and_copied(lib: sosie.Library) -> None:
    result = lib.search(1, k=3)
    again = pickle.loads(pickle.dumps(result))
    assert again == result and [hit.id for hit in again] == [hit.id for hit in result]
    assert again._repr_html_() is None and result._repr_html_() is not None
    assert pickle.loads(pickle.dumps(result[0])) == result[0]
    assert copy.deepcopy(result) == result == copy.copy(result)
    assert pickle.loads(pickle.dumps(lib[1])) == lib[1]


def test_a_pickled_library_opens_itself_again(lib: sosie.Library) -> None:
    with pickle.loads(pickle.dumps(lib)) as again:
        assert again is not lib and again.search(1, k=3).hits == lib.search(1, k=3).hits


def _ids(lib: sosie.Library, query: str) -> list[int]:
    return [hit.id for hit in lib.search(query, k=5)]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_another_process_searches_it(method: str, lib: sosie.Library, folder: Path) -> None:
    query = str(next(iter(sorted(folder.rglob("*.*")))))
    expected = _ids(lib, query)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply_async(_ids, (lib, query)).get(120) == expected
    assert _ids(lib, query) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_searches_and_leaves_its_parent_alone(lib: sosie.Library, folder: Path) -> None:
    query = str(next(iter(sorted(folder.rglob("*.*")))))
    expected = _ids(lib, query)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has its own
        signal.alarm(60)  # rather than wait for ever
        try:
            os.write(writes, repr(_ids(lib, query)).encode())
            lib.set_labels(2, {"by": "the child"})
            lib.close()
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads) as told:
        assert told.read() == repr(expected)
    assert _ids(lib, query) == expected and lib[2].labels["by"] == "the child"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_does_not_wait_for_threads_that_did_not_survive_it(lib: sosie.Library) -> None:
    faiss = pytest.importorskip("faiss")
    vectors = np.random.default_rng(0).random((20_000, 64), np.float32)
    index = faiss.IndexFlatIP(64)
    index.add(vectors)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    index.search(vectors[:200], 10)  # which starts the threads
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has its own
        signal.alarm(30)
        len(lib)
        index.search(vectors[:200], 10)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    faiss.omp_set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_was_closed_stays_closed_in_a_fork(tmp_path: Path) -> None:
    lib = sosie.open(tmp_path / "library", model="histogram")
    lib.close()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            len(lib)
        except LibraryClosed:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_columns_of_hits_and_pictures(lib: sosie.Library) -> None:
    pandas = pytest.importorskip("pandas")
    result = lib.search(1, k=3)
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.id) == [hit.id for hit in result] and list(frame.verdict) == [str(hit.verdict) for hit in result]
    assert list(frame["labels.colour"]) == ["red"] * 3
    every = lib.to_pandas()
    assert list(every.id) == [1, 2, 3, 4, 5, 6, 7] and every["labels.tags"][0] == ["a", "b"]
    assert lib.columns(where="colour = 'red'")["id"] == [2, 3, 4, 5, 6, 7]
    none = lib.search(1, k=3, where="colour = 'red'", min_likeness=1.0).to_pandas()
    assert len(none) == 0 and "score" in none.columns


def test_arrow_takes_results_and_libraries_as_they_are(lib: sosie.Library) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    lib.set_labels(2, {"n": "some"})  # a number of another picture
    lib.set_labels(3, {"tags": "c"})
    table = pyarrow.table(lib)
    assert table["id"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    assert table["labels.n"].to_pylist()[:3] == ["3", "some", None]
    assert table["labels.tags"].to_pylist()[:3] == [["a", "b"], None, ["c"]]
    assert pyarrow.table(lib.search(1, k=2)).num_rows == 2


def test_polars_takes_them_too(lib: sosie.Library) -> None:
    polars = pytest.importorskip("polars")
    assert lib.search(1, k=2).to_polars()["id"].len() == 2
    assert polars.DataFrame(lib)["id"].to_list() == [1, 2, 3, 4, 5, 6, 7]
