"""Charts as inline SVG: lines, bars and points that follow the page's light and dark colours.

Each chart has a title and a description for screen readers, a marker shape beside each colour so that no
series is told by colour alone, and the exact value of each point in its tooltip.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sosie.present.axes import Axis, fit_axis, tick_text
from sosie.present.page import Html, escape

__all__ = ["Series", "bar_chart", "line_chart", "scatter_chart"]

_TONES = 6
_LEFT, _RIGHT, _BOTTOM = 62, 18, 50
_LETTER = 7.2  # mean width of a 12 px letter, on the wide side


@dataclass(frozen=True, slots=True)
class Series:
    """One line, set of points or set of bars.

    ``low`` and ``high`` are the ends of each value's interval (drawn as whiskers, on lines as a band).
    ``names`` label the points in their tooltips. A bar chart reads only ``ys``.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    names: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """The plot's two axes and its size in pixels."""

    x: Axis
    y: Axis
    width: int
    height: int


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    description: str = "",
    log_x: bool = False,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    width: int = 640,
    height: int = 380,
) -> Html:
    """Return a line per series with a marker at each point and a band where intervals are given."""
    frame = _frame(series, width, height, log_x=log_x, log_y=log_y, y_range=y_range)
    drawn = [_line(frame, s, i) + _marks(frame, s, i) for i, s in enumerate(series)]
    return _svg(
        frame,
        series,
        [_grid(frame), *drawn],
        title=title,
        x_label=x_label,
        y_label=y_label,
        description=description,
    )


def scatter_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    description: str = "",
    log_x: bool = False,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    width: int = 640,
    height: int = 380,
) -> Html:
    """Return points, one marker shape per series, with whiskers where intervals are given."""
    frame = _frame(series, width, height, log_x=log_x, log_y=log_y, y_range=y_range)
    drawn = [_whiskers(frame, s) + _marks(frame, s, i) for i, s in enumerate(series)]
    return _svg(
        frame,
        series,
        [_grid(frame), *drawn],
        title=title,
        x_label=x_label,
        y_label=y_label,
        description=description,
    )


def bar_chart(
    categories: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    y_label: str = "",
    description: str = "",
    y_range: tuple[float, float] | None = None,
    width: int = 640,
    height: int = 380,
) -> Html:
    """Return groups of upright bars, one per series in each category, from nought."""
    head = _head_height(series, width)
    values = [v for s in series for v in (*s.ys, *(s.low or ()), *(s.high or ()))]
    y = fit_axis(values, start=height - _BOTTOM, end=head, bounds=y_range, zero=True)
    x = Axis(0.0, max(1.0, float(len(categories))), _LEFT, width - _RIGHT)
    frame = _Frame(x, y, width, height)
    drawn = [_bars(frame, categories, s, i, len(series)) for i, s in enumerate(series)]
    parts = [_grid(frame, upright=False), *drawn, _category_names(frame, categories)]
    return _svg(frame, series, parts, title=title, x_label="", y_label=y_label, description=description)


# ------------------------------------------------------------------------------------------------ parts


def _frame(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    log_x: bool,
    log_y: bool,
    y_range: tuple[float, float] | None,
) -> _Frame:
    xs = [v for s in series for v in s.xs]
    ys = [v for s in series for v in (*s.ys, *(s.low or ()), *(s.high or ()))]
    head = _head_height(series, width)
    x = fit_axis(xs, start=_LEFT, end=width - _RIGHT, log=log_x)
    y = fit_axis(ys, start=height - _BOTTOM, end=head, log=log_y, bounds=y_range)
    return _Frame(x, y, width, height)


def _points(frame: _Frame, series: Series) -> list[tuple[int, float, float]]:
    """Return (position, pixel x, pixel y) of the values that can be drawn."""
    pairs = enumerate(zip(series.xs, series.ys, strict=True))
    return [(n, frame.x.at(x), frame.y.at(y)) for n, (x, y) in pairs if frame.x.holds(x) and frame.y.holds(y)]


def _line(frame: _Frame, series: Series, tone: int) -> str:
    points = _points(frame, series)
    if not points:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in points)
    return f'<g class="{_tone(tone)}">{_band(frame, series, points)}<polyline class="line" points="{path}"/></g>'


def _band(frame: _Frame, series: Series, points: Sequence[tuple[int, float, float]]) -> str:
    if series.low is None or series.high is None:
        return ""
    kept = [n for n, _, _ in points if frame.y.holds(series.low[n]) and frame.y.holds(series.high[n])]
    high = [f"{frame.x.at(series.xs[n]):.1f},{frame.y.at(series.high[n]):.1f}" for n in kept]
    low = [f"{frame.x.at(series.xs[n]):.1f},{frame.y.at(series.low[n]):.1f}" for n in kept]
    return f'<polygon class="band" points="{" ".join(high + low[::-1])}"/>'


def _marks(frame: _Frame, series: Series, tone: int) -> str:
    shape = _SHAPES[tone % len(_SHAPES)]
    marks = "".join(
        f'<g class="mark"><title>{escape(_tooltip(series, n))}</title>{shape(x, y)}</g>'
        for n, x, y in _points(frame, series)
    )
    return f'<g class="{_tone(tone)}">{marks}</g>'


def _whiskers(frame: _Frame, series: Series) -> str:
    if series.low is None or series.high is None:
        return ""
    return "".join(
        _whisker(x, frame.y.at(series.low[n]), frame.y.at(series.high[n]))
        for n, x, _ in _points(frame, series)
        if frame.y.holds(series.low[n]) and frame.y.holds(series.high[n])
    )


