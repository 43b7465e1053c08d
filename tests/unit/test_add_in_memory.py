"""DataFrames, lists of paths and pictures in memory are added like any source; labels come back from a DataFrame."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.errors import LibraryReadOnly, UsageError, WrongType
from sosie.sources.uris import place_of
from tests.pictures import folder_of, jpeg

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return sorted(map(str, folder_of(tmp_path_factory.mktemp("frames") / "pictures", 4).rglob("*.jpg")))


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[sosie.Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


def frame_of(paths: list[str]) -> Any:
    return pandas.DataFrame(
        {
            "path": paths,
            "colour": ["red", None, "blue", "red"],
            "stars": [1.5, 2.0, float("nan"), 4.0],
            "code": ["007", "008", "009", "010"],
            "day": pandas.to_datetime(["2026-01-02", None, "2026-01-04", "2026-01-05"]),
            "tags": [["b", "a"], [], ["c"], None],
        }
    )


def labels_of(lib: sosie.Library) -> dict[str, Any]:
    return {record.uris[0].rpartition("/")[2]: dict(record.labels) for record in lib}


def test_the_columns_of_a_frame_become_labels(lib: sosie.Library, paths: list[str]) -> None:
    report = lib.add(frame_of(paths), workers=1)
    assert report.indexed == len(lib) == 4
    first, second, third = (labels_of(lib)[path.rpartition("/")[2]] for path in paths[:3])
    assert first == {"colour": "red", "stars": 1.5, "code": "007", "day": "2026-01-02T00:00:00", "tags": ("a", "b")}
    assert second == {"stars": 2.0, "code": "008"}
    assert "stars" not in third
    again = lib.add(frame_of(paths), workers=1)
    assert again.indexed == 0 and again.placed == 4 and len(lib) == 4


@pytest.mark.parametrize("kind", ["arrow", "mapping", "polars", "capsule"])
def test_other_tables_are_read_too(kind: str, lib: sosie.Library, paths: list[str]) -> None:
    columns = {"file": paths, "colour": ["red", "green", "blue", "red"]}
    if kind == "mapping":
        table: Any = columns
    elif kind == "polars":
        table = pytest.importorskip("polars").DataFrame(columns)
    else:
        arrow = pytest.importorskip("pyarrow").table(columns)
        table = arrow if kind == "arrow" else Capsule(arrow)
    assert lib.add(table, workers=1, labels={"by": "me"}).indexed == 4
    assert labels_of(lib)[paths[1].rpartition("/")[2]] == {"colour": "green", "by": "me"}


class Capsule:
    """A table that says nothing of itself but by Arrow's interface."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_a_column_of_any_name(lib: sosie.Library, paths: list[str]) -> None:
    frame = pandas.DataFrame({"what": ["a", "b", "c", "d"], "where": [Path(path) for path in paths]})
    assert lib.add(frame, on="where", workers=1).indexed == 4
    assert labels_of(lib)[paths[0].rpartition("/")[2]] == {"what": "a"}


def test_a_list_of_paths(lib: sosie.Library, paths: list[str]) -> None:
    assert lib.add([*paths[:2], Path(paths[2])], workers=1).indexed == 3
    assert {record.uris[0] for record in lib} == set(map(place_of, paths[:3]))


def test_pictures_in_memory_are_kept_with_the_ids_of_their_owner(lib: sosie.Library) -> None:
    image = Image.open(io.BytesIO(jpeg(1)))
    pictures = [image, np.asarray(Image.open(io.BytesIO(jpeg(2)))), jpeg(3), io.BytesIO(jpeg(4))]
    report = lib.add(pictures, ids=["a", "b", "c", "d"], workers=1)
    assert report.indexed == len(lib) == 4
    found = lib.search(np.asarray(image), k=1)[0]
    assert found.labels == {"id": "a"} and found.verdict == "same_pixels"
    assert all(record.uris[0].startswith(place_of(lib.path / "uploads")) for record in lib)
    assert lib.read(found.id)
    assert lib.remove([found.id]) == 1 and not list((lib.path / "uploads").glob("*.png"))[1:]


def test_one_picture_is_a_list_of_one(lib: sosie.Library) -> None:
    assert lib.add(Image.open(io.BytesIO(jpeg(5))), workers=1).indexed == 1
    assert lib.add([], workers=1).indexed == 0


def test_a_frame_may_hold_the_pictures_themselves(lib: sosie.Library) -> None:
    frame = pandas.DataFrame({"image": [Image.open(io.BytesIO(jpeg(n))) for n in range(3)], "n": ["x", "y", "z"]})
    assert lib.add(frame, workers=1).indexed == 3
    assert sorted(record.labels["n"] for record in lib) == ["x", "y", "z"]


def test_what_is_no_picture_is_refused_and_leaves_nothing_behind(lib: sosie.Library) -> None:
    report = lib.add([jpeg(1), b"no picture"], workers=1)
    assert report.indexed == 1 and dict(report.quarantined) == {"not_a_picture": 1}
    assert len(list((lib.path / "uploads").iterdir())) == 1


