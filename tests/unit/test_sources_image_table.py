"""Pictures in the rows of a Parquet or Arrow file, as Hugging Face's datasets keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sosie
from sosie.errors import BadPicture, DamagedError, UsageError
from sosie.sources.image_table import ImageTableSource
from sosie.sources.open import open_source
from sosie.types import Verdict
from tests.scenes import as_file, scene

COUNT = 5
CLASSES = ["boat", "lighthouse"]


def table(**more: list[Any]) -> pa.Table:
    """Return five pictures with a class by number, a year and an embedding, which is no label."""
    rows = {
        "image": [{"bytes": as_file(scene(at)), "path": f"train/scene {at}.png"} for at in range(COUNT)],
        "label": [at % 2 for at in range(COUNT)],
        "year": [1900 + at for at in range(COUNT)],
        **more,
    }
    made = pa.table(rows)
    features = {"label": {"names": CLASSES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def written(path: Path, made: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(made, path, row_group_size=2)
    elif path.stem == "stream":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as out:
            out.write_table(made)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, made.schema) as out:
            out.write_table(made)
    return path


@pytest.mark.parametrize("name", ["train.parquet", "file.arrow", "stream.arrow"])
def test_every_row_is_a_picture_with_its_labels(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, table())
    with sosie.open(tmp_path / "library") as library:
        report = library.add(path)
        assert (report.indexed, report.quarantined.total()) == (COUNT, 0)
        hit = library.search(as_file(scene(3)))[0]
        assert hit.verdict is Verdict.IDENTICAL
        assert hit.labels == {"label": "lighthouse", "year": 1903}
        assert hit.uri == path.as_uri() + "!/3/scene%203.png"
        assert library.read(hit.id) == as_file(scene(3))  # from a row of its second row group
        assert library.thumbnail(hit.id)
        again = library.add(path)
        assert (again.indexed, again.unchanged) == (0, COUNT)


def test_plain_bytes_are_taken_from_a_column_of_a_usual_name_or_the_one_that_is_named(tmp_path: Path) -> None:
    data = [as_file(scene(at)) for at in range(2)]
    usual = written(tmp_path / "usual.parquet", pa.table({"jpg": data, "vector": [b"12", b"34"]}))
    assert [ref.labels for ref in open_source(str(usual))] == [{}, {}]
    other = written(tmp_path / "other.parquet", pa.table({"scan": data, "title": ["a", "b"]}))
    refs = list(ImageTableSource(other, column="scan"))
    assert [ref.labels for ref in refs] == [{"title": "a"}, {"title": "b"}]
    with pytest.raises(UsageError, match="it has scan, title"):
        list(ImageTableSource(other, column="scans"))


def test_rows_without_bytes_are_left_out_and_counted(tmp_path: Path) -> None:
    pictures = [{"bytes": as_file(scene(0)), "path": None}, {"bytes": None, "path": "elsewhere.png"}, None]
    source = ImageTableSource(written(tmp_path / "gaps.parquet", pa.table({"image": pictures})))
    assert len(list(source)) == 1
    assert [(each.reason, each.count) for each in source.left_out] == [("no_place", 2)]


def test_what_is_no_picture_goes_to_the_quarantine(tmp_path: Path) -> None:
    rows = [{"bytes": as_file(scene(0)), "path": "a.png"}, {"bytes": b"<html>", "path": "b.png"}]
    with sosie.open(tmp_path / "library") as library:
        report = library.add(written(tmp_path / "mixed.parquet", pa.table({"image": rows})))
        assert (report.indexed, report.quarantined.total()) == (1, 1)


def test_a_path_in_a_row_names_nothing_outside(tmp_path: Path) -> None:
    """The name is for people: what is read is the row."""
    rows = [
        {"bytes": as_file(scene(0)), "path": "../../etc/passwd"},
        {"bytes": as_file(scene(1)), "path": "C:\\a\\b.png"},
    ]
    source = ImageTableSource(written(tmp_path / "names.parquet", pa.table({"image": rows})))
    refs = list(source)
    assert [ref.uri.partition("!/")[2] for ref in refs] == ["0/passwd", "1/b.png"]
    assert source.read(refs[0]) == as_file(scene(0))


def test_a_row_that_is_gone_and_a_damaged_file_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "train.parquet", table())
    source = ImageTableSource(path)
    last = list(source)[-1]
    written(path, table().slice(0, 2))
    with pytest.raises(BadPicture, match="row 4"):
        source.read(last)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedError, match="no sound Parquet"):
        list(source)


def test_a_list_of_addresses_in_parquet_stays_a_list(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", pa.table({"url": ["http://example.invalid/a.jpg"], "label": ["x"]}))
    assert [ref.uri for ref in open_source(str(path))] == ["http://example.invalid/a.jpg"]