def _whisker(x: float, low: float, high: float) -> str:
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"/>'


def _bars(frame: _Frame, categories: Sequence[str], series: Series, tone: int, groups: int) -> str:
    slot = frame.x.at(1) - frame.x.at(0)
    wide = min(slot * 0.72 / groups, 64.0)
    out = []
    for n, value in enumerate(series.ys):
        if not frame.y.holds(value):
            continue
        left = frame.x.at(n + 0.5) + (tone - groups / 2) * wide
        top, base = frame.y.at(max(value, 0.0)), frame.y.at(min(value, 0.0))
        name = f"{categories[n]}, {series.label}: {value:.4g}"
        out.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{max(wide - 2, 1):.1f}" '
            f'height="{max(base - top, 0):.1f}" rx="2"><title>{escape(name)}</title></rect>'
        )
        if series.low is not None and series.high is not None:
            out.append(_whisker(left + wide / 2, frame.y.at(series.low[n]), frame.y.at(series.high[n])))
    return f'<g class="{_tone(tone)}">{"".join(out)}</g>'


def _category_names(frame: _Frame, categories: Sequence[str]) -> str:
    slot = frame.x.at(1) - frame.x.at(0)
    room = max(3, int(slot / _LETTER))
    out = []
    for n, name in enumerate(categories):
        short = name if len(name) <= room else name[: room - 1] + "…"
        middle, base = frame.x.at(n + 0.5), frame.height - _BOTTOM + 18
        out.append(
            f'<text x="{middle:.1f}" y="{base}" text-anchor="middle">'
            f"{escape(short)}<title>{escape(name)}</title></text>"
        )
    return "".join(out)


def _grid(frame: _Frame, *, upright: bool = True) -> str:
    left, right, bottom, top = frame.x.start, frame.x.end, frame.y.start, frame.y.end
    out = []
    for value in frame.y.ticks():
        y = frame.y.at(value)
        out.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick_text(value)}</text>')
    for value in frame.x.ticks() if upright else ():
        x = frame.x.at(value)
        out.append(f'<path class="grid" d="M{x:.1f} {bottom}V{top}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick_text(value)}</text>')
    out.append(f'<path class="axis" d="M{left} {bottom}H{right}"/>')
    return "".join(out)


# ------------------------------------------------------------------------------------------------ around


def _svg(
    frame: _Frame,
    series: Sequence[Series],
    parts: Sequence[str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    description: str,
) -> Html:
    told = description or "; ".join(f"{s.label}: {len(s.ys)} values" for s in series)
    drawing = _legend(series, frame.width) + "".join(parts)
    key = f"chart-{zlib.crc32(f'{title}{told}{drawing}'.encode()):08x}"
    middle = (frame.y.start + frame.y.end) / 2
    labels = (
        f'<text class="name" x="{_LEFT}" y="18">{escape(title)}</text>'
        f'<text x="{(frame.x.start + frame.x.end) / 2:.0f}" y="{frame.height - 10}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"{escape(y_label)}</text>"
    )
    return Html(
        f'<svg class="chart" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(told)}</desc>'
        f"{labels}{drawing}</svg>"
    )


def _legend(series: Sequence[Series], width: int) -> str:
    if len(series) < 2:
        return ""
    return "".join(
        f'<g class="{_tone(i)}"><g class="mark">{_SHAPES[i % len(_SHAPES)](x + 5, y - 4)}</g></g>'
        f'<text x="{x + 15}" y="{y}">{escape(series[i].label)}</text>'
        for i, x, y in _legend_places(series, width)
    )


def _legend_places(series: Sequence[Series], width: int) -> list[tuple[int, int, int]]:
    """Return (series, x, baseline y) of each entry, wrapped to the width."""
    places, x, y = [], _LEFT, 40
    for i, one in enumerate(series):
        wide = int(len(one.label) * _LETTER) + 32
        if x > _LEFT and x + wide > width:
            x, y = _LEFT, y + 18
        places.append((i, x, y))
        x += wide
    return places


def _head_height(series: Sequence[Series], width: int) -> int:
    return _legend_places(series, width)[-1][2] + 18 if len(series) > 1 else 36


def _tooltip(series: Series, n: int) -> str:
    name = series.names[n] if series.names is not None else series.label
    text = f"{name}: {series.xs[n]:.4g}, {series.ys[n]:.4g}"
    if series.low is not None and series.high is not None:
        text += f" ({series.low[n]:.4g} to {series.high[n]:.4g})"
    return text


def _tone(number: int) -> str:
    return f"s{number % _TONES + 1}"


def _polygon(*corners: tuple[float, float]) -> Callable[[float, float], str]:
    def draw(x: float, y: float) -> str:
        return f'<polygon points="{" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)}"/>'

    return draw


def _circle(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


_SHAPES: tuple[Callable[[float, float], str], ...] = (
    _circle,
    _polygon((-4, -4), (4, -4), (4, 4), (-4, 4)),
    _polygon((0, -5), (4.6, 3.6), (-4.6, 3.6)),
    _polygon((0, -5.4), (5.4, 0), (0, 5.4), (-5.4, 0)),
    _polygon((0, 5), (4.6, -3.6), (-4.6, -3.6)),
    _polygon(
        (-5, -1.6),
        (-1.6, -1.6),
        (-1.6, -5),
        (1.6, -5),
        (1.6, -1.6),
        (5, -1.6),
        (5, 1.6),
        (1.6, 1.6),
        (1.6, 5),
        (-1.6, 5),
        (-1.6, 1.6),
        (-5, 1.6),
    ),
)
