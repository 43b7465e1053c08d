"""No table that Sosie writes runs anything in a spreadsheet, and lists of labels come back as they were."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sosie.catalogue import PictureRecord
from sosie.cli.labels import _write_csv
from sosie.present.csv import guarded
from sosie.sources.columns import label_of
from sosie.sources.url_list import UrlListSource
from sosie.types import LabelValue

FORMULAS = ["=HYPERLINK(A1)", "+1+1", "-1+1", "@SUM(A1)", "'=x", "''=x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_kept_from_running_and_comes_back(text: str) -> None:
    cell = guarded(text)
    assert isinstance(cell, str)
    assert cell.startswith("'")
    assert label_of(cell, "single") == text


@pytest.mark.parametrize("value", ["plain", "'t Hooft", "a=b", "", -1.5, None])
def test_what_is_no_formula_stays_as_it_is(value: object) -> None:
    assert guarded(value) == value


def test_exported_labels_hold_no_formula_and_are_read_again(tmp_path: Path) -> None:
    labels: dict[str, LabelValue] = {"=name": "=1+1", "year": -44.0, "several": ("=a", "b")}
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as out:
        _write_csv(out, sorted(labels), [record(labels)])
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert not [cell for row in rows for cell in row if cell.startswith("=")]
    (read,) = UrlListSource(path)
    assert read.labels == labels | {"id": 1.0}


def record(labels: dict[str, LabelValue]) -> PictureRecord:
    return PictureRecord(1, "0" * 64, 10, "JPEG", 8, 8, ("file:///a.jpg",), labels)
