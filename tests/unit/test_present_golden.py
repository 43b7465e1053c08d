"""What is presented, letter by letter.

After a wanted change, write the files anew with ``python -m tests.unit.test_present_golden`` and read the difference.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sosie.present.charts import Series, bar_chart, line_chart
from sosie.present.csv import to_csv
from sosie.present.html import contact_sheet
from sosie.present.json import to_json
from sosie.present.table import print_results
from sosie.types import Hit, SearchResult, Verdict

FOLDER = Path(__file__).parents[1] / "golden" / "present"

RESULTS = (
    SearchResult(
        "cat.jpg",
        (
            Hit(1, 17, "file:///pictures/cat%20copy.jpg", 0.9934, Verdict.ALTERED_COPY, 0.998, {"label": "cat"}),
            Hit(
                2, 4, "file:///pictures/tom%0A%FF.jpg", 0.71, Verdict.SIMILAR, labels={"tags": ("a", "b"), "year": 1.5}
            ),
            Hit(
                3,
                9,
                "zip:///a.zip!/b.jpg",
                0.4,
                Verdict.CONTAINS,
                region=(0.1, 0.2, 0.3, 0.4),
                evidence={"inliers": 41},
            ),
        ),
        1.25,
        {"kind": "exact", "recall": 1.0},
    ),
    SearchResult("=dog.jpg", (), 0.5, {"kind": "exact", "recall": None}),
)
SERIES = (Series("exact", [1, 10, 100], [0.5, 0.9, 1.0], low=[0.4, 0.8, 0.9], high=[0.6, 1.0, 1.0]),)


def table() -> str:
    out = io.StringIO()
    print_results(RESULTS, file=out)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def sheet() -> str:
    """The body only: style and script have their own files."""
    page = contact_sheet(RESULTS, thumbnail=lambda _: None, title="Sosie", notes={"index": "exact"})
    return page[page.index("<body>") : page.index("<script>")]


MADE: Mapping[str, Callable[[], str]] = {
    "table.txt": table,
    "results.csv": lambda: to_csv(RESULTS),
    "results.json": lambda: to_json(RESULTS),
    "sheet.html": sheet,
    "line.svg": lambda: line_chart(SERIES, title="Recall", x_label="ms", y_label="recall@10", log_x=True) + "\n",
    "bar.svg": lambda: bar_chart(["a", "b"], [Series("mAP", [], [0.5, 0.25])], title="mAP") + "\n",
}


@pytest.mark.parametrize("name", sorted(MADE))
def test_output_is_as_recorded(name: str) -> None:
    assert MADE[name]() == (FOLDER / name).read_text("utf-8")


if __name__ == "__main__":
    for name, make in MADE.items():
        (FOLDER / name).write_text(make(), "utf-8")
