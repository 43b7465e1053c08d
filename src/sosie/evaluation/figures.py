"""Parts of reports that the pages of ``sosie.present`` do not have: panels of answers, heat maps, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sosie.evaluation.metrics import Bools, Floats
from sosie.present.charts import Series, bar_chart, line_chart
from sosie.present.page import Html, badge, escape, join, picture

__all__ = ["STYLE", "answer", "bars", "curve", "heat_map", "heat_table", "histogram", "panel", "tiles"]

STYLE = """
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 0 1.2rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem 1rem;
  min-width: 8rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .82rem; }
.panel { display: grid; grid-template-columns: 12rem minmax(0, 1fr); gap: 1.2rem; padding: 1rem 0;
  border-top: 1px solid var(--line); }
.panel .answers { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .7rem; }
.panel figcaption { font-size: .76rem; overflow-wrap: anywhere; }
.answer .picture .plate { border: 3px solid var(--line); }
.answer.right .picture .plate { border-color: var(--good); }
.answer.wrong .picture .plate { border-color: var(--bad); }
.heat td.cell { text-align: right; font-variant-numeric: tabular-nums;
  background: color-mix(in srgb, var(--accent) calc(var(--share) * 70%), transparent); }
.heat.small td, .heat.small th { padding: .2rem .3rem; font-size: .72rem; }
.heat.small thead th { writing-mode: vertical-rl; text-align: left; max-height: 9rem; }
@media (max-width: 46rem) { .panel { grid-template-columns: 1fr; } }
"""


def tiles(values: Mapping[str, float | None], notes: Mapping[str, str] | None = None) -> Html:
    """Return the figures that matter most, large; ``notes`` stand below their names."""
    parts = []
    for name, value in values.items():
        shown = "–" if value is None or np.isnan(value) else f"{value:.3f}"
        below = f"<span>{escape((notes or {}).get(name, ''))}</span>"
        parts.append(f'<div class="tile"><span>{escape(name)}</span><b>{shown}</b>{below}</div>')
    return Html(f'<div class="tiles">{"".join(parts)}</div>\n')


def answer(data: bytes | None, caption: str, *, alt: str, right: bool | None) -> Html:
    """Return one small picture, framed as right or wrong; None is neither."""
    tone = "" if right is None else " right" if right else " wrong"
    return Html(f'<div class="answer{tone}">{picture(data, alt, caption)}</div>')


def panel(query: Html, answers: Sequence[Html], verdict: str = "", tone: str = "") -> Html:
    """Return a query beside its answers."""
    mark = badge(verdict, tone) if verdict else ""
    return Html(f'<div class="panel"><div>{query}{mark}</div><div class="answers">{join(answers)}</div></div>\n')


def heat_map(counts: Mapping[tuple[str, str], int], caption: str) -> Html:
    """Return a square table of counts, darker for a larger share of its row; rows are what was asked."""
    names = sorted({name for pair in counts for name in pair})
    head = join([Html(f'<th scope="col">{escape(name)}</th>') for name in names])
    lines = []
    for row in names:
        total = max(1, sum(counts.get((row, name), 0) for name in names))
        cells = [_cell(counts.get((row, name), 0) / total, str(counts.get((row, name), "") or "")) for name in names]
        lines.append(f'<tr><th scope="row">{escape(row)}</th>{join(cells)}</tr>')
    return _scrolled(f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody>", caption, small=True)


def heat_table(rows: Sequence[Mapping[str, object]], caption: str) -> Html:
    """Return a table whose numbers between 0 and 1 are shaded; every row has the same keys."""
    if not rows:
        return Html("")
    head = join([Html(f'<th scope="col">{escape(name)}</th>') for name in rows[0]])
    lines = ["".join(_value(value) for value in row.values()) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return _scrolled(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", caption)


def _value(value: object) -> Html:
    if isinstance(value, float):
        return _cell(min(max(value, 0.0), 1.0), f"{value:.3f}") if not np.isnan(value) else Html("<td>–</td>")
    number = ' class="number"' if isinstance(value, int) else ""
    return Html(f"<td{number}>{escape(value)}</td>")


def _cell(share: float, text: str) -> Html:
    return Html(f'<td class="cell" style="--share:{share:.3f}">{escape(text)}</td>')


def _scrolled(table: str, caption: str, *, small: bool = False) -> Html:
    kind = "heat small" if small else "heat"
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="{kind}"><caption>{escape(caption)}</caption>{table}</table></div>\n'
    )


def histogram(values: Mapping[str, Floats], *, title: str, x_label: str, bins: int = 20) -> Html:
    """Return the distributions of some values as lines over bins of equal width, each as shares of its own total."""
    every = np.concatenate([each[np.isfinite(each)] for each in values.values()] or [np.zeros(1)])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    middle = ((edges[1:] + edges[:-1]) / 2).tolist()
    series = []
    for name, each in values.items():
        counts = np.histogram(each[np.isfinite(each)], edges)[0]
        series.append(Series(name, middle, (counts / max(1, counts.sum())).tolist()))
    return line_chart(series, title=title, x_label=x_label, y_label="share")


def bars(values: Mapping[str, tuple[float, float, float]], *, title: str, y_label: str) -> Html:
    """Return one bar with its interval (value, low, high) for each name."""
    names = list(values)
    value, low, high = ([values[name][at] for name in names] for at in range(3))
    one = Series(y_label, list(range(len(names))), value, low=low, high=high)
    width = max(640, 110 * len(names))
    return bar_chart(names, [one], title=title, y_label=y_label, y_range=(0.0, 1.0), width=width)


def curve(pools: Mapping[str, tuple[Floats, Bools, int]], *, title: str) -> Html:
    """Return precision over recall of pooled pairs (scores, truth, true pairs), one line for each method."""
    series = []
    for name, (scores, truth, total) in pools.items():
        order = np.lexsort((truth, -scores))
        right = np.cumsum(truth[order])
        at = np.flatnonzero(truth[order])
        if len(at) == 0 or total == 0:
            continue
        some = np.unique(np.linspace(0, len(at) - 1, 60).astype(int))
        precision = (right[at] / (at + 1))[some]
        series.append(Series(name, (right[at][some] / total).tolist(), precision.tolist()))
    return line_chart(series, title=title, x_label="recall", y_label="precision", y_range=(0.0, 1.0))
