"""Charts are well-formed SVG, place values where their axes say, and stay readable without colour."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.present.axes import fit_axis, tick_text
from sosie.present.charts import Series, bar_chart, line_chart, scatter_chart

TWO = (
    Series("exact <b>", [1, 10, 100], [0.5, 0.9, 1.0], low=[0.4, 0.8, 0.9], high=[0.6, 1.0, 1.1]),
    Series("hnsw", [1, 10, 100], [0.4, 0.85, math.nan], names=["a", "b", "c"]),
)


def tags(svg: str, name: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(name))


@pytest.mark.parametrize("chart", [line_chart, scatter_chart])
def test_chart_is_well_formed_with_title_and_description(chart) -> None:
    svg = chart(TWO, title="Recall & time", description="how recall grows", x_label="ms", log_x=True)
    assert tags(svg, "title")[0].text == "Recall & time"
    assert tags(svg, "desc")[0].text == "how recall grows"


def test_line_chart_leaves_out_what_is_no_number() -> None:
    lines = tags(line_chart(TWO, title="t"), "polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]


def test_series_differ_in_shape_and_not_only_in_colour() -> None:
    svg = scatter_chart([Series(str(n), [1], [n]) for n in range(3)], title="t")
    shapes = [
        tuple(child.tag for child in mark) for mark in ET.fromstring(svg).iter("g") if mark.get("class") == "mark"
    ]
    assert ("title", "circle") in shapes and ("title", "polygon") in shapes


def test_bars_begin_at_nought_and_carry_whiskers() -> None:
    svg = bar_chart(["a", "b"], [Series("mAP", [], [0.5, 0.25], low=[0.4, 0.2], high=[0.6, 0.3])], title="t")
    tall, short = (float(bar.attrib["height"]) for bar in tags(svg, "rect"))
    assert tall == pytest.approx(2 * short, abs=0.2)
    assert sum(path.get("class") == "whisker" for path in tags(svg, "path")) == 2


def test_chart_without_values_is_still_a_chart() -> None:
    assert tags(line_chart([Series("none", [], [])], title="t"), "polyline") == []
    assert line_chart([], title="nothing").startswith("<svg")


def test_same_chart_same_text() -> None:
    assert line_chart(TWO, title="t") == line_chart(TWO, title="t")


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.booleans())
def test_axis_holds_every_value(values: list[float], zero: bool) -> None:
    axis = fit_axis(values, start=0, end=100, zero=zero)
    assert all(-1e-6 <= axis.at(v) <= 100 + 1e-6 for v in values)
    assert len(axis.ticks()) >= 2


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=20))
def test_log_axis_holds_every_value(values: list[float]) -> None:
    axis = fit_axis(values, start=0, end=100, log=True)
    assert all(-1e-6 <= axis.at(v) <= 100 + 1e-6 for v in values)
    assert len(axis.ticks()) >= 2


def test_tick_text_is_short() -> None:
    assert [tick_text(v) for v in (0.0, 0.25, 1500, 20_000, 3e6, 1e-6)] == [
        "0",
        "0.25",
        "1500",
        "20k",
        "3M",
        "1e-06",
    ]
