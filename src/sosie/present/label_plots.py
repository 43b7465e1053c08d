"""Labels drawn: how often each value occurs, how many labels a picture has, how often two labels meet.

Each plot is an SVG that stands alone, or part of a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sosie.present.charts import Series, bar_chart
from sosie.present.page import Html, escape, figure, join, page, section
from sosie.present.text import shorten, visible

__all__ = ["alone", "count_plots", "cross_plot", "plot_page"]

_MOST = 30  # bars of one chart, rows and columns of a map: the most frequent
_WIDTH = 760
_CELL = 26

# What page.css says of charts, for an SVG without a page.
_STYLE = (
    "<style>.chart{font-family:sans-serif;background:#fff}.chart text{fill:#555;font-size:12px}"
    ".chart .name{fill:#111;font-size:14px;font-weight:600}.chart .axis{stroke:#777;fill:none}"
    ".chart .grid{stroke:#ddd}.chart .bar{fill:#2f6fb3}</style>"
)


def count_plots(
    counts: Mapping[str, Mapping[str, int]], labels_a_picture: Mapping[int, int], *, most: int = _MOST
) -> list[Html]:
    """Return a bar chart of each label's most frequent values, and one of how many labels a picture has."""
    charts = [_bars(name, values, most) for name, values in counts.items() if values]
    if labels_a_picture:
        sizes = range(max(labels_a_picture) + 1)
        pictures = [float(labels_a_picture.get(size, 0)) for size in sizes]
        series = [Series("pictures", list(sizes), pictures)]
        names = [str(size) for size in sizes]
        charts.append(bar_chart(names, series, title="Labels a picture", y_label="pictures", width=_WIDTH))
    return charts


def _bars(name: str, values: Mapping[str, int], most: int) -> Html:
    shown = list(values.items())[:most]
    rest = len(values) - len(shown)
    title = f"{visible(name)}: the {most} most frequent of {len(values)} values" if rest else visible(name)
    series = [Series("pictures", list(range(len(shown))), [float(count) for _, count in shown])]
    return bar_chart([visible(value) for value, _ in shown], series, title=title, y_label="pictures", width=_WIDTH)


def cross_plot(pairs: Mapping[tuple[str, str], int], rows: str, columns: str, *, most: int = _MOST) -> Html:
    """Return a heat map of how often the values of two labels meet; the number stands in each cell."""
    down, across = _frequent(pairs, 0, most), _frequent(pairs, 1, most)
    largest = max(pairs.values(), default=1)
    left = 16 + max((7 * len(_short(value)) for value in down), default=0)
    top = 50 + max((6 * len(_short(value)) for value in across), default=0)
    cells = [
        _cell(left + x * _CELL, top + y * _CELL, pairs.get((one, other), 0), largest, f"{one} and {other}")
        for y, one in enumerate(down)
        for x, other in enumerate(across)
    ]
    names = [
        f'<text x="{left - 6}" y="{top + y * _CELL + 17}" text-anchor="end">{escape(_short(value))}</text>'
        for y, value in enumerate(down)
    ]
    for x, value in enumerate(across):
        at = f"{left + x * _CELL + 17} {top - 6}"
        names.append(f'<text transform="translate({at}) rotate(-60)">{escape(_short(value))}</text>')
    title = f"{visible(rows)} (rows) and {visible(columns)} (columns): pictures"
    wide, high = max(left + _CELL * len(across) + top, 8 * len(title)), top + _CELL * len(down) + 16
    return Html(
        f'<svg class="chart" viewBox="0 0 {wide} {high}" role="img"><title>{escape(title)}</title>'
        f'<text class="name" x="8" y="18">{escape(title)}</text>{"".join(names)}{"".join(cells)}</svg>'
    )


def _cell(x: int, y: int, count: int, largest: int, names: str) -> str:
    share = count / largest
    ink = ' style="fill:#fff"' if share > 0.5 else ""
    text = f'<text x="{x + _CELL / 2:g}" y="{y + 17}" text-anchor="middle"{ink}>{count}</text>' if count else ""
    return (
        f'<g><title>{escape(visible(names))}: {count}</title><rect x="{x}" y="{y}" width="{_CELL - 1}" '
        f'height="{_CELL - 1}" style="fill:#2f6fb3;fill-opacity:{share:.3f}"/>{text}</g>'
    )


def _frequent(pairs: Mapping[tuple[str, str], int], side: int, most: int) -> list[str]:
    totals: dict[str, int] = {}
    for pair, count in pairs.items():
        totals[pair[side]] = totals.get(pair[side], 0) + count
    return sorted(totals, key=lambda value: (-totals[value], value))[:most]


def _short(value: str) -> str:
    return shorten(visible(value), 24)


def alone(charts: Sequence[Html]) -> str:
    """Return charts as one SVG file, below each other."""
    sizes = [tuple(map(float, chart.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split())) for chart in charts]
    wide, at, parts = max(width for width, _ in sizes), 0.0, []
    for chart, (width, height) in zip(charts, sizes, strict=True):
        place = f'<svg y="{at:g}" width="{width:g}" height="{height:g}" '
        parts.append(chart.replace("<svg ", place, 1))
        at += height + 16
    xml = 'xmlns="http://www.w3.org/2000/svg"'
    return f'<svg {xml} viewBox="0 0 {wide:g} {at:g}">{_STYLE}{"".join(parts)}</svg>\n'


def plot_page(charts: Sequence[Html], *, title: str, lead: str) -> str:
    """Return charts as a page that opens from disk."""
    return page(title, section("labels", title, join(figure(chart) for chart in charts)), lead=lead)