def test_the_same_picture_twice_is_one(lib: sosie.Library) -> None:
    report = lib.add([jpeg(1), jpeg(1)], ids=[1, 2], workers=1)
    assert report.seen == 1 and len(lib) == 1


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no such column": ({"path": ["a"]}, {"on": "file"}, "no column 'file': it has 'path'"),
    "no column of pictures": ({"n": [1, 2]}, {}, r"no column of the table says where its pictures are, of 'n'.*on='…'"),
    "a picture twice": ({"path": ["a.jpg", "./a.jpg"]}, {}, "comes 2 times"),
    "columns of two lengths": ({"path": ["a.jpg"], "n": [1, 2]}, {}, "of one length"),
    "ids of a table": ({"path": ["a.jpg"]}, {"ids": [1]}, "are a column of it"),
    "ids of a folder": ("folder", {"ids": [1]}, "leave them out"),
    "too few ids": ([b"a", b"b"], {"ids": [1]}, "1 ids for 2 pictures"),
    "an id twice": ([b"a", b"b"], {"ids": [1, 1]}, "the id 1 comes 2 times"),
    "no picture at all": (3.5, {}, "float .*cannot be added, but a path or an address"),
    "one that is none": ([b"a", object()], {}, r"object \(picture 2 of those given\) cannot be added"),
    "pixels of a wrong shape": ([np.zeros((4, 4, 2), np.uint8)], {}, "picture 1 of those given: an array of shape"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_added_is_refused_in_one_line(what: str, lib: sosie.Library) -> None:
    given, options, says = WRONG[what]
    with pytest.raises(UsageError, match=says) as refused:
        lib.add(given, workers=1, **options)
    assert "\n" not in str(refused.value) and len(lib) == 0
    assert not list((lib.path / "uploads").glob("*"))


def test_rows_without_a_picture_are_spoken_of(lib: sosie.Library, paths: list[str]) -> None:
    with pytest.warns(UserWarning, match="1 of 3 rows name no picture"):
        report = lib.add(pandas.DataFrame({"path": [paths[0], None, paths[1]]}), workers=1)
    assert report.indexed == 2


def test_a_table_is_no_whole_to_be_in_step_with(lib: sosie.Library, paths: list[str]) -> None:
    with pytest.raises(UsageError, match="sync"):
        lib.add(paths, sync=True, workers=1)


def test_a_library_for_reading_keeps_nothing(lib: sosie.Library) -> None:
    with (
        sosie.open(lib.path, read_only=True) as closed_to_writers,
        pytest.raises(LibraryReadOnly, match="open for reading only"),
    ):
        closed_to_writers.add([jpeg(1)], workers=1)


def test_labels_come_back_from_a_frame(lib: sosie.Library, paths: list[str]) -> None:
    lib.add(paths, workers=1)
    frame = frame_of(paths)
    frame.loc[len(frame)] = ["nowhere.jpg", "red", 1.0, "011", None, None]
    done = lib.labels.from_frame(frame, on="path")
    assert done.pictures == 4 and done.unknown == (place_of("nowhere.jpg"),)
    assert labels_of(lib)[paths[3].rpartition("/")[2]] == {
        "colour": "red",
        "stars": 4.0,
        "code": "010",
        "day": "2026-01-05T00:00:00",
    }


def test_what_the_library_told_is_taken_back(lib: sosie.Library, paths: list[str]) -> None:
    lib.add(paths, workers=1)
    frame = lib.to_pandas()[["id"]].assign(checked=True)
    assert lib.labels.from_frame(frame).pictures == 4
    assert lib.labels() == {"checked": {"true": 4}}
    with pytest.raises(UsageError, match="comes 2 times"):
        lib.labels.from_frame({"id": [1, 1], "x": ["a", "b"]})
    with pytest.raises(UsageError, match="a row of the table names no picture"):
        lib.labels.from_frame({"id": [1, float("nan")], "x": ["a", "b"]})
    with pytest.raises(WrongType, match="int is no table"):
        lib.labels.from_frame(3)
    assert lib.labels.from_frame({"id": [1, 99], "x": ["a", "b"]}).unknown == (99,)


def test_a_bar_is_drawn_where_somebody_sees_it(
    lib: sosie.Library, paths: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lib.add(paths[:1], workers=1)
    assert capsys.readouterr().err == ""  # nobody does
    monkeypatch.setattr("sosie.present.progress.is_interactive", lambda: True)
    lib.add(paths[1:2], workers=1)
    drawn = capsys.readouterr().err
    assert "adding pictures" in drawn
    lib.add(paths[2:3], workers=1, progress=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    lib.add(paths[3:], workers=1)
    assert capsys.readouterr().err != drawn
    told: list[int] = []
    lib.add(paths, again=True, workers=1, progress=lambda now: told.append(now.seen))
    assert told[-1] == 4
